// Tests of the choice of a peer: by weight, by load, and after failures.

#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>

#include "core/times.hpp"
#include "stream/stream_upstream_round_robin.hpp"
#include "test/stream/proxied.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

/// Returns a proxy in front of servers a, b and c, each of which returns its name.
std::string balanced(std::string_view servers, std::string_view directives = "")
{
    return fmt::format("upstream u {{ {} }} "
                       "server {{ listen unix:DIR/p; proxy_pass u; {} }}"
                       "server {{ listen unix:DIR/a; return a; }}"
                       "server {{ listen unix:DIR/b; return b; }}"
                       "server {{ listen unix:DIR/c; return c; }}",
                       servers, directives);
}

std::string ask(const Server& server)
{
    const Client client = server.connect();
    return server.serve([&] { return client.receive_all(); });
}

/// Returns the answers to `n` requests, one after the other.
std::string sequence(std::string_view servers, int n, std::string_view directives = "")
{
    const Server server(balanced(servers, directives));
    std::string answers;
    for (int i = 0; i < n; i++) {
        answers += ask(server);
        server.finish();
    }
    return answers;
}

StreamUpstreamRrPeers& peers_of(const Server& server)
{
    const auto& block = *static_cast<BlockCtx*>(server.cycle->conf_ctx[stream_module.index]);
    const auto& umcf = *static_cast<StreamUpstreamMainConf*>(
        block.conf[stream_main_conf_offset][stream_upstream_module.ctx_index]);
    return *static_cast<StreamUpstreamRrPeers*>(umcf.upstreams.at(0)->peer.data);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_upstream_round_robin)

BOOST_AUTO_TEST_CASE(equal_peers_take_turns)
{
    BOOST_TEST(sequence("server unix:DIR/a; server unix:DIR/b; server unix:DIR/c;", 7) ==
               "abcabca");
}

BOOST_AUTO_TEST_CASE(a_heavier_peer_is_chosen_more_often_and_not_in_a_row)
{
    BOOST_TEST(sequence("server unix:DIR/a weight=5; server unix:DIR/b; server unix:DIR/c;", 14) ==
               "aabacaaaabacaa");
}

BOOST_AUTO_TEST_CASE(a_peer_that_is_down_is_not_chosen)
{
    BOOST_TEST(sequence("server unix:DIR/a down; server unix:DIR/b; server unix:DIR/c;", 4) ==
               "bcbc");
    BOOST_TEST(sequence("server unix:DIR/a down;", 1) == "");
}

BOOST_AUTO_TEST_CASE(a_backup_is_chosen_when_all_others_have_failed)
{
    BOOST_TEST(sequence("server unix:DIR/a; server unix:DIR/b backup;", 3) == "aaa");
    BOOST_TEST(sequence("server unix:DIR/x; server unix:DIR/b backup; server unix:DIR/c backup;",
                        4) == "bcbc");
}

BOOST_AUTO_TEST_CASE(a_failed_peer_is_not_chosen_for_fail_timeout)
{
    const Server server(balanced("server unix:DIR/x max_fails=2 fail_timeout=10s; "
                                 "server unix:DIR/b;"));
    const auto fails = [&] { return count(server.log(), "connect() to unix:"); };
    for (int i = 0; i < 8; i++) {
        BOOST_TEST(ask(server) == "b");
    }
    BOOST_TEST(fails() == 2U);
    BOOST_TEST(count(server.log(), "upstream server temporarily disabled") == 1U);

    peers_of(server).peer[0].checked -= 11'000;  // as if the time had passed
    peers_of(server).peer[0].effective_weight = 1;
    BOOST_TEST(ask(server) + ask(server) == "bb");
    BOOST_TEST(fails() == 3U);
}

BOOST_AUTO_TEST_CASE(a_peer_with_max_fails_0_is_always_tried)
{
    const Server server(balanced("server unix:DIR/x max_fails=0; server unix:DIR/b;"));
    for (int i = 0; i < 6; i++) {
        BOOST_TEST(ask(server) == "b");
    }
    BOOST_TEST(count(server.log(), "connect() to unix:") == 3U);
}

BOOST_AUTO_TEST_CASE(a_recovered_peer_counts_as_new)
{
    const Server server(balanced("server unix:DIR/a; server unix:DIR/b;"));
    StreamUpstreamRrPeer& peer = peers_of(server).peer[0];
    peer.fails = 1;
    peer.accessed = current_msec - 30'000;
    peer.checked = peer.accessed;
    BOOST_TEST(ask(server) == "a");
    BOOST_TEST(peer.fails == 0);
}

