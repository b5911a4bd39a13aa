/// \file
/// Lesson 15: epoll reports what a process can do, io_uring what the kernel has done.

#include <algorithm>
#include <list>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "docs/lessons/ring.hpp"

namespace ngx::lesson {

namespace {

/// Flags of a send: take what fits now, and count less than all as a failure.
constexpr int send_flags = MSG_DONTWAIT | MSG_WAITALL;

const std::string megabyte(1'000'000, 'x');

void show_both()
{
    Ring ring;
    say("Five bytes arrive, and epoll and a ring report them:");
    const Ends ends;
    const int ep = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    epoll_event report{.events = EPOLLIN, .data{}};
    checked(::epoll_ctl(ep, EPOLL_CTL_ADD, ends.fd(), &report), "epoll_ctl");
    ends.peer_sends("bytes");
    checked(::epoll_wait(ep, &report, 1, 0), "epoll_wait");
    say("  epoll_wait(): readable %s; the socket has %d bytes",
        yes_no((report.events & EPOLLIN) != 0), in_socket(ends.fd()));
    ::close(ep);

    ::io_uring_prep_poll_add(&ring.queue(), ends.fd(), POLLIN);
    const int found = ring.enter().at(0).res;
    say("  completion of a poll: readable %s; the socket has %d bytes",
        yes_no((found & POLLIN) != 0), in_socket(ends.fd()));
    char buf[16];
    ::io_uring_prep_recv(&ring.queue(), ends.fd(), buf, sizeof(buf), 0);
    const int n = ring.enter().at(0).res;
    say("  completion of a receive: %d bytes, \"%.*s\"; the socket has %d bytes", n, n, buf,
        in_socket(ends.fd()));
}

void show_polls()
{
    say("Three descriptors are added, and the last of them is deleted:");
    const std::list<Ends> all(3);
    Ring ring;
    Use use;
    for (const Ends& ends : all) {
        io_uring_sqe& sqe = ring.queue();
        ::io_uring_prep_poll_multishot(&sqe, ends.fd(), POLLIN);
        sqe.user_data = use.user_data();
        use.slot++;
    }
    queue_cancel(ring, 2);
    say("  requests in the queue: %u; calls: %d", ring.queued(), ring.calls());
    const io_uring_cqe deleted = ring.enter().at(0);
    say("  requests in the queue: %u; calls: %d", ring.queued(), ring.calls());
    say("  completion for %llu: %s", deleted.user_data, text_of(deleted).c_str());
    for (const char* const what : {"data", "more data"}) {
        all.front().peer_sends(what);
        const io_uring_cqe completion = ring.enter().at(0);
        say("  %s arrives; completion for %llu, the request stays: %s", what, completion.user_data,
            yes_no((completion.flags & IORING_CQE_F_MORE) != 0));
    }
    say("  nothing is read, and nothing arrives: %zu completions", ring.enter().size());
}

void show_receive()
{
    say("A receive is outstanding, ten bytes arrive, and a handler reads up to four at a time:");
    Ends ends;
    Ring ring;
    Receiver c(ring, {.fd = ends.fd()});
    (void)ring.enter();
    ends.peer_sends("ten bytes.");
    c.store(ring.enter().at(0));
    say("  before the handler runs: %d bytes in the socket, %zu in a buffer", in_socket(ends.fd()),
        c.left());
    char buf[4];
    while (c.ready()) {
        const int n = c.recv(buf, sizeof(buf));
        say("  recv() returns %d, ready %d; receives in the queue: %u", n, int{c.ready()},
            ring.queued());
    }
    (void)ring.enter();
    ends.close_peer();
    c.store(ring.enter().at(0));
    say("  the peer closes: recv() returns %d", c.recv(buf, sizeof(buf)));
}

/// Makes the call, and handles the completions for a slot as a loop does. Buffers always go back.
void dispatch(Ring& ring, const Use& use)
{
    for (const io_uring_cqe& completion : ring.enter()) {
        const bool stale = completion.user_data != use.user_data();
        say("  slot %u is in generation %u; completion of generation %llu: %s, %s", use.slot,
            use.generation, completion.user_data >> 32, text_of(completion).c_str(),
            stale ? "dropped" : "delivered");
        if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
            ring.buffers.give(buffer_of(completion));
        }
    }
}

void show_stale()
{
    say("A connection is closed while its receive is outstanding, and its slot is used again:");
    Ring ring;
    Ends first;
    const Use use{.slot = 7, .generation = 1, .fd = first.fd()};
    queue_receive(ring, use);
    (void)ring.enter();
    first.close_ours();
    say("  after close() the peer reads %s", what_recv_gives(first.peer()).c_str());
    queue_cancel(ring, use.user_data());
    Ends second;
    const Use next{.slot = 7, .generation = 2, .fd = second.fd()};
    queue_receive(ring, next);
    dispatch(ring, next);
    say("  the peer reads %s; the new connection has the same descriptor: %s",
        what_recv_gives(first.peer()).c_str(), yes_no(next.fd == use.fd));

    say("It is closed, too, when its data has been received but not been dispatched:");
    second.peer_sends("old");
    second.close_ours();
    const Ends third;
    const Use last{.slot = 7, .generation = 3, .fd = third.fd()};
    third.peer_sends("fresh");
    queue_receive(ring, last);
    dispatch(ring, last);
}

void show_no_buffer()
{
    say("Three peers send, and the ring has two buffers:");
    const std::list<Ends> all(3);
    Ring ring(2);
    Use use{.generation = 1};
    for (const Ends& ends : all) {
        use.fd = ends.fd();
        queue_receive(ring, use);
        ends.peer_sends("text");
    }
    for (const io_uring_cqe& completion : ring.enter()) {
        say("  completion: %s", text_of(completion).c_str());
    }
    say("  the third socket has %d bytes", in_socket(use.fd));
    ring.buffers.give(0);
    queue_receive(ring, use);
    say("  a buffer goes back, and the receive is made again: %s",
        text_of(ring.enter().at(0)).c_str());
}

void show_sends()
{
    say("A send, and a close that is linked to it:");
    Ring ring;
    Ends ends;
    const int fd = ends.release();
    queue_send_and_close(ring, fd, "bytes", send_flags);
    say("  before the call the peer reads %s", what_recv_gives(ends.peer()).c_str());
    const std::size_t n = ring.enter().size();
    const std::string got = what_recv_gives(ends.peer());
    say("  after it: %zu completions; the peer reads %s, then %s", n, got.c_str(),
        what_recv_gives(ends.peer()).c_str());

    say("A megabyte, for which the socket has not enough room:");
    const Ends full;
    queue_send_and_close(ring, full.fd(), megabyte, send_flags);
    const std::vector<io_uring_cqe> completions = ring.enter();
    say("  %zu completion, of the send: ~%s", completions.size(),
        text_of(completions.at(0)).c_str());
    say("  the descriptor is open: %s", yes_no(is_open(full.fd())));
}

void show()
{
    show_both();
    show_polls();
    show_receive();
    show_stale();
    show_no_buffer();
    show_sends();
}

/// Each user data comes from a completion. Its slot is as it was left, closed, or used again.
void check_user_data(Checker& checker)
{
    Ring ring;
    for (const Use& use : {Use{.slot = 3, .generation = 1}, Use{.slot = 70'000, .generation = 0},
                           Use{.slot = 0, .generation = 0x9000'0000}}) {
        io_uring_sqe& sqe = ring.queue();
        ::io_uring_prep_nop(&sqe);
        sqe.user_data = use.user_data();
        const std::uint64_t data = ring.enter().at(0).user_data;
        const std::string text = "user data " + std::to_string(data);
        checker.same(1, text + ", slot", use.slot, exercise::slot_in(data));
        checker.same(1, text + ", generation", use.generation, exercise::generation_in(data));
        for (const std::uint32_t later : {0U, 1U, 2U}) {
            for (const int fd : {-1, 5}) {
                const std::uint32_t generation = use.generation + later;
                checker.same(2,
                             text + "; the slot has descriptor " + std::to_string(fd) +
                                 ", generation " + std::to_string(generation) + "; stale",
                             yes_no(fd == -1 || later != 0),
                             yes_no(exercise::is_stale(data, fd, generation)));
            }
        }
    }
}

/// A send that waits, or that is content with a part, has no completion.
void check_send(Checker& checker)
{
    Ring ring;
    const Ends ends;
    for (const char* const room : {"for a part of a megabyte", "for nothing"}) {
        queue_send_and_close(ring, ends.fd(), megabyte, exercise::flags_of_send());
        checker.same(3, std::string("the socket has room ") + room + ", completions", 1,
                     static_cast<long long>(ring.enter().size()));
    }
}

void check_take(Checker& checker)
{
    Ring ring;
    const Ends ends;
    queue_receive(ring, {.fd = ends.fd()});
    ends.peer_sends("ten bytes.");
    const io_uring_cqe got = ring.enter().at(0);
    const auto all = static_cast<std::size_t>(got.res);
    exercise::Received from{.data = ring.buffers.take(buffer_of(got), all), .left = all};
    for (const char* const part : {"ten ", "byte", "s.", ""}) {
        char into[4] = {};
        const std::size_t n = exercise::take(from, into, sizeof(into));
        checker.same(4, "up to four bytes of \"ten bytes.\"", part,
                     std::string(into, std::min(n, sizeof(into))));
    }
    checker.same(4, "bytes that remain", 0, static_cast<long long>(from.left));
}

void check_receives_again(Checker& checker)
{
    Ring ring(1);
    Ends ends;
    const Use use{.fd = ends.fd()};
    const auto compare = [&](int res, std::size_t unread, int free, bool again) {
        checker.same(5,
                     "result " + std::to_string(res) + ", unread " + std::to_string(unread) +
                         ", free buffers " + std::to_string(free),
                     yes_no(again), yes_no(exercise::receives_again(res, unread, free)));
    };
    const auto receive = [&] {
        queue_receive(ring, use);
        return ring.enter().at(0).res;
    };
    ends.peer_sends("text");
    const int text = receive();
    compare(text, 4, 0, false);
    compare(text, 1, 0, false);
    compare(text, 0, 1, true);
    ends.peer_sends("more");
    const int refused = receive();
    compare(refused, 0, 0, false);
    compare(refused, 0, 1, true);
    ring.buffers.give(0);
    (void)receive();
    ring.buffers.give(0);
    queue_receive(ring, use);
    queue_cancel(ring, use.user_data());
    compare(ring.enter().at(0).res, 0, 1, false);
    ends.close_peer();
    compare(receive(), 0, 1, false);
}

void check(Checker& checker)
{
    check_user_data(checker);
    check_send(checker);
    check_take(checker);
    check_receives_again(checker);
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
