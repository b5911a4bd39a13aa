// Tests of echo: all data that was read is sent back, whichever side is slow, and no session lasts
// for ever.

#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>

#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"
#include "test/stream/proxied.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

constexpr std::string_view tcp = "127.0.0.1:PORT";

/// Returns an echo server with these directives.
std::string echoing(std::string_view directives = "", std::string_view address = "unix:DIR/a")
{
    std::string text("server { listen ");
    return text.append(address).append("; echo; ").append(directives).append("}");
}

/// A connection whose client has sent nothing yet.
struct Quiet {
    explicit Quiet(std::string_view directives = "", std::string_view address = "unix:DIR/a")
        : server(echoing(directives, address))
    {}

    [[nodiscard]] Msec timer() const { return c.read->timer_key - current_msec; }

    /// Sends a text and checks that the client receives it.
    [[nodiscard]] bool echoes(const std::string& text)
    {
        return server.serve([&] {
            client.send(text);
            return client.receive(text.size()) == text;
        });
    }

    Server server;
    Client client = server.connect();
    Connection& c = server.accepted();
    StreamSession& s = *static_cast<StreamSession*>(c.data);
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_echo_module)

BOOST_AUTO_TEST_CASE(data_is_sent_back)
{
    Quiet quiet("", tcp);
    for (const char* const text : {"a", "hello", "with a\nline feed\n"}) {
        BOOST_TEST(quiet.echoes(text), text);
    }
    BOOST_TEST(quiet.s.received == 23);
    BOOST_TEST(quiet.c.sent == 23);
}

BOOST_AUTO_TEST_CASE(data_sent_before_the_accept_is_sent_back)
{
    const Server server(echoing());
    const Client client = server.connect();
    client.send("hello");
    server.accept();
    BOOST_TEST(server.serve([&] { return client.receive(5); }) == "hello");
}

