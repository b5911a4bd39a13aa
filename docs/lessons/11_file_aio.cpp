/// \file
/// Lesson 11: asynchronous file reads, and the eventfd that reports their completion to epoll.

#include <list>
#include <poll.h>
#include <string_view>

#include "core/file.hpp"
#include "core/palloc.hpp"
#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "os/unix/files.hpp"

namespace ngx::lesson {

namespace {

constexpr const char* conf =
    "master_process off; events { use epoll; worker_connections 16; worker_aio_requests 8; }";
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz";
constexpr std::size_t buffer_size = 64;

bool quiet = false;

/// One read with its own file, because a file has one EventAio. nginx does the same.
struct Read {
    File file{};
    char buf[buffer_size]{};
    bool handled = false;
    ssize_t result = io_again;
};

class Reads {
public:
    Reads() : fd_(checked(open_file(loop_.path("letters").c_str(), O_RDWR, O_CREAT, 0600), "open"))
    {
        checked(static_cast<int>(::write(fd_, letters.data(), letters.size())), "write");
    }
    Reads(const Reads&) = delete;
    Reads& operator=(const Reads&) = delete;
    ~Reads() { ::close(fd_); }

    Read& begin(off_t offset, std::size_t size)
    {
        Read& read = reads_.emplace_back();
        read.file.fd = fd_;
        read.file.name = "letters";
        read.file.log = loop_->log;
        again(read, offset, size);
        read.file.aio->data = &read;
        read.file.aio->handler = handler;
        return read;
    }

    /// Makes the call that starts a read and also returns the result, as in nginx.
    ssize_t again(Read& read, off_t offset, std::size_t size)
    {
        return read.result = file_aio_read(read.file, read.buf, size, offset, *loop_->pool);
    }

    /// Makes turns until the handler of a read has run.
    void wait_for(const Read& read)
    {
        while (!read.handled) {
            loop_.turn();
        }
    }

    Loop& loop() { return loop_; }

private:
    static void handler(Event& ev) noexcept
    {
        auto& read = *static_cast<Read*>(static_cast<EventAio*>(ev.data)->data);
        read.handled = true;
        if (quiet) {
            return;
        }
        say("  handler: complete %d, ready %d, res %ld", unsigned{ev.complete}, unsigned{ev.ready},
            static_cast<long>(static_cast<EventAio*>(ev.data)->res));
    }

    Loop loop_{conf};
    int fd_;
    std::list<Read> reads_{};
};

void skip_without_aio()
{
    bool has_aio = false;
    {
        const Loop loop(conf);
        has_aio = file_aio;
    }
    if (!has_aio) {
        skip("this system does not support asynchronous reads");
    }
}

void show_event(const Read& read)
{
    const Event& ev = read.file.aio->event;
    say("  file_aio_read() returns io_again: active %d, ready %d, complete %d", unsigned{ev.active},
        unsigned{ev.ready}, unsigned{ev.complete});
}

void show()
{
    skip_without_aio();
    Reads reads;
    say("A read of 4 bytes at offset 10 starts:");
    Read& read = reads.begin(10, 4);
    show_event(read);

    say("A second read before the first is complete is an error:");
    reads.again(read, 10, 4);
    say("%s", reads.loop().log().c_str());

    say("The eventfd becomes readable, and turns of the loop deliver the result:");
    reads.wait_for(read);

    say("The same call now returns it:");
    const ssize_t n = reads.again(read, 10, 4);
    say("  file_aio_read() returns %zd: \"%.*s\"", n, static_cast<int>(n), read.buf);

    say("A read of 4 bytes at offset 24, where 2 bytes remain:");
    Read& last = reads.begin(24, 4);
    show_event(last);
    reads.wait_for(last);
    const ssize_t rest = reads.again(last, 24, 4);
    say("  file_aio_read() returns %zd: \"%.*s\"", rest, static_cast<int>(rest), last.buf);
}

/// Starts reads, and reads the eventfd instead of the loop. Returns the sum.
std::uint64_t sum_after(Reads& reads, int n)
{
    for (int i = 0; i < n; i++) {
        reads.begin(i, 1);
    }
    std::uint64_t sum = 0;
    pollfd entry{.fd = eventfd, .events = POLLIN, .revents = 0};
    while (sum < static_cast<std::uint64_t>(n) && ::poll(&entry, 1, 5000) == 1) {
        std::uint64_t count = 0;
        checked(static_cast<int>(::read(eventfd, &count, sizeof(count))), "read");
        sum += count;
    }
    return sum;
}

void check(Checker& checker)
{
    quiet = true;
    skip_without_aio();
    struct {
        long offset;
        long size;
    } constexpr cases[] = {{0, 4}, {0, 26}, {0, 30}, {24, 4}, {26, 4}, {40, 1}};
    for (const auto& c : cases) {
        Reads reads;
        Read& read = reads.begin(c.offset, static_cast<std::size_t>(c.size));
        reads.wait_for(read);
        const ssize_t n = reads.again(read, c.offset, static_cast<std::size_t>(c.size));
        checker.same(1, "26 bytes, " + std::to_string(c.size) + " at " + std::to_string(c.offset),
                     n, exercise::bytes_read(26, c.offset, c.size));
    }
    for (const int n : {1, 2, 7}) {
        Reads reads;
        checker.same(2, std::to_string(n) + " reads", static_cast<long long>(sum_after(reads, n)),
                     static_cast<long long>(exercise::sum_of_eventfd(n)));
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
