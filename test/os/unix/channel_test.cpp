// Messages between processes. This process has both ends, which makes no difference for a socket.

#include "os/unix/channel.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "event/event.hpp"
#include "test/event/listen_module.hpp"
#include "test/support/log.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

namespace {

using Calls = std::vector<std::string>;

/// Both ends of a channel, as spawn_process() creates them.
struct Ends {
    Ends()
    {
        int fds[2];
        BOOST_TEST_REQUIRE(
            ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
        out = Fd(fds[0]);
        in = Fd(fds[1]);
    }

    Rc write(const Channel& ch) { return write_channel(out.get(), ch, &log.log); }
    Rc read(Channel& ch) { return read_channel(in.get(), ch, &log.log); }

    /// Sends the bytes of a message, or the first of them, without a control message.
    void send_bytes(const Channel& ch, std::size_t n = sizeof(Channel)) const
    {
        BOOST_TEST(::send(out.get(), &ch, n, 0) == static_cast<ssize_t>(n));
    }

    /// Makes the kernel add the sender's credentials to each message.
    void take_credentials() const
    {
        const int on = 1;
        BOOST_TEST(::setsockopt(in.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    }

    TestLog log{log_debug_all};
    Fd out{};
    Fd in{};
};

/// Returns the inode of a descriptor.
ino_t inode(int fd)
{
    struct stat info {};
    BOOST_TEST(::fstat(fd, &info) == 0);
    return info.st_ino;
}

bool is_open(int fd)
{
    return ::fcntl(fd, F_GETFD) != -1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(channel)

BOOST_FIXTURE_TEST_CASE(a_message_arrives_whole, Ends)
{
    BOOST_TEST((write({.command = cmd_close_channel, .pid = 12, .slot = 3}) == Rc::ok));
    BOOST_TEST((write({.command = cmd_quit}) == Rc::ok));

    Channel ch;
    BOOST_TEST((read(ch) == Rc::ok));
    BOOST_TEST(ch.command == cmd_close_channel);
    BOOST_TEST(ch.pid == 12);
    BOOST_TEST(ch.slot == 3);
    BOOST_TEST(ch.fd == -1);
    BOOST_TEST((read(ch) == Rc::ok));
    BOOST_TEST(ch.command == cmd_quit);
    BOOST_TEST(log.text == "");
}

BOOST_FIXTURE_TEST_CASE(the_descriptor_of_a_message_is_duplicated_for_the_receiver, Ends)
{
    const Ends other;
    BOOST_TEST((write({.command = cmd_open_channel, .pid = 12, .slot = 3, .fd = other.out.get()}) ==
                Rc::ok));
    Channel ch;
    BOOST_TEST_REQUIRE((read(ch) == Rc::ok));
    const Fd received(ch.fd);
    BOOST_TEST(ch.fd != other.out.get());
    BOOST_TEST(inode(ch.fd) == inode(other.out.get()));
    BOOST_TEST(::fcntl(ch.fd, F_GETFD) == FD_CLOEXEC);

    BOOST_TEST((write_channel(ch.fd, {.command = cmd_terminate}, &log.log) == Rc::ok));
    Channel through;
    BOOST_TEST((read_channel(other.in.get(), through, &log.log) == Rc::ok));
    BOOST_TEST(through.command == cmd_terminate);
    BOOST_TEST(log.text == "");
}

BOOST_FIXTURE_TEST_CASE(an_empty_channel_returns_again, Ends)
{
    Channel ch;
    BOOST_TEST((read(ch) == Rc::again));
    BOOST_TEST(log.text == "");
}

BOOST_FIXTURE_TEST_CASE(a_full_channel_returns_again_and_takes_no_part_of_a_message, Ends)
{
    std::size_t sent = 0;
    Rc rc = Rc::ok;
    while (sent < 1'000'000 && (rc = write({.command = cmd_reopen})) == Rc::ok) {
        sent++;
    }
    BOOST_TEST((rc == Rc::again));
    BOOST_TEST(log.text == "");

    std::size_t received = 0;
    for (Channel ch; read(ch) == Rc::ok && ch.command == cmd_reopen; received++) {}
    BOOST_TEST(received == sent);
    BOOST_TEST((write({.command = cmd_reopen}) == Rc::ok));
}

BOOST_FIXTURE_TEST_CASE(a_part_of_a_message_is_an_error, Ends)
{
    send_bytes({.command = cmd_quit}, 4);
    Channel ch;
    BOOST_TEST((read(ch) == Rc::error));
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "recvmsg() returned not enough data: 4\n"), log.text);
}

BOOST_FIXTURE_TEST_CASE(a_channel_that_is_opened_without_its_descriptor_is_an_error, Ends)
{
    send_bytes({.command = cmd_open_channel, .pid = 12, .slot = 3, .fd = 0});
    Channel ch;
    BOOST_TEST((read(ch) == Rc::error));
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "recvmsg() returned too small ancillary data\n"), log.text);
}

BOOST_FIXTURE_TEST_CASE(something_else_in_place_of_the_descriptor_is_an_error, Ends)
{
    take_credentials();
    send_bytes({.command = cmd_open_channel, .pid = 12, .slot = 3, .fd = 0});
    Channel ch;
    BOOST_TEST((read(ch) == Rc::error));
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, fmt::format("recvmsg() returned invalid ancillary data level {} "
                                              "or type {}\n",
                                              SOL_SOCKET, SCM_CREDENTIALS)),
               log.text);
}

