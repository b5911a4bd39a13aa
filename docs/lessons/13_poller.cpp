/// \file
/// Lesson 13: a poller in 80 lines, with poll(2), which replaces epoll.

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <unistd.h>
#include <vector>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_dispatch.hpp"
#include "os/unix/os.hpp"

namespace ngx::lesson {

namespace {

// ---- the poller ----

extern const EventActions tiny_actions;

struct {
    std::vector<pollfd> fds{};  // one for each watched connection
    std::vector<Connection*> connections{};
} state;

Rc tiny_init(Cycle& cycle, Msec)
{
    state.fds.reserve(cycle.connection_n);  // so that the loop does not allocate
    state.connections.reserve(cycle.connection_n);
    io = os_io;
    event_actions = tiny_actions;
    event_flags = use_level_event;
    return Rc::ok;
}

void tiny_done(Cycle&)
{
    state = {};
}

/// Updates the table to the `active` bits of the connection's two events.
Rc update(Event& ev, bool active) noexcept
{
    ev.active = active;
    Connection& c = connection_of(ev);
    const auto events =
        static_cast<short>((c.read->active ? POLLIN : 0) | (c.write->active ? POLLOUT : 0));

    const auto found = std::ranges::find(state.connections, &c);
    const auto place = found - state.connections.begin();
    if (found == state.connections.end()) {
        state.connections.push_back(&c);
        state.fds.push_back({.fd = c.fd, .events = events, .revents = 0});
    } else if (events != 0) {
        state.fds[static_cast<std::size_t>(place)].events = events;
    } else {
        state.connections.erase(found);
        state.fds.erase(state.fds.begin() + place);
    }
    return Rc::ok;
}

Rc tiny_add(Event& ev, EventType, unsigned) noexcept
{
    return update(ev, true);
}

/// Also with close_event: poll() reports an error for a closed descriptor.
Rc tiny_del(Event& ev, EventType, unsigned) noexcept
{
    return update(ev, false);
}

/// Posts with any flags, so that no handler runs while it could make other reports stale.
Rc tiny_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    const int n = ::poll(state.fds.data(), state.fds.size(), wait_timeout(timer));
    const Rc rc = after_wait(cycle, n, timer, flags, "poll");

    for (std::size_t i = 0; n > 0 && i < state.fds.size(); i++) {
        const short revents = state.fds[i].revents;
        const bool error = (revents & (POLLERR | POLLHUP)) != 0;
        Connection& c = *state.connections[i];
        if (c.read->active && (error || (revents & POLLIN) != 0)) {
            c.read->available = -1;
            post_ready_event(*c.read);
        }
        if (c.write->active && (error || (revents & POLLOUT) != 0)) {
            post_ready_event(*c.write);
        }
    }
    return rc;
}

constexpr EventActions tiny_actions = {
    .add = tiny_add,
    .del = tiny_del,
    .enable = tiny_add,
    .disable = tiny_del,
    .add_conn = nullptr,
    .del_conn = nullptr,
    .notify = nullptr,
    .process_events = tiny_process_events,
    .init = tiny_init,
    .done = tiny_done,
};

// ---- the lesson ----

std::string conf_of(const std::string& poller)
{
    return "master_process off; events { use " + poller + "; worker_connections 16; }";
}

std::string called;  // the letters of the handlers

void read_handler(Event& rev) noexcept
{
    Connection& c = connection_of(rev);
    char buf[16];
    const ssize_t n = c.recv(c, buf, sizeof(buf));
    say("  read handler: recv() returns %zd", n);
    if (n == 0) {
        close_connection(c);
    } else {
        (void)handle_read_event(rev, 0);
    }
}

void write_handler(Event& wev) noexcept
{
    say("  write handler: the socket has room, and no data is left to send");
    (void)handle_write_event(wev, 0);
}

void show_state(const Pair& pair)
{
    say("  in the table: %zu; read active %d, write active %d", state.fds.size(),
        unsigned{pair.c->read->active}, unsigned{pair.c->write->active});
}

void show()
{
    Loop loop(conf_of("epoll"));
    event_actions.done(*loop);
    (void)tiny_init(*loop, 0);

    const Pair pair = open_pair(read_handler);
    pair.c->write->handler = write_handler;
    say("Both events are added:");
    (void)handle_read_event(*pair.c->read, 0);
    (void)handle_write_event(*pair.c->write, 0);
    show_state(pair);

    say("A turn: the write event is level-triggered, and is deleted when it is not needed:");
    loop.turn();
    show_state(pair);

    say("Data arrives:");
    send_text(pair.peer, "data");
    loop.turn();
    show_state(pair);

    say("The peer closes:");
    ::close(pair.peer);
    loop.turn();
    show_state(pair);
    say("  logged: %s", loop.log().empty() ? "nothing" : "something");
}

// ---- the behaviour of the server's own poll module, for the exercises ----

/// The action of the peer.
enum class Fate { sends, goes, pipe_ends };

/// Opens a connection whose peer does this. For a closed pipe poll() reports only POLLHUP, and not
/// POLLIN.
Pair open_with(Fate fate)
{
    Pair pair = open_pair(nullptr);
    if (fate == Fate::sends) {
        send_text(pair.peer, "x");
        return pair;
    }
    ::close(std::exchange(pair.peer, -1));
    if (fate == Fate::pipe_ends) {
        int s[2];
        checked(::pipe(s), "pipe");
        ::close(s[1]);
        checked(::dup2(s[0], pair.c->fd), "dup2");
        ::close(s[0]);
    }
    return pair;
}

struct Report {
    short revents = 0;
    std::string called{};
};

Report report_of(bool read, bool write, Fate fate)
{
    Loop loop(conf_of("poll"));
    const Pair pair = open_with(fate);
    called.clear();
    pair.c->read->handler = [](Event&) noexcept { called += 'r'; };
    pair.c->write->handler = [](Event&) noexcept { called += 'w'; };
    pollfd entry{.fd = pair.c->fd, .events = 0, .revents = 0};
    if (read) {
        (void)event_actions.add(*pair.c->read, read_event, level_event);
        entry.events |= POLLIN;
    }
    if (write) {
        (void)event_actions.add(*pair.c->write, write_event, level_event);
        entry.events |= POLLOUT;
    }
    (void)::poll(&entry, 1, 0);
    loop.turn(0);
    if (pair.peer != -1) {
        ::close(pair.peer);
    }
    return {entry.revents, called};
}

void check(Checker& checker)
{
    for (const int active : {0, 1, 2, 3}) {
        const bool read = (active & 1) != 0;
        const bool write = (active & 2) != 0;
        const std::string text =
            "active are read: " + std::string(yes_no(read)) + ", write: " + yes_no(write);
        checker.same(1, text, (read ? POLLIN : 0) | (write ? POLLOUT : 0),
                     exercise::wanted_events(read, write));
        for (const Fate fate : {Fate::sends, Fate::goes, Fate::pipe_ends}) {
            if (active == 0 || (write && fate == Fate::pipe_ends)) {
                continue;
            }
            const Report report = report_of(read, write, fate);
            checker.same(2, text + "; revents " + std::to_string(report.revents), report.called,
                         exercise::handlers_to_call(report.revents, read, write));
        }
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
