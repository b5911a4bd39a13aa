#pragma once

/// \file
/// System calls that a test can make fail. fake_calls.cpp defines functions with these names, which
/// a test program uses instead of the C library's. They call the kernel unless a FakeCall exists.

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
    io_uring_enter,
    io_uring_setup,
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

/// The answer of a call: it fails with `err`, returns `result`, or is made with at most `at_most`
/// bytes, or for io_uring_setup a completion queue of that size.
struct Answer {
    int err = 0;
    std::optional<int> result{};
    std::size_t at_most = std::numeric_limits<std::size_t>::max();
};

/// During its lifetime the next `times` calls get the answer; later ones go to the kernel. Calls on
/// standard input, output and error are not answered. At most one object for each call.
class FakeCall {
public:
    static constexpr int always = INT_MAX;

    FakeCall(Call call, Answer answer, int times = 1);
    FakeCall(const FakeCall&) = delete;
    FakeCall& operator=(const FakeCall&) = delete;
    ~FakeCall();

    /// Returns the number of calls so far, answered or not.
    [[nodiscard]] int calls() const { return calls_; }

    /// Returns the number of pieces of memory in the last call: readv, sendmsg, writev.
    [[nodiscard]] int pieces() const { return pieces_; }

    /// Counts a call. Returns its answer, or null.
    const Answer* next(int pieces);

private:
    Call call_;
    Answer answer_;
    int times_;
    int calls_ = 0;
    int pieces_ = 0;
};

}  // namespace ngx::test
