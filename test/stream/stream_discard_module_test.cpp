// Tests of discard: all data is read, and no data is sent.

#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>

#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

constexpr std::string_view tcp = "127.0.0.1:PORT";

std::string discarding(std::string_view directives = "", std::string_view address = "unix:DIR/a")
{
    std::string text("server { listen ");
    return text.append(address).append("; discard; ").append(directives).append("}");
}

/// A connection whose client has sent nothing yet.
struct Quiet {
    explicit Quiet(std::string_view directives = "", std::string_view address = "unix:DIR/a")
        : server(discarding(directives, address))
    {}

    [[nodiscard]] Msec timer() const { return c.read->timer_key - current_msec; }

    void turn_until_received(off_t n) const
    {
        server.turn_until([this, n] { return s.received == n; });
    }

    Server server;
    Client client = server.connect();
    Connection& c = server.accepted();
    StreamSession& s = *static_cast<StreamSession*>(c.data);
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_discard_module)

BOOST_AUTO_TEST_CASE(data_is_read_and_nothing_is_sent)
{
    for (const std::string_view address : {tcp, std::string_view("unix:DIR/a")}) {
        const Quiet quiet("", address);
        quiet.client.send("hello");
        quiet.turn_until_received(5);
        quiet.client.send(" again");
        quiet.turn_until_received(11);
        BOOST_TEST(quiet.c.sent == 0);

        quiet.client.finish();
        quiet.server.finish();
        BOOST_TEST(quiet.client.receive_all() == "");
    }
}

BOOST_AUTO_TEST_CASE(data_sent_before_the_accept_is_read)
{
    const Server server(discarding());
    const Client client = server.connect();
    client.send("hello");
    const Connection& c = server.accepted();
    server.turn_until([&] { return static_cast<StreamSession*>(c.data)->received == 5; });
}

BOOST_AUTO_TEST_CASE(a_client_may_send_any_amount)
{
    const Quiet quiet("", tcp);
    const std::string text(3'000'000, 'x');
    const std::string answer = quiet.server.serve([&] {
        quiet.client.send(text);
        quiet.client.finish();
        return quiet.client.receive_all();
    });
    BOOST_TEST(answer == "");
    quiet.server.finish();
}

BOOST_AUTO_TEST_CASE(all_received_bytes_are_counted)
{
    const Quiet quiet;
    const std::string text(1'000'000, 'x');
    quiet.server.serve([&] { return quiet.client.send(text), 0; });
    quiet.turn_until_received(1'000'000);
}

BOOST_AUTO_TEST_CASE(a_client_that_closes_ends_the_session)
{
    Quiet quiet;
    quiet.client.close();
    quiet.server.finish();
}

BOOST_AUTO_TEST_CASE(a_reset_ends_the_session)
{
    Quiet quiet("", tcp);
    quiet.client.reset();
    quiet.server.finish();
    BOOST_TEST(contains(quiet.server.log(), "recv() failed (104: Connection reset by peer) while "
                                            "discarding data, client: 127.0.0.1, server: "));
}

BOOST_AUTO_TEST_CASE(a_call_that_fails_ends_the_session)
{
    const Quiet quiet;
    quiet.client.send("hello");
    const FakeCall failing(Call::recv, {.err = ENOBUFS});
    quiet.server.finish();
    BOOST_TEST(contains(quiet.server.log(), "recv() failed (105: No buffer space available)"));
}

BOOST_AUTO_TEST_CASE(a_poller_that_fails_ends_the_session)
{
    const Server server(discarding());
    const Client client = server.connect();
    server.accept_with_failing_poller();
    BOOST_TEST(server.connections().empty());
}

BOOST_AUTO_TEST_CASE(an_idle_connection_is_closed_after_a_minute)
{
    const Quiet quiet("", tcp);
    const auto number = quiet.c.number;
    BOOST_TEST(quiet.timer() <= 60'000);
    BOOST_TEST(quiet.timer() > 59'000);

    Server::pass(quiet.timer() - 1);
    BOOST_TEST(quiet.server.connections().size() == 1);
    Server::pass(1);
    BOOST_TEST(quiet.server.connections().empty());

    const std::string line =
        fmt::format("[info] {}#{}: *{} connection timed out (110: Connection timed out) while "
                    "discarding data, client: 127.0.0.1, server: 127.0.0.1:PORT\n",
                    log_pid, log_pid, number);
    BOOST_TEST(contains(quiet.server.shorten(quiet.server.log()), line));
}

BOOST_AUTO_TEST_CASE(the_time_is_as_configured)
{
    BOOST_TEST(Quiet("discard_timeout 10m;").timer() > 599'000);
    const Server server("discard_timeout 20s; server { listen unix:DIR/a; discard; }");
    const Client client = server.connect();
    const Msec left = server.accepted().read->timer_key - current_msec;
    BOOST_TEST(left <= 20'000);
    BOOST_TEST(left > 19'000);
}

BOOST_AUTO_TEST_CASE(any_data_restarts_the_timeout)
{
    const Quiet quiet;
    Event& rev = *quiet.c.read;
    del_timer(rev);
    add_timer(rev, 30'000);
    quiet.client.send("hello");
    quiet.turn_until_received(5);
    BOOST_TEST(quiet.timer() > 59'000);
}

BOOST_AUTO_TEST_CASE(a_write_event_changes_nothing)
{
    const Quiet quiet;
    quiet.c.write->handler(*quiet.c.write);
    BOOST_TEST(quiet.server.connections().size() == 1);
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_asked_to_close_closes)
{
    const Quiet quiet;
    quiet.c.close = 1;
    quiet.c.read->handler(*quiet.c.read);
    BOOST_TEST(quiet.server.connections().empty());
    BOOST_TEST(event_timer_rbtree.empty());
}

BOOST_AUTO_TEST_CASE(its_directives_are_checked)
{
    const auto refused = [](std::string_view directives, std::string_view message) {
        const std::string log = refusal(discarding(directives));
        BOOST_TEST(contains(log, message), directives << " gave " << log);
    };
    refused("discard;", "\"discard\" directive is duplicate in ");
    refused("discard on;", "invalid number of arguments in \"discard\" directive in ");
    refused("discard_timeout soon;", "\"discard_timeout\" directive invalid value in ");
    refused("discard_timeout 1s; discard_timeout 1s;",
            "\"discard_timeout\" directive is duplicate in ");
    BOOST_TEST(contains(refusal("discard;"), "\"discard\" directive is not allowed here in "));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
