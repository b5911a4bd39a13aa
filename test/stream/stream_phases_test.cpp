// Tests of the phases of a session: which handlers are called, in which order, and the effect of
// their results.

#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/buf.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

constexpr std::string_view hold = "server { listen unix:DIR/a; hold; }";

/// The calls, in order.
std::vector<std::string> called;

/// Makes the module's handler of the phase record the call and return `answer`.
void answer_in(char module, StreamPhase phase, StreamPhaseRc answer)
{
    hooks.phases[{module, phase}] = [=](StreamSession&) {
        called.push_back(std::string(1, module) + std::to_string(static_cast<unsigned>(phase)));
        return answer;
    };
}

std::string calls()
{
    std::string text;
    for (const std::string& call : called) {
        text.append(text.empty() ? "" : " ").append(call);
    }
    return text;
}

/// Returns the status of a session in which a's handler of the phase returns this result.
StreamStatus status_of(StreamPhase phase, StreamPhaseRc answer)
{
    StreamStatus status = StreamStatus::none;
    answer_in('a', phase, answer);
    hooks.phases[{'a', StreamPhase::log}] = [&](StreamSession& s) {
        status = s.status;
        return Rc::ok;
    };
    const Server server(hold);
    const Client client = server.connect();
    server.accept();
    server.finish();
    return status;
}

/// A preread handler that waits for a line. Counts its calls.
struct WantsLine {
    WantsLine()
    {
        hooks.phases[{'a', StreamPhase::preread}] = [this](StreamSession& s) -> StreamPhaseRc {
            asked++;
            const Buf* const b = s.connection->buffer;
            seen = b ? std::string(b->pos, buf_size(*b)) : "";
            return contains(seen, "\n") ? Rc::ok : Rc::again;
        };
        hooks.phases[{'a', StreamPhase::log}] = [this](StreamSession& s) -> StreamPhaseRc {
            status = s.status;
            return Rc::ok;
        };
    }

    int asked = 0;
    std::string seen{};
    StreamStatus status = StreamStatus::none;
};

/// A server that waits for a line first, and its client.
struct Preread : WantsLine {
    explicit Preread(std::string_view stream = "server { listen unix:DIR/a; echo; }")
        : server(stream)
    {}

    /// Turns the loop until the handler has seen the text.
    void until_seen(std::string_view text) const
    {
        server.turn_until([&] { return seen == text; });
    }

    Server server;
    Client client = server.connect();
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_phases)

BOOST_AUTO_TEST_CASE(without_handlers_there_is_only_the_content)
{
    const Server server(hold);
    const Client client = server.connect();
    server.accept();
    BOOST_TEST(hooks.session != nullptr);
}

BOOST_AUTO_TEST_CASE(phases_are_run_in_their_order_and_the_last_module_first)
{
    called.clear();
    using enum StreamPhase;
    for (const StreamPhase phase : {log, content, preread, access, preaccess, post_accept}) {
        answer_in('a', phase, Rc::declined);
        answer_in('b', phase, Rc::declined);
    }
    const Server server(hold);
    const Client client = server.connect();
    server.accept();
    BOOST_TEST(calls() == "b0 a0 b1 a1 b2 a2 b3 a3");
    stream_finalize_session(*hooks.session, StreamStatus::ok);
    BOOST_TEST(calls() == "b0 a0 b1 a1 b2 a2 b3 a3 a5 b5");
}

BOOST_AUTO_TEST_CASE(ok_ends_a_phase)
{
    called.clear();
    answer_in('b', StreamPhase::access, Rc::ok);
    answer_in('a', StreamPhase::access, Rc::ok);
    answer_in('b', StreamPhase::preread, Rc::ok);
    answer_in('a', StreamPhase::preread, Rc::ok);
    const Server server(hold);
    const Client client = server.connect();
    server.accept();
    BOOST_TEST(calls() == "b2 b3");
    BOOST_TEST(hooks.session != nullptr);
}

BOOST_AUTO_TEST_CASE(an_error_or_a_status_ends_the_session)
{
    for (const StreamPhase phase : {StreamPhase::post_accept, StreamPhase::preaccess,
                                    StreamPhase::access, StreamPhase::preread}) {
        BOOST_TEST((status_of(phase, Rc::error) == StreamStatus::internal_server_error));
        BOOST_TEST((status_of(phase, StreamStatus::forbidden) == StreamStatus::forbidden));
        BOOST_TEST((status_of(phase, StreamStatus::ok) == StreamStatus::ok));
        BOOST_TEST(hooks.session == nullptr);
    }
}

BOOST_AUTO_TEST_CASE(a_handler_that_is_not_done_is_called_again)
{
    for (const Rc answer : {Rc::again, Rc::done}) {
        called.clear();
        answer_in('a', StreamPhase::access, answer);
        const Server server(hold);
        const Client client = server.connect();
        const Connection& c = server.accepted();
        BOOST_TEST(calls() == "a2");
        BOOST_TEST(hooks.session == nullptr);

        answer_in('a', StreamPhase::access, Rc::ok);
        stream_session_handler(*c.read);
        BOOST_TEST(calls() == "a2 a2");
        BOOST_TEST(hooks.session != nullptr);
    }
}

BOOST_AUTO_TEST_CASE(the_log_phase_sees_a_session_that_is_whole)
{
    std::string seen;
    hooks.phases[{'a', StreamPhase::log}] = [&](StreamSession& s) {
        seen = fmt::format("{} {}", static_cast<unsigned>(s.status), s.connection->fd > 0);
        return Rc::ok;
    };
    const Server server(hold);
    const Client client = server.connect();
    server.accept();
    stream_finalize_session(*hooks.session, StreamStatus::bad_gateway);
    BOOST_TEST(seen == "502 true");
}

