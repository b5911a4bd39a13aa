#pragma once

/// \file
/// System calls that fail when a test wants them to. A test program that compiles fake_calls.cpp
/// has functions of these names in front of the C library's. They go to the kernel, unless a
/// FakeCall is alive.

#include <climits>
#include <cstddef>
#include <limits>
#include <optional>
#include <sys/types.h>

namespace ngx::test {

enum class Call {
    accept,
    accept4,
    bind,
    connect,
    eventfd,
    fork,
    getsockopt,
    io_destroy,
    io_getevents,
    io_setup,
    io_submit,
    ioctl,
    pread,
    pthread_create,
    read,
    readv,
    recv,
    recvmsg,
    sched_getaffinity,
    send,
    sendfile,
    sendmsg,
    sendto,
    setsockopt,
    socket,
    socketpair,
    writev
};

/// What a call does in place of its work: it fails with `err`, it returns `result`, or it is
/// given no more than `at_most` bytes.
struct Answer {
    int err = 0;
    std::optional<int> result{};
    std::size_t at_most = std::numeric_limits<std::size_t>::max();
};

/// While it lives, the next `times` calls get the answer; those after them go to the kernel.
/// Standard input, output and error are left alone. One at a time for each call.
class FakeCall {
public:
    static constexpr int always = INT_MAX;

    FakeCall(Call call, Answer answer, int times = 1);
    FakeCall(const FakeCall&) = delete;
    FakeCall& operator=(const FakeCall&) = delete;
    ~FakeCall();

    /// How many calls there were so far, the answered ones and the others.
    [[nodiscard]] int calls() const { return calls_; }

    /// Of how many pieces of memory the last call was: readv, sendmsg, writev.
    [[nodiscard]] int pieces() const { return pieces_; }

    /// Notes a call that is being made; its answer, or null.
    const Answer* next(int pieces);

private:
    Call call_;
    Answer answer_;
    int times_;
    int calls_ = 0;
    int pieces_ = 0;
};

}  // namespace ngx::test
