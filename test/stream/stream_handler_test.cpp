// Tests of the life of a session: its start, its log lines, and its end.

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/palloc.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "stream/stream.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// Module a's own data of a session.
struct Kept {
    static constexpr Module* module = &hooks_a_module;
};

/// A session that its content does nothing with.
struct Held {
    explicit Held(std::string_view stream = "server { listen unix:DIR/a; hold; }") : server(stream)
    {}

    Server server;
    Client client = server.connect();
    Connection& c = server.accepted();
    StreamSession& s = *hooks.session;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_handler)

BOOST_AUTO_TEST_CASE(a_session_belongs_to_its_connection)
{
    const Held held;
    BOOST_TEST(held.s.signature == StreamSession::right_signature);
    BOOST_TEST(held.s.connection == &held.c);
    BOOST_TEST(held.c.data == &held.s);
    BOOST_TEST(held.s.received == 0);
    BOOST_TEST((held.s.status == StreamStatus::none));
    BOOST_TEST(held.s.start_sec == time());
    BOOST_TEST(held.s.start_msec == timeofday().msec);
    BOOST_TEST((held.c.log_error == ConnectionError::info));
}

BOOST_AUTO_TEST_CASE(a_session_has_the_configuration_of_its_server)
{
    const Held held("tcp_nodelay on; server { listen unix:DIR/a; tcp_nodelay off; hold; }"
                    "server { listen unix:DIR/b; }");
    const auto& cscf = *stream_get_module_srv_conf<StreamCoreSrvConf>(held.s);
    BOOST_TEST(*cscf.tcp_nodelay == false);
    BOOST_TEST(cscf.ctx->conf[stream_main_conf_offset] == held.s.main_conf);
    BOOST_TEST(cscf.ctx->conf[stream_srv_conf_offset] == held.s.srv_conf);
}

BOOST_AUTO_TEST_CASE(a_module_stores_its_data_of_a_session)
{
    const Held held;
    for (std::size_t i = 0; i < stream_max_module; i++) {
        BOOST_TEST(held.s.ctx[i] == nullptr);
    }
    Kept kept;
    stream_set_ctx(held.s, &kept);
    BOOST_TEST(stream_get_module_ctx<Kept>(held.s) == &kept);
    BOOST_TEST(held.s.ctx[hooks_a_module.ctx_index] == &kept);
}

BOOST_AUTO_TEST_CASE(a_session_that_begins_is_logged)
{
    const Server server("server { listen 127.0.0.1:PORT; return x; }");
    const auto number = connection_counter->load();
    const Client client = server.connect();
    server.accept();

    SockaddrUnion sa{};
    socklen_t len = sizeof(sa);
    ::getsockname(client.fd(), &sa.any, &len);
    const std::string line =
        fmt::format(" [info] {}#{}: *{} client 127.0.0.1:{} connected to 127.0.0.1:PORT\n", log_pid,
                    log_pid, number, inet_get_port(&sa.any));
    BOOST_TEST(contains(server.shorten(server.log()), line));
}

BOOST_AUTO_TEST_CASE(a_log_below_the_level_gets_no_lines)
{
    const Server server({.stream = "server { listen unix:DIR/a; return x; }",
                         .main = "master_process off; pid pid; error_log error.log notice;"});
    BOOST_TEST(answer(server) == "x");
    BOOST_TEST(!contains(server.log(), "connected"));
}

BOOST_AUTO_TEST_CASE(a_line_about_a_session_says_what_it_does_and_with_whom)
{
    const Held held("server { listen 127.0.0.1:PORT; hold; }");
    const auto number = std::to_string(held.c.number);

    held.c.log->action = "testing";
    log_error(log_warn, held.c.log, ECONNRESET, "it {}", "failed");
    const std::string with_action = "*" + number +
                                    " it failed (104: Connection reset by peer) while testing, "
                                    "client: 127.0.0.1, server: 127.0.0.1:PORT\n";
    BOOST_TEST(contains(held.server.shorten(held.server.log()), with_action));

    held.c.log->action = nullptr;
    log_error(log_warn, held.c.log, 0, "again");
    const std::string without_action =
        "*" + number + " again, client: 127.0.0.1, server: 127.0.0.1:PORT\n";
    BOOST_TEST(contains(held.server.shorten(held.server.log()), without_action));
}

BOOST_AUTO_TEST_CASE(a_line_that_is_too_long_is_cut)
{
    const Held held;
    const std::string text(3000, 'x');
    log_error(log_warn, held.c.log, 0, "{}", text);
    BOOST_TEST(contains(held.server.log(), "xxx\n"));
    BOOST_TEST(!contains(held.server.log(), "client: "));
}

BOOST_AUTO_TEST_CASE(the_content_begins_without_an_action)
{
    const char* action = "none";
    hooks.on_hold = [&](StreamSession& s) { action = s.connection->log->action; };
    const Held held;
    BOOST_TEST(action == nullptr);
}