BOOST_AUTO_TEST_CASE(more_data_than_the_buffer_is_sent_back)
{
    for (const char* const directive :
         {"", "echo_buffer_size 1;", "echo_buffer_size 7;", "echo_buffer_size 1m;"}) {
        Quiet quiet(directive, tcp);
        BOOST_TEST(quiet.echoes(long_text(20'000)), directive);
    }
}

BOOST_AUTO_TEST_CASE(the_end_of_data_ends_the_session)
{
    Quiet quiet("", tcp);
    quiet.client.send("hello");
    quiet.client.finish();
    BOOST_TEST(quiet.server.serve([&] { return quiet.client.receive_all(); }) == "hello");
    quiet.server.finish();
}

BOOST_AUTO_TEST_CASE(a_client_that_sends_only_its_end_ends_the_session)
{
    for (const std::string_view address : {tcp, std::string_view("unix:DIR/a")}) {
        Quiet quiet("", address);
        quiet.client.finish();
        quiet.server.finish();
        BOOST_TEST(quiet.client.receive_all() == "");
    }
}

BOOST_AUTO_TEST_CASE(a_client_that_closes_at_once_ends_the_session)
{
    const Server server(echoing());
    Client client = server.connect();
    client.close();
    server.accept();
    server.finish();
}

// The server still has most of the text when it reads the end.
BOOST_AUTO_TEST_CASE(data_before_the_end_is_sent_back_to_a_slow_reader)
{
    const std::string text = long_text(2'000'000);
    Quiet quiet("echo_buffer_size 4m;");
    const std::string echoed = quiet.server.serve([&] {
        quiet.client.send(text);
        quiet.client.finish();
        return quiet.client.receive_all();
    });
    BOOST_TEST((echoed == text));
    quiet.server.finish();
}

BOOST_AUTO_TEST_CASE(a_client_that_takes_nothing_back_is_not_read_from)
{
    Quiet quiet("echo_buffer_size 4k;");
    const std::string text = long_text(100'000);

    // Sends until the server reads no more: its buffer and the client's receive buffer are full.
    std::size_t said = 0;
    quiet.server.turn_until([&] {
        said += quiet.client.flood(text, said);
        return !quiet.c.write->ready && quiet.s.received == quiet.c.sent + 4096;
    });
    BOOST_TEST(unsigned{quiet.c.read->ready} == 1);
    BOOST_TEST(unsigned{quiet.c.write->active} == 1);
    BOOST_TEST(said > static_cast<std::size_t>(quiet.s.received));

    std::string all;
    while (all.size() < said) {
        all += text;
    }
    all.resize(said);
    BOOST_TEST((quiet.server.serve([&] { return quiet.client.receive(said); }) == all));
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
                    "echoing data, client: 127.0.0.1, server: 127.0.0.1:PORT\n",
                    log_pid, log_pid, number);
    BOOST_TEST(contains(quiet.server.shorten(quiet.server.log()), line));
}

BOOST_AUTO_TEST_CASE(the_time_is_as_configured)
{
    BOOST_TEST(Quiet("echo_timeout 10m;").timer() > 599'000);
    const Server server("echo_timeout 20s; server { listen unix:DIR/a; echo; }");
    const Client client = server.connect();
    const Msec left = server.accepted().read->timer_key - current_msec;
    BOOST_TEST(left <= 20'000);
    BOOST_TEST(left > 19'000);
}

BOOST_AUTO_TEST_CASE(any_data_restarts_the_timeout)
{
    Quiet quiet;
    Event& rev = *quiet.c.read;
    del_timer(rev);
    add_timer(rev, 30'000);
    BOOST_TEST(quiet.echoes("hello"));
    BOOST_TEST(quiet.timer() > 59'000);
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_read_is_closed_as_well)
{
    Quiet quiet("echo_buffer_size 4k;");
    static_cast<void>(quiet.client.flood(long_text(100'000)));
    quiet.server.turn_until([&] { return !quiet.c.write->ready; });
    Server::pass(60'001);
    BOOST_TEST(quiet.server.connections().empty());
}

BOOST_AUTO_TEST_CASE(a_reset_ends_the_session)
{
    Quiet quiet("", tcp);
    quiet.client.reset();
    quiet.server.finish();
    BOOST_TEST(contains(quiet.server.log(), "recv() failed (104: Connection reset by peer) while "
                                            "echoing data, client: 127.0.0.1, server: "));
}

BOOST_AUTO_TEST_CASE(a_reset_while_data_is_on_its_way_back_ends_the_session)
{
    Quiet quiet("echo_buffer_size 4k;", tcp);
    static_cast<void>(quiet.client.flood(long_text(100'000)));
    quiet.server.turn_until([&] { return quiet.c.sent > 0; });
    quiet.client.reset();
    quiet.server.finish();
    BOOST_TEST(contains(quiet.server.log(), "(104: Connection reset by peer) while echoing data"));
}

BOOST_AUTO_TEST_CASE(a_call_that_fails_ends_the_session,
                     *boost::unit_test::precondition(sends_by_calls))
{
    for (const Call call : {Call::recv, Call::send}) {
        const Quiet quiet;
        quiet.client.send("hello");
        const FakeCall failing(call, {.err = ENOBUFS});
        quiet.server.finish();
        BOOST_TEST(contains(quiet.server.log(), "[alert]"));
        BOOST_TEST(contains(quiet.server.log(), "() failed (105: No buffer space available)"));
    }
}

BOOST_AUTO_TEST_CASE(a_poller_that_fails_ends_the_session)
{
    const Server server(echoing());
    const Client client = server.connect();
    server.accept_with_failing_poller();
    BOOST_TEST(server.connections().empty());
}

/// rtsig signals room only in a socket that was full before, and this one was not.
bool poller_is_not_rtsig(boost::unit_test::test_unit_id)
{
    const auto& suite = boost::unit_test::framework::master_test_suite();
    return suite.argc < 2 || std::string_view(suite.argv[1]) != "rtsig";
}

BOOST_AUTO_TEST_CASE(a_partial_send_is_continued,
                     *boost::unit_test::precondition(poller_is_not_rtsig) *
                         boost::unit_test::precondition(sends_by_calls))
{
    Quiet quiet;
    const FakeCall calls(Call::send, {.at_most = 2});
    BOOST_TEST(quiet.echoes("hello"));
    BOOST_TEST(calls.calls() == 2);
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_asked_to_close_closes)
{
    const Quiet quiet;
    quiet.c.close = 1;
    quiet.c.read->handler(*quiet.c.read);
    BOOST_TEST(quiet.server.connections().empty());
    BOOST_TEST(event_timer_rbtree.empty());
}

BOOST_AUTO_TEST_CASE(echo_is_allowed_once)
{
    BOOST_TEST(contains(refusal(echoing("echo;")), "\"echo\" directive is duplicate in "));
    BOOST_TEST(contains(refusal(echoing("echo on;")),
                        "invalid number of arguments in \"echo\" directive in "));
    BOOST_TEST(contains(refusal("echo;"), "\"echo\" directive is not allowed here in "));
}

BOOST_AUTO_TEST_CASE(its_values_are_checked)
{
    const auto refused = [](std::string_view directives, std::string_view message) {
        const std::string log = refusal(echoing(directives));
        BOOST_TEST(contains(log, message), directives << " gave " << log);
    };
    refused("echo_timeout soon;", "\"echo_timeout\" directive invalid value in ");
    refused("echo_timeout 1s; echo_timeout 1s;", "\"echo_timeout\" directive is duplicate in ");
    refused("echo_buffer_size much;", "\"echo_buffer_size\" directive invalid value in ");
    refused("echo_buffer_size -1;", "\"echo_buffer_size\" directive invalid value in ");
    refused("echo_buffer_size 0;", "\"echo_buffer_size\" directive must not be zero in ");
    refused("echo_buffer_size 1; echo_buffer_size 1;",
            "\"echo_buffer_size\" directive is duplicate in ");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