BOOST_FIXTURE_TEST_CASE(cut_control_data_is_an_alert_and_the_message_is_valid, Ends)
{
    take_credentials();
    send_bytes({.command = cmd_quit});
    Channel ch;
    BOOST_TEST((read(ch) == Rc::ok));
    BOOST_TEST(ch.command == cmd_quit);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "recvmsg() truncated data\n"), log.text);
}

BOOST_FIXTURE_TEST_CASE(the_end_of_a_channel_comes_after_what_was_sent_and_is_no_alert, Ends)
{
    BOOST_TEST((write({.command = cmd_quit}) == Rc::ok));
    out.close();
    Channel ch;
    BOOST_TEST((read(ch) == Rc::ok));
    BOOST_TEST((read(ch) == Rc::error));
    BOOST_TEST(!contains(log.text, "[alert]"), log.text);
}

BOOST_FIXTURE_TEST_CASE(a_message_to_an_end_that_is_closed_is_an_alert, Ends)
{
    in.close();
    BOOST_TEST((write({.command = cmd_quit}) == Rc::error));
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "sendmsg() failed (32: Broken pipe)\n"), log.text);
}

BOOST_FIXTURE_TEST_CASE(an_invalid_descriptor_is_an_alert_for_both, Ends)
{
    Channel ch;
    BOOST_TEST((read_channel(-1, ch, &log.log) == Rc::error));
    BOOST_TEST(contains(log.text, "recvmsg() failed (9: Bad file descriptor)\n"), log.text);
    BOOST_TEST((write_channel(-1, ch, &log.log) == Rc::error));
    BOOST_TEST(contains(log.text, "sendmsg() failed (9: Bad file descriptor)\n"), log.text);
    BOOST_TEST(count(log.text, "[alert]") == 2U);
}

BOOST_AUTO_TEST_CASE(both_ends_are_closed_and_reset)
{
    TestLog log;
    int fds[2];
    BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    const int before[2] = {fds[0], fds[1]};
    close_channel(fds, &log.log);
    BOOST_TEST(!is_open(before[0]));
    BOOST_TEST(!is_open(before[1]));
    BOOST_TEST(fds[0] == -1);
    BOOST_TEST(fds[1] == -1);
    BOOST_TEST(log.text == "");

    close_channel(fds, &log.log);
    BOOST_TEST(count(log.text, "close() channel failed (9: Bad file descriptor)\n") == 2U);
}