BOOST_AUTO_TEST_CASE(a_session_that_ends_releases_everything)
{
    const Held held;
    const auto active = stat_active->load();
    const auto free = held.server.cycle->free_connection_n;
    const int fd = held.c.fd;
    int cleaned = 0;
    held.c.pool->cleanup_add([](void* data) { ++*static_cast<int*>(data); }, &cleaned);

    stream_finalize_session(held.s, StreamStatus::ok);
    BOOST_TEST(cleaned == 1);
    BOOST_TEST(held.server.cycle->free_connection_n == free + 1);
    BOOST_TEST(stat_active->load() == active - 1);
    BOOST_TEST(::fcntl(fd, F_GETFD) == -1);
    BOOST_TEST(held.c.fd == invalid_socket);
    BOOST_TEST(held.client.receive_all() == "");
}

BOOST_AUTO_TEST_CASE(a_session_that_ends_leaves_no_timer_and_no_posted_event)
{
    const Held held;
    add_timer(*held.c.read, 1000);
    add_timer(*held.c.write, 1000);
    post_event(*held.c.read, posted_events);
    post_event(*held.c.write, posted_next_events);

    stream_finalize_session(held.s, StreamStatus::ok);
    BOOST_TEST(!held.c.read->timer_set());
    BOOST_TEST(!held.c.write->timer_set());
    BOOST_TEST(posted_events.empty());
    BOOST_TEST(posted_next_events.empty());
}

BOOST_AUTO_TEST_CASE(the_memory_of_a_session_that_ended_serves_the_next,
                     *boost::unit_test::precondition([](auto) { return !have_asan; }))
{
    const Server server("server { listen unix:DIR/a; hold; }");
    const Client first = server.connect();
    const Pool* const pool = server.accepted().pool;
    stream_finalize_session(*hooks.session, StreamStatus::ok);
    const Client second = server.connect();
    BOOST_TEST(server.accepted().pool == pool);
}

BOOST_AUTO_TEST_CASE(connections_are_counted)
{
    const Server server("server { listen unix:DIR/a; return x; }");
    const auto accepted = stat_accepted->load();
    const auto handled = stat_handled->load();
    const auto active = stat_active->load();
    for (int i = 0; i < 3; i++) {
        BOOST_TEST(answer(server) == "x");
    }
    BOOST_TEST(stat_accepted->load() == accepted + 3);
    BOOST_TEST(stat_handled->load() == handled + 3);
    BOOST_TEST(stat_active->load() == active);
}

BOOST_AUTO_TEST_CASE(many_sessions_run_side_by_side)
{
    constexpr std::size_t n = 100;
    const Server server("server { listen unix:DIR/a; echo; }");
    std::vector<Client> clients;
    for (std::size_t i = 0; i < n; i++) {
        clients.push_back(server.connect());
        server.accept();
    }
    BOOST_TEST(server.connections().size() == n);

    const bool all = server.serve([&] {
        for (const Client& client : clients) {
            client.send("hello");
        }
        bool same = true;
        for (const Client& client : clients) {
            same &= client.receive(5) == "hello";
        }
        clients.clear();
        return same;
    });
    BOOST_TEST(all);
    server.finish();
}

BOOST_AUTO_TEST_CASE(behind_a_wildcard_a_connection_is_asked_for_its_address_once)
{
    const Held held("server { listen PORT; hold; } server { listen 127.0.0.2:PORT; hold; }");
    BOOST_TEST(!inet_wildcard(held.c.local_sockaddr));
    const sockaddr* const sa = held.c.local_sockaddr;
    BOOST_TEST((connection_local_sockaddr(held.c, nullptr, nullptr, false) == Rc::ok));
    BOOST_TEST(held.c.local_sockaddr == sa);
}

BOOST_AUTO_TEST_CASE(a_single_server_needs_no_local_address)
{
    const Held held("server { listen PORT; hold; }");
    BOOST_TEST(inet_wildcard(held.c.local_sockaddr));
}

// A worker that holds the mutex keeps other workers from accepting.
BOOST_AUTO_TEST_CASE(with_the_accept_mutex_the_session_begins_when_it_is_free_again)
{
    bool held_by_somebody = true;
    hooks.on_hold = [&](StreamSession&) { held_by_somebody = accept_mutex_ptr->load() != 0; };
    const Server server({.stream = "server { listen unix:DIR/a; hold; }",
                         .main = "worker_processes 2; pid pid;",
                         .events = "accept_mutex on; accept_mutex_delay 1ms;"});
    BOOST_TEST_REQUIRE(use_accept_mutex);
    const Client client = server.connect();
    server.turn_until([] { return hooks.session != nullptr; });
    BOOST_TEST(!held_by_somebody);
}

BOOST_AUTO_TEST_CASE(a_session_of_the_old_configuration_goes_on_after_a_reload)
{
    Server server("server { listen unix:DIR/a; echo; }");
    Client old = server.connect();
    server.accept();
    BOOST_TEST(server.reload("server { listen unix:DIR/a; return new; }"));
    BOOST_TEST(answer(server) == "new");

    const std::string echoed = server.serve([&] {
        old.send("hello");
        return old.receive(5);
    });
    BOOST_TEST(echoed == "hello");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
