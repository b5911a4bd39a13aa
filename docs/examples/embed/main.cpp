/// \file
/// embed [SOCKET]: a program that runs ngxx's loop with its own configuration, which serves a text.
/// A client on another thread reads the text and wakes the loop, which then ends.

#include <csignal>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "core/cycle.hpp"
#include "core/embed.hpp"
#include "event/event_turn.hpp"
#include "event/event_wake.hpp"

namespace {

constexpr const char* conf = R"(
    master_process off; events {{ worker_connections 64; }}
    stream {{ server {{ listen unix:{}; return "This is connection $connection.\n"; }} }}
)";

/// Returns everything that the server sends; empty if the connect fails.
std::string read_all(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);

    std::string text;
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
        char byte = 0;
        while (::read(fd, &byte, 1) == 1) {
            text += byte;
        }
    }
    ::close(fd);
    return text;
}

}  // namespace

int main(int argc, char** argv)
{
    const std::string path = argc > 1 ? argv[1] : "embed.sock";
    std::signal(SIGPIPE, SIG_IGN);

    bool woken = false;
    ngx::EventWaker waker;
    waker.data = &woken;
    waker.handler = [](ngx::EventWaker& w) noexcept { *static_cast<bool*>(w.data) = true; };

    // The library logs each failure.
    ngx::Cycle* cycle = ngx::init_library();
    if (cycle) {
        cycle->conf_text = fmt::format(conf, path);
        cycle = ngx::start_cycle(*cycle);
    }
    if (!cycle || ngx::event_waker_init(waker, *cycle) != ngx::Rc::ok) {
        return 1;
    }

    std::thread client([&] {
        fmt::print("{}", read_all(path));
        ngx::event_wake(waker);
    });
    while (!woken) {
        ngx::process_events_and_timers(*cycle);
    }
    client.join();

    ngx::event_waker_done(waker);
    ngx::stop_cycle(*cycle);
    fmt::print("The loop has ended.\n");
}
