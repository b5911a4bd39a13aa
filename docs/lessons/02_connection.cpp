/// \file
/// Lesson 2: the life of a connection, which is a slot of an array and a descriptor.

#include <unistd.h>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_timer.hpp"

namespace ngx::lesson {

namespace {

constexpr const char* conf = "master_process off; events { use epoll; worker_connections 16; }";

/// An echo: sends back the data, and closes the connection at the end of the data.
void echo(Event& rev) noexcept
{
    Connection& c = connection_of(rev);
    char buf[64];
    ssize_t n = 0;
    while ((n = c.recv(c, buf, sizeof(buf))) > 0) {
        say("  handler: recv() returns %zd, send() returns %zd", n,
            c.send(c, buf, static_cast<std::size_t>(n)));
    }
    if (n == io_again) {
        say("  handler: recv() returns io_again: ready %d, active %d", unsigned{rev.ready},
            unsigned{rev.active});
        return;
    }
    say("  handler: recv() returns 0, eof %d; close", unsigned{rev.eof});
    close_connection(c);
}

void show_slot(const Connection& c)
{
    say("  slot %ld, instance %d, ready %d, active %d; free slots: %zu", slot_of(c),
        unsigned{c.read->instance}, unsigned{c.read->ready}, unsigned{c.read->active},
        ngx_cycle->free_connection_n);
}

void show()
{
    Loop loop(conf);
    say("Before the first connection %zu slots are free.", loop->free_connection_n);

    Pair pair = open_pair(echo);
    say("get_connection() takes the head of the free list:");
    show_slot(*pair.c);

    say("handle_read_event() adds it to the poller:");
    (void)handle_read_event(*pair.c->read, 0);
    show_slot(*pair.c);

    say("The peer sends, and a turn calls the handler:");
    send_text(pair.peer, "hello");
    loop.turn();
    char reply[8];
    say("  the peer receives %zd bytes", ::read(pair.peer, reply, sizeof(reply)));

    say("A timer is set, and the peer closes; the handler closes the connection:");
    add_timer(*pair.c->read, 60'000);
    ::close(pair.peer);
    loop.turn();
    say("  fd is %d, a timer is set: %s; free slots: %zu", pair.c->fd,
        yes_no(pair.c->read->timer_set()), loop->free_connection_n);

    say("The next connection gets the slot that was freed last, with the other instance:");
    pair = open_pair(echo);
    show_slot(*pair.c);
    close_connection(*pair.c);

    say("Closing it a second time is an error, which is logged:");
    close_connection(*pair.c);
    say("%s", loop.log().c_str());
    ::close(pair.peer);
}

/// Opens four connections, closes those in the given slots, and returns the slot that is used next.
long slot_after(const Loop& loop, const int* closed, int n)
{
    Pair pairs[4];
    for (Pair& pair : pairs) {
        pair = open_pair(echo);
    }
    for (int i = 0; i < n; i++) {
        close_connection(loop->connections[static_cast<std::size_t>(closed[i])]);
    }
    const Pair next = open_pair(echo);
    ::close(next.peer);
    for (const Pair& pair : pairs) {
        ::close(pair.peer);
    }
    return slot_of(*next.c);
}

void check(Checker& checker)
{
    constexpr int closed[] = {2, 0, 3};
    for (int n = 0; n <= 3; n++) {
        const Loop loop(conf);
        checker.same(1, std::to_string(n) + " of the slots 2, 0, 3 were closed in this order",
                     slot_after(loop, closed, n), exercise::next_slot(closed, n, 4));
    }

    const Loop loop(conf);
    for (int use = 1; use <= 4; use++) {
        const Pair pair = open_pair(echo);
        checker.same(2, "use " + std::to_string(use), pair.c->read->instance,
                     static_cast<long long>(exercise::instance_of_use(use)));
        close_connection(*pair.c);
        ::close(pair.peer);
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
