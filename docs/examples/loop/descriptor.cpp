// Two descriptors of the program, the ends of a pair of sockets: one end writes a word and closes,
// the other reads until the end. Then nothing is left to wait for, and the program ends.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <sys/socket.h>
#include <unistd.h>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/embed.hpp"
#include "event/event.hpp"
#include "event/event_turn.hpp"

namespace {

/// Reads until the call would block. Then the event is not ready any more and must be watched.
void read_all(ngx::Event& rev) noexcept
{
    ngx::Connection& c = *static_cast<ngx::Connection*>(rev.data);
    char text[64];
    ssize_t n = 0;
    while ((n = ::read(c.fd, text, sizeof(text))) > 0) {
        std::printf("%zd bytes: %.*s\n", n, static_cast<int>(n), text);
    }
    if (n == -1 && errno == EAGAIN) {
        rev.ready = 0;
        if (ngx::handle_read_event(rev, 0) == ngx::Rc::ok) {
            return;
        }
    }
    std::printf(n == 0 ? "end\n" : "error\n");
    ngx::close_connection(c);
}

void write_word(ngx::Event& wev) noexcept
{
    ngx::Connection& c = *static_cast<ngx::Connection*>(wev.data);
    if (::write(c.fd, "hello", 5) == -1 && errno == EAGAIN) {
        wev.ready = 0;
        if (ngx::handle_write_event(wev, 0) == ngx::Rc::ok) {
            return;
        }
    }
    ngx::close_connection(c);
}

/// Creates a connection that owns the descriptor. If that fails, closes `fd` and returns null.
ngx::Connection* own(int fd, ngx::Cycle& cycle)
{
    ngx::Connection* const c = ngx::get_connection(fd, cycle.log);
    if (!c) {
        ::close(fd);
        return nullptr;
    }
    c->read->log = cycle.log;
    c->write->log = cycle.log;
    c->read->handler = read_all;
    c->write->handler = write_word;
    return c;
}

}  // namespace

int main()
{
    std::signal(SIGPIPE, SIG_IGN);
    ngx::Cycle* cycle = ngx::init_library();
    if (cycle) {
        cycle->conf_text = "master_process off; events { worker_connections 16; }";
        cycle = ngx::start_cycle(*cycle);
    }
    int fd[2];
    if (!cycle || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == -1) {
        return 1;
    }
    ngx::Connection* const reader = own(fd[0], *cycle);
    ngx::Connection* const writer = own(fd[1], *cycle);
    if (!reader || !writer || ngx::handle_read_event(*reader->read, 0) != ngx::Rc::ok ||
        ngx::handle_write_event(*writer->write, 0) != ngx::Rc::ok) {
        return 1;
    }
    while (ngx::cycle_is_alive(*cycle)) {
        ngx::process_events_and_timers(*cycle);
    }
    ngx::stop_cycle(*cycle);
}
