#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// systemd's end of NOTIFY_SOCKET.
class Notifications {
public:
    explicit Notifications(const std::filesystem::path& path)
        : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
        if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
            -1) {
            fail("bind() of the notification socket");
        }
    }

    /// Returns the next message.
    [[nodiscard]] std::string next() const
    {
        constexpr int wait_ms = 30'000;
        pollfd entry{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        if (::poll(&entry, 1, wait_ms) != 1) {
            fail("no notification has come");
        }
        std::array<char, 256> text{};
        const ssize_t n = ::recv(socket_.get(), text.data(), text.size(), 0);
        return {text.data(), static_cast<std::size_t>(n)};
    }

    /// Reads and discards all messages.
    void drain() const
    {
        char byte = 0;
        while (::recv(socket_.get(), &byte, 1, MSG_DONTWAIT) != -1) {}
    }

private:
    Fd socket_;
};

/// Returns a listening socket, as systemd would pass it: blocking and without close-on-exec.
int listening_socket(std::uint16_t port)
{
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in address = loopback(port);
    if (::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == -1 ||
        ::listen(s, 10) == -1) {
        fail("no socket to hand over");
    }
    return s;
}

/// Starts a server that gets two sockets, and a LISTEN_FDS of `number`. The shell moves the sockets
/// to systemd's numbers and sets LISTEN_PID.
std::vector<std::string> with_sockets(const TempDir& dir, int given, int other,
                                      std::string_view number)
{
    return {"sh", "-c",
            fmt::format("exec 8<&{0} 9<&{1}; exec 3<&8 4<&9 8<&- 9<&- {0}<&- {1}<&-\n"
                        "LISTEN_FDS={2} LISTEN_PID=$$ exec \"$0\" -p \"$1\" -c nginx.conf",
                        given, other, number),
            setup().binary, dir.path()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(systemd)

BOOST_AUTO_TEST_CASE(systemd_is_notified_of_start_reloads_and_end)
{
    for (const int workers : {2, 0}) {
        const Port port;
        const TempDir dir;
        const Notifications notifications(dir / "notify");
        const ServerConf conf{.stream = server_block(port, "return hello;"), .workers = workers};
        Server server(conf, 1024, {{"NOTIFY_SOCKET", dir / "notify"}});
        const std::string ready = fmt::format("READY=1\nMAINPID={}", server.pid());
        BOOST_TEST(notifications.next() == ready);
        BOOST_TEST(ask(port) == "hello");

        server.signal(SIGHUP);
        BOOST_TEST(notifications.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        BOOST_TEST(notifications.next() == ready);
        BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
        BOOST_TEST(notifications.next() == "STOPPING=1");
    }
}

BOOST_AUTO_TEST_CASE(a_systemd_that_stops_reading_blocks_nothing)
{
    for (const int workers : {2, 0}) {
        const Port port;
        const TempDir dir;
        const Notifications notifications(dir / "notify");
        const ServerConf conf{.stream = server_block(port, "return hello;"), .workers = workers};
        Server server(conf, 1024, {{"NOTIFY_SOCKET", dir / "notify"}});
        server.allow("failed, trying again (11: Resource temporarily unavailable)");
        server.allow("exited on signal 9");

        // The kernel's queue holds about ten of them.
        std::string queue_length = read_file("/proc/sys/net/unix/max_dgram_qlen");
        for (int i = 0; i < std::stoi(queue_length); ++i) {
            server.reload(conf);
        }
        BOOST_TEST(ask(port) == "hello");
        BOOST_TEST(count(server.log(), "failed, trying again") == 1U);
        if (workers > 0) {
            ::kill(server.workers().front(), SIGKILL);
            server.wait_for_workers(2);
        }

        server.pause();
        notifications.drain();
        server.resume();
        server.signal(SIGUSR1);
        BOOST_TEST(notifications.next() == fmt::format("READY=1\nMAINPID={}", server.pid()));
    }
}

BOOST_AUTO_TEST_CASE(a_socket_that_is_handed_over_is_used_where_a_listen_matches)
{
    const Port port;
    const Port unused;
    const int given = listening_socket(port);
    const int other = listening_socket(unused);
    const TempDir dir;
    const ServerConf conf{.stream = server_block(port, "return hello;"), .workers = 2};
    write_file(dir / "nginx.conf", conf.text());
    Child server(with_sockets(dir, given, other, "2"));
    ::close(given);
    ::close(other);
    wait_for_text(dir / "error.log", "start worker process ", patience(), 2, &server);
    BOOST_TEST(ask(port) == "hello");
    BOOST_TEST(connect_error(unused) == ECONNREFUSED);
    const std::string log = server.err() + read_file(dir / "error.log");
    BOOST_TEST(count(log, "using 2 sockets from systemd\n") == 1U, log);
    BOOST_TEST(count(log, "[emerg]") == 0U, log);
    BOOST_TEST(std::filesystem::read_symlink(fmt::format("/proc/{}/fd/3", server.pid()))
                   .string()
                   .starts_with("socket:"));
    server.signal(SIGTERM);
    BOOST_TEST(server.wait(patience()).exited_with(0));
}

BOOST_AUTO_TEST_CASE(a_wrong_number_of_sockets_is_reported_and_uses_no_other_descriptor)
{
    for (const char* const number : {"3", "8", "100", "1000000", "2147483644"}) {
        const Port port;
        const Port unused;
        const TempDir dir;
        const ServerConf conf{.stream = server_block(port, "return hello;"), .workers = 1};
        write_file(dir / "nginx.conf", conf.text());
        const int given = listening_socket(port);
        const int other = listening_socket(unused);
        Child server(with_sockets(dir, given, other, number));
        ::close(given);
        ::close(other);
        wait_for_text(dir / "error.log", "start worker process ", patience(), 1, &server);
        BOOST_TEST(ask(port) == "hello");
        server.signal(SIGTERM);
        BOOST_TEST(server.wait(patience()).exited_with(0));

        const std::string log = server.err() + read_file(dir / "error.log");
        BOOST_TEST(count(log, "using 2 sockets from systemd\n") >= 1U, log);
        BOOST_TEST(count(read_file(dir / "error.log"), "[emerg]") <= 1U, log);
        BOOST_TEST(
            count(log, fmt::format("2 of {} descriptors from systemd are sockets\n", number)) >= 1U,
            log);
        BOOST_TEST(count(log, "[alert]") == 0U, log);
    }
}

BOOST_AUTO_TEST_CASE(sockets_for_another_process_are_not_touched)
{
    const Port port;
    const Server server({.stream = server_block(port, "return hello;"), .workers = 1}, 1024,
                        {{"LISTEN_PID", "1"}, {"LISTEN_FDS", "3"}});
    BOOST_TEST(ask(port) == "hello");
    BOOST_TEST(count(server.log(), "from systemd") == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