BOOST_AUTO_TEST_CASE(a_lack_of_local_ports_is_no_failure_of_the_peer)
{
    const Server server(balanced("server unix:DIR/a; server unix:DIR/b;"));
    StreamUpstreamRrPeer& peer = peers_of(server).peer[0];
    peer.fails = 1;
    peer.max_fails = 2;
    peer.accessed = current_msec - 30'000;
    peer.checked = peer.accessed;

    const Client client = server.connect();
    const FakeCall connect(Call::connect, {.err = EADDRNOTAVAIL});
    BOOST_TEST(server.serve([&] { return client.receive_all(); }) == "b");
    BOOST_TEST(connect.calls() == 2);
    BOOST_TEST(peer.fails == 1);  // it was not tried either
    BOOST_TEST(peer.conns == 0);
    BOOST_TEST(contains(server.log(), "[crit] "));
    BOOST_TEST(contains(server.log(), "(99: Cannot assign requested address)"));
}

BOOST_AUTO_TEST_CASE(numbers_that_would_overflow_are_refused)
{
    for (const std::string param :
         {"weight=9223372036854775807", "weight=2147483648", "fail_timeout=9223372036854776"}) {
        BOOST_TEST(contains(refusal(balanced("server unix:DIR/a " + param + ";")),
                            "invalid parameter \"" + param + "\" in "));
    }
    BOOST_TEST(sequence("server unix:DIR/a weight=2147483647; server unix:DIR/b;", 2) == "aa");
    BOOST_TEST(sequence("least_conn; server unix:DIR/a weight=2147483647; server unix:DIR/b;", 2) ==
               "aa");
}

BOOST_AUTO_TEST_CASE(a_single_server_is_tried_however_often_it_fails)
{
    const Server server(balanced("server unix:DIR/x;"));
    for (int i = 0; i < 3; i++) {
        BOOST_TEST(ask(server) == "");
    }
    BOOST_TEST(count(server.log(), "connect() to unix:") == 3U);
    BOOST_TEST(!contains(server.log(), "no live upstreams"));
}

BOOST_AUTO_TEST_CASE(a_server_has_no_more_connections_than_it_may)
{
    for (const char* const method : {"", "least_conn;"}) {
        const Server server(
            fmt::format("upstream u {{ {} server unix:DIR/a max_conns=1; server unix:DIR/b "
                        "max_conns=1; }} server {{ listen unix:DIR/p; proxy_pass u; }}"
                        "server {{ listen unix:DIR/a; echo; }}"
                        "server {{ listen unix:DIR/b; echo; }}",
                        method));
        const Client one = server.connect();
        const Client two = server.connect();
        server.turn_until([&] { return server.connections().size() == 6; });
        BOOST_TEST(peers_of(server).peer[0].conns == 1);
        BOOST_TEST(peers_of(server).peer[1].conns == 1);

        const Client three = server.connect();
        BOOST_TEST(server.serve([&] { return three.receive_all(); }) == "");
        BOOST_TEST(contains(server.log(), "no live upstreams"));

        one.finish();
        two.finish();
        server.finish();
        BOOST_TEST(peers_of(server).peer[0].conns + peers_of(server).peer[1].conns == 0);
    }
}

BOOST_AUTO_TEST_CASE(each_of_more_than_64_servers_is_tried)
{
    std::string servers;
    for (int i = 0; i < 100; i++) {
        servers += fmt::format("server unix:DIR/{}; ", i);
    }
    const Server server(balanced(servers + "server unix:DIR/b;"));
    BOOST_TEST(ask(server) == "b");
    BOOST_TEST(count(server.log(), "connect() to unix:") == 100U);
}

BOOST_AUTO_TEST_CASE(a_name_with_several_addresses_is_several_servers)
{
    const Server server({.stream = "upstream u { server localhost:80 weight=2; } "
                                   "server { listen unix:DIR/p; proxy_pass u; }",
                         .start = Start::conf});
    BOOST_REQUIRE(server.cycle.ok());
    for (const StreamUpstreamRrPeer& peer : peers_of(server).peer) {
        BOOST_TEST(peer.weight == 2);
        BOOST_TEST(peer.server == "localhost:80");
    }
}

BOOST_AUTO_TEST_CASE(the_least_busy_is_chosen)
{
    const Server server("upstream u { least_conn; server unix:DIR/a weight=2; server unix:DIR/b; } "
                        "server { listen unix:DIR/p; proxy_pass u; }"
                        "server { listen unix:DIR/a; echo; }"
                        "server { listen unix:DIR/b; echo; }");
    std::vector<Client> clients;
    for (int i = 0; i < 6; i++) {
        clients.push_back(server.connect());
        const std::size_t open = 3 * clients.size();
        server.turn_until([&] { return server.connections().size() == open; });
    }
    BOOST_TEST(peers_of(server).peer[0].conns == 4);
    BOOST_TEST(peers_of(server).peer[1].conns == 2);
}

BOOST_AUTO_TEST_CASE(equally_busy_peers_take_turns)
{
    BOOST_TEST(sequence("least_conn; server unix:DIR/a; server unix:DIR/b; server unix:DIR/c;",
                        7) == "abcabca");
    BOOST_TEST(sequence("least_conn; server unix:DIR/x; server unix:DIR/b backup;", 2) == "bb");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
