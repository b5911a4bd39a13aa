// Tests of return: the whole text is sent, however slowly the client reads it.

#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>

#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// A text that is much larger than the buffers of two sockets.
const std::string& big_text()
{
    static const std::string text = [] {
        std::string numbers;
        for (int i = 0; numbers.size() < 4'000'000; i++) {
            numbers.append(std::to_string(i)).append(" ");
        }
        return numbers;
    }();
    return text;
}

/// Returns a server of this text that sends it in small pieces.
std::string returning_big(const std::string& address = "127.0.0.1:PORT sndbuf=4k")
{
    hooks.variables = {
        {"big", [](StreamSession&, std::uintptr_t) -> std::string_view { return big_text(); }}};
    return "server { listen " + address + "; return $big; }";
}

/// A client that does not read, and its server, which has more to send.
struct Stuck {
    Stuck() : server(returning_big()) {}

    /// Reads some of the text, so that the server sends more until it is stuck again.
    void take_some()
    {
        const off_t before = c.sent;
        taken += server.serve([this] { return client.receive(500'000); }).size();
        BOOST_TEST(c.sent > before);
    }

    Server server;
    Client client = server.connect(0, 4096);
    Connection& c = server.accepted();
    std::size_t taken = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_return_module)

BOOST_AUTO_TEST_CASE(the_text_is_sent_and_the_connection_closed)
{
    const Server server("server { listen 127.0.0.1:PORT; return \"a text\r\n\"; }");
    BOOST_TEST(answer(server) == "a text\r\n");
}

BOOST_AUTO_TEST_CASE(a_text_that_fits_needs_one_call_and_no_event,
                     *boost::unit_test::precondition(sends_by_calls))
{
    const Server server("server { listen unix:DIR/a; return \"$remote_addr $pid\"; }");
    const Client client = server.connect();
    const FakeCall calls(Call::writev, {});
    server.accept();
    BOOST_TEST(calls.calls() == 1);
    BOOST_TEST(server.connections().empty());
}

BOOST_AUTO_TEST_CASE(an_empty_text_only_closes)
{
    for (const char* const text : {"''", "$remote_port"}) {
        const Server server(std::string("server { listen unix:DIR/a; return ") + text + "; }");
        const FakeCall calls(Call::writev, {});
        BOOST_TEST(answer(server) == "", text);
        BOOST_TEST(calls.calls() == 0, text);
    }
}

BOOST_AUTO_TEST_CASE(data_of_the_client_is_ignored)
{
    const Server server("server { listen 127.0.0.1:PORT; return x; }");
    const Client client = server.connect();
    client.send("hello");
    client.finish();
    server.accept();
    BOOST_TEST(client.receive(1) == "x");
}

BOOST_AUTO_TEST_CASE(a_slow_client_gets_all_of_it)
{
    for (const char* const address : {"127.0.0.1:PORT sndbuf=4k", "unix:DIR/a"}) {
        const Server server(returning_big(address));
        const Client client = server.connect(0, 4096);
        const std::string text = server.serve([&] { return client.receive_all(); });
        BOOST_TEST((text == big_text()), address);
        server.finish();
    }
}

BOOST_AUTO_TEST_CASE(the_rest_of_a_call_is_sent_after_a_report,
                     *boost::unit_test::precondition(sends_by_calls))
{
    const Server server("server { listen unix:DIR/a; return 0123456789; }");
    const FakeCall calls(Call::writev, {.at_most = 1});
    BOOST_TEST(answer(server) == "0123456789");
    BOOST_TEST(calls.calls() == 2);
}

BOOST_AUTO_TEST_CASE(a_client_that_takes_nothing_is_waited_for)
{
    const Stuck stuck;
    BOOST_TEST(stuck.c.sent > 0);
    BOOST_TEST(stuck.c.sent < static_cast<off_t>(big_text().size()));
    BOOST_TEST(unsigned{stuck.c.write->ready} == 0);
    BOOST_TEST(unsigned{stuck.c.write->active} == 1);
    BOOST_TEST(stuck.c.write->timer_set());
    BOOST_TEST(!stuck.c.read->timer_set());
}

BOOST_AUTO_TEST_CASE(it_is_waited_for_five_seconds)
{
    const Stuck stuck;
    const Msec left = stuck.c.write->timer_key - current_msec;
    BOOST_TEST(left <= 5000);
    BOOST_TEST(left > 4000);  // the turn that accepted may have lasted for a while

    const auto number = stuck.c.number;
    Server::pass(left - 1);
    BOOST_TEST(stuck.server.connections().size() == 1);
    Server::pass(1);
    BOOST_TEST(stuck.server.connections().empty());

    const std::string line =
        fmt::format("[info] {}#{}: *{} connection timed out (110: Connection timed out) while "
                    "returning text, client: 127.0.0.1, server: 127.0.0.1:PORT\n",
                    log_pid, log_pid, number);
    BOOST_TEST(contains(stuck.server.shorten(stuck.server.log()), line));
}

BOOST_AUTO_TEST_CASE(partial_progress_restarts_the_send_timeout)
{
    Stuck stuck;
    Event& wev = *stuck.c.write;
    del_timer(wev);
    add_timer(wev, 1000);
    stuck.take_some();
    BOOST_TEST(wev.timer_set());
    BOOST_TEST(wev.timer_key - current_msec > 4000);
}

BOOST_AUTO_TEST_CASE(a_client_that_closes_is_noticed_by_the_write)
{
    Stuck stuck;
    stuck.client.reset();
    stuck.server.finish();
    BOOST_TEST(contains(stuck.server.log(), "writev() failed (104: Connection reset by peer) while "
                                            "returning text, client: 127.0.0.1, server: "));
}

BOOST_AUTO_TEST_CASE(an_error_of_the_peer_is_logged_at_info,
                     *boost::unit_test::precondition(sends_by_calls))
{
    const Server server("server { listen unix:DIR/a; return x; }");
    const FakeCall failing(Call::writev, {.err = EPIPE});
    BOOST_TEST(answer(server) == "");
    BOOST_TEST(contains(server.log(), "[info]"));
    BOOST_TEST(contains(server.log(), "writev() failed (32: Broken pipe) while returning text"));
    BOOST_TEST(!contains(server.log(), "[alert]"));
}

BOOST_AUTO_TEST_CASE(a_poller_that_fails_ends_the_session)
{
    const Server server(returning_big("unix:DIR/a"));
    const Client client = server.connect();
    server.accept_with_failing_poller();
    BOOST_TEST(server.connections().empty());
}

BOOST_AUTO_TEST_CASE(a_read_event_changes_nothing)
{
    const Stuck stuck;
    const off_t sent = stuck.c.sent;
    stuck.c.read->handler(*stuck.c.read);
    BOOST_TEST(stuck.server.connections().size() == 1);
    BOOST_TEST(stuck.c.sent == sent);
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_asked_to_close_closes)
{
    const Stuck stuck;
    stuck.c.close = 1;
    stuck.c.read->handler(*stuck.c.read);
    BOOST_TEST(stuck.server.connections().empty());
    BOOST_TEST(event_timer_rbtree.empty());
}

BOOST_AUTO_TEST_CASE(a_server_has_one_text)
{
    BOOST_TEST(contains(refusal("server { listen unix:DIR/a; return a; return b; }"),
                        "\"return\" directive is duplicate in "));
    BOOST_TEST(contains(refusal("server { listen unix:DIR/a; return ''; return ''; }"),
                        "\"return\" directive is duplicate in "));
    for (const char* const arguments : {"return;", "return a b;"}) {
        BOOST_TEST(contains(refusal(std::string("server { listen unix:DIR/a; ") + arguments + "}"),
                            "invalid number of arguments in \"return\" directive in "),
                   arguments);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