BOOST_AUTO_TEST_CASE(a_preread_handler_and_the_content_see_the_same_data)
{
    const Preread preread;
    preread.server.accept();
    BOOST_TEST(preread.asked > 0);
    preread.client.send("hel");
    preread.until_seen("hel");
    preread.client.send("lo\nmore");
    preread.until_seen("hello\nmore");
    const std::string echoed = preread.server.serve([&] { return preread.client.receive(10); });
    BOOST_TEST(echoed == "hello\nmore");
    BOOST_TEST(preread.asked == 3);
}

BOOST_AUTO_TEST_CASE(preread_data_is_counted_once)
{
    for (const std::string_view content : {"echo", "discard"}) {
        off_t received = 0;
        const Preread preread(fmt::format("server {{ listen unix:DIR/a; {}; }}", content));
        hooks.phases[{'a', StreamPhase::log}] = [&](StreamSession& s) {
            received = s.received;
            return Rc::ok;
        };
        preread.client.send("hel");
        preread.until_seen("hel");
        preread.client.send("lo\nmore");
        preread.client.finish();
        preread.server.finish();
        BOOST_TEST(received == 10);
    }
}

BOOST_AUTO_TEST_CASE(data_may_come_byte_by_byte)
{
    const std::string text = "PROXY or what a client says first\n";
    const Preread preread;
    preread.server.accept();
    for (std::size_t i = 0; i < text.size(); i++) {
        preread.client.send(text.substr(i, 1));
        preread.until_seen(text.substr(0, i + 1));
    }
    const std::string echoed =
        preread.server.serve([&] { return preread.client.receive(text.size()); });
    BOOST_TEST(echoed == text);
}

// Such a connection is ready before it is in any poller.
BOOST_AUTO_TEST_CASE(a_deferred_connection_whose_data_was_not_enough_is_waited_for)
{
    const Preread preread("server { listen 127.0.0.1:PORT deferred; echo; }");
    preread.client.send("hel");
    preread.until_seen("hel");
    preread.client.send("lo\n");
    const std::string echoed = preread.server.serve([&] { return preread.client.receive(6); });
    BOOST_TEST(echoed == "hello\n");
}

BOOST_AUTO_TEST_CASE(a_client_that_sends_too_little_is_closed_after_preread_timeout)
{
    const Preread preread("preread_timeout 7s; server { listen unix:DIR/a; echo; }");
    const Connection& c = preread.server.accepted();
    const Msec until = c.read->timer_key;
    BOOST_TEST(until - current_msec <= 7000);
    preread.client.send("hel");
    preread.until_seen("hel");
    BOOST_TEST(c.read->timer_key == until);
    BOOST_TEST(preread.server.connections().size() == 1);
    Server::pass(7000);
    BOOST_TEST(preread.server.connections().empty());
    BOOST_TEST((preread.status == StreamStatus::ok));
}

BOOST_AUTO_TEST_CASE(the_preread_timer_ends_before_the_content)
{
    const Preread preread("server { listen unix:DIR/a; hold; }");
    const Connection& c = preread.server.accepted();
    BOOST_TEST(c.read->timer_set());
    preread.client.send("\n");
    preread.server.turn_until([] { return hooks.session != nullptr; });
    BOOST_TEST(!c.read->timer_set());
}

BOOST_AUTO_TEST_CASE(a_full_preread_buffer_is_an_error)
{
    const Preread preread("preread_buffer_size 4; server { listen unix:DIR/a; echo; }");
    preread.server.accept();
    preread.client.send("hell");
    preread.server.finish();
    BOOST_TEST((preread.status == StreamStatus::bad_request));
    BOOST_TEST(contains(preread.server.log(), "[error]"));
    BOOST_TEST(contains(preread.server.log(),
                        " preread buffer full while prereading client data, client: "));
}

BOOST_AUTO_TEST_CASE(a_client_that_ends_while_it_is_preread_ends_the_session)
{
    for (const std::string_view text : {"", "hel"}) {
        const Preread preread;
        preread.server.accept();
        preread.client.send(text);
        preread.client.finish();
        preread.server.finish();
        BOOST_TEST((preread.status == StreamStatus::ok));
    }
}

BOOST_AUTO_TEST_CASE(a_client_that_resets_while_it_is_preread_ends_the_session)
{
    Preread preread("server { listen 127.0.0.1:PORT; echo; }");
    preread.server.accept();
    preread.client.reset();
    preread.server.finish();
    BOOST_TEST((preread.status == StreamStatus::ok));
    BOOST_TEST(contains(preread.server.log(), "[info]"));
    BOOST_TEST(contains(preread.server.log(), "while prereading client data"));
}

BOOST_AUTO_TEST_CASE(a_session_that_is_to_be_closed_does_not_wait_for_data)
{
    const Preread preread;
    Connection& c = preread.server.accepted();
    c.close = 1;
    c.read->handler(*c.read);
    BOOST_TEST(preread.server.connections().empty());
}

BOOST_AUTO_TEST_CASE(preread_has_its_defaults)
{
    const Server server(hold);
    const Client client = server.connect();
    server.accept();
    const auto& cscf = *stream_get_module_srv_conf<StreamCoreSrvConf>(*hooks.session);
    BOOST_TEST(*cscf.preread_buffer_size == 16'384);
    BOOST_TEST(*cscf.preread_timeout == 30'000);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
