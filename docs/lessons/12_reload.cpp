/// \file
/// Lesson 12: a new cycle takes over the sockets of the old one, in one process without a master.

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"

namespace ngx::lesson {

namespace {

std::string conf_of(const std::string& sockets, int connections)
{
    std::string text = "master_process off; events { use epoll; worker_connections " +
                       std::to_string(connections) + "; } stream { ";
    for (const char name : sockets) {
        text += std::string("server { listen unix:DIR/") + name + "; return x; } ";
    }
    return text + "}";
}

Connection* served;  // the last client

void echo(Event& rev) noexcept
{
    Connection& c = connection_of(rev);
    char buf[16];
    const ssize_t n = c.recv(c, buf, sizeof(buf));
    if (n > 0) {
        (void)c.send(c, buf, static_cast<std::size_t>(n));
    } else if (n != io_again) {
        close_accepted(c);
    }
}

void accept_handler(Connection& c) noexcept
{
    served = &c;
    set_handlers(c, echo);
    (void)handle_read_event(*c.read, 0);
}

void set_accept_handlers(const Loop& loop)
{
    for (Listening& ls : loop->listening) {
        ls.handler = accept_handler;
    }
}

void show_cycle(const Loop& loop)
{
    say("  generation %zu, %zu listeners, %zu connections, %zu of them free; old cycles: %zu",
        loop->generation, loop->listening.size(), loop->connection_n, loop->free_connection_n,
        old_cycles.size());
}

/// Prints the number of bytes that the client receives.
void show_echo(Loop& loop, int client)
{
    send_text(client, "hello");
    loop.turn();
    char buf[16];
    say("  the client receives %zd bytes", ::recv(client, buf, sizeof(buf), MSG_DONTWAIT));
}

void show()
{
    Loop loop(conf_of("ab", 16));
    set_accept_handlers(loop);
    say("The server starts with listeners a and b, and a client connects to a:");
    const int client = connect_to(loop.path("a"));
    loop.turn();
    show_cycle(loop);
    show_echo(loop, client);
    const int descriptor = loop->listening[0].fd;

    say("A reload keeps a, removes b, adds c, and sets 32 connections:");
    (void)loop.reload(conf_of("ac", 32));
    set_accept_handlers(loop);
    show_cycle(loop);
    say("  a has the same descriptor: %s", yes_no(loop->listening[0].fd == descriptor));
    say("  the socket file of b exists: %s", yes_no(::access(loop.path("b").c_str(), F_OK) == 0));

    say("The client of the old cycle continues, in a slot of the old array:");
    const Connection* const first = loop->connections.get();
    say("  its slot is in the new array: %s",
        yes_no(served >= first && served < first + loop->connection_n));
    show_echo(loop, client);

    say("A refused reload changes nothing:");
    (void)loop.log();
    (void)loop.reload("master_process off; events { use epol; }");
    say("%s", loop.log().c_str());
    show_cycle(loop);

    say("Two successful reloads, before and after the client closes:");
    (void)loop.reload(conf_of("ac", 32));
    show_cycle(loop);
    ::close(client);
    loop.turn();
    (void)loop.reload(conf_of("ac", 32));
    show_cycle(loop);
}

void check(Checker& checker)
{
    for (const std::string old_path : {"a", "b"}) {
        for (const std::string new_path : {"a", "b"}) {
            Loop loop(conf_of(old_path, 16));
            const int keeper = ::dup(loop->listening[0].fd);  // so that numbers are not reused
            const int before = loop->listening[0].fd;
            (void)loop.reload(conf_of(new_path, 16));
            checker.same(1, old_path + " becomes " + new_path, loop->listening[0].fd == before,
                         static_cast<long long>(exercise::keeps_descriptor(old_path, new_path)));
            ::close(keeper);
        }
    }

    for (const int refused : {0, 2}) {
        for (const int good : {0, 3}) {
            Loop loop(conf_of("a", 16));
            for (int i = 0; i < refused; i++) {
                (void)loop.reload("events { use none; }");
            }
            for (int i = 0; i < good; i++) {
                (void)loop.reload(conf_of("a", 16));
            }
            checker.same(2,
                         std::to_string(good) + " reloads and " + std::to_string(refused) +
                             " refused ones",
                         static_cast<long long>(loop->generation),
                         exercise::generation_after(good, refused));
        }
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