BOOST_FIXTURE_TEST_CASE(a_channels_event_is_watched_and_known_as_one, Ends)
{
    const ListenCycle cycle("events { use fake; worker_connections 8; }");
    const EventHandler handler = [](Event&) noexcept {};
    const int fd = ::dup(in.get());
    BOOST_TEST((add_channel_event(*cycle, fd, read_event, handler) == Rc::ok));

    const Connection& c = cycle->connections[0];
    BOOST_TEST(c.fd == fd);
    BOOST_TEST(c.read->handler == handler);
    BOOST_TEST(c.write->handler == EventHandler{});
    BOOST_TEST(c.read->log == cycle->log);
    BOOST_CHECK(c.read->channel);
    BOOST_CHECK(c.write->channel);
    BOOST_TEST(fake.calls == Calls{"add read"}, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_channel_may_be_watched_for_writing, Ends)
{
    const ListenCycle cycle("events { use fake; worker_connections 8; }");
    const EventHandler handler = [](Event&) noexcept {};
    BOOST_TEST((add_channel_event(*cycle, ::dup(out.get()), write_event, handler) == Rc::ok));
    BOOST_TEST(cycle->connections[0].write->handler == handler);
    BOOST_TEST(fake.calls == Calls{"add write"}, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(an_event_without_a_handler_is_not_watched_by_any_poller, Ends)
{
    for (const unsigned flags :
         {use_level_event, use_clear_event | use_greedy_event, use_clear_event | use_epoll_event}) {
        const ListenCycle cycle("events { use fake; worker_connections 8; }",
                                {.flags = flags, .has_add_conn = true});
        const EventHandler handler = [](Event&) noexcept {};
        BOOST_TEST((add_channel_event(*cycle, ::dup(in.get()), read_event, handler) == Rc::ok));
        BOOST_TEST(fake.calls == Calls{"add read"}, boost::test_tools::per_element());
        BOOST_CHECK(cycle->connections[0].read->active);
        BOOST_CHECK(!cycle->connections[0].write->active);
    }
}

BOOST_FIXTURE_TEST_CASE(a_channel_that_cannot_be_watched_frees_its_slot, Ends)
{
    const ListenCycle cycle("events { use fake; worker_connections 8; }", {.add = Rc::error});
    BOOST_TEST(
        (add_channel_event(*cycle, in.get(), read_event, [](Event&) noexcept {}) == Rc::error));
    BOOST_TEST(cycle->free_connection_n == 8U);
    BOOST_TEST(cycle->connections[0].fd == invalid_socket);
    BOOST_TEST(is_open(in.get()));
}

BOOST_FIXTURE_TEST_CASE(a_channel_needs_a_connection, Ends)
{
    const ListenCycle cycle("events { use fake; worker_connections 1; }");
    const EventHandler handler = [](Event&) noexcept {};
    BOOST_TEST((add_channel_event(*cycle, ::dup(in.get()), read_event, handler) == Rc::ok));
    BOOST_TEST((add_channel_event(*cycle, in.get(), read_event, handler) == Rc::error));
    BOOST_TEST(contains(cycle.log(), "[alert]"));
    BOOST_TEST(contains(cycle.log(), "1 worker_connections are not enough\n"));
}

BOOST_FIXTURE_TEST_CASE(a_message_wakes_the_loop, Ends)
{
    static Channel got;
    got = {};
    TestCycle cycle("events { worker_connections 8; }");
    const EventHandler handler = [](Event& ev) noexcept {
        (void)read_channel(static_cast<Connection*>(ev.data)->fd, got, ev.log);
    };
    BOOST_TEST((add_channel_event(*cycle, ::dup(in.get()), read_event, handler) == Rc::ok));
    BOOST_TEST((write({.command = cmd_quit, .slot = 7}) == Rc::ok));
    cycle.turn();
    BOOST_TEST(got.command == cmd_quit);
    BOOST_TEST(got.slot == 7);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
