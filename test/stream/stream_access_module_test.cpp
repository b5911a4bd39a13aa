// Tests of allow and deny: which rule applies, and what a denied client gets.

#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "stream/stream.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

namespace utf = boost::unit_test;

/// Returns a server with these rules.
std::string ruled(const std::string& rules, const std::string& listen = "127.0.0.1:PORT")
{
    return "server { listen " + listen + "; " + rules + " return in; }";
}

/// Returns what a client gets at this address.
std::string told(const Server& server, std::string_view address)
{
    const Client client = server.connect_to(address);
    server.accept();
    server.finish();
    return client.receive_all();
}

/// Whether a client from 127.0.0.1 is allowed.
bool lets_in(const std::string& rules)
{
    const Server server(ruled(rules));
    return answer(server) == "in";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_access_module)

BOOST_AUTO_TEST_CASE(without_rules_all_clients_are_allowed)
{
    BOOST_TEST(lets_in(""));
}

BOOST_AUTO_TEST_CASE(the_first_matching_rule_decides)
{
    BOOST_TEST(!lets_in("deny 127.0.0.1;"));
    BOOST_TEST(lets_in("allow 127.0.0.1; deny all;"));
    BOOST_TEST(!lets_in("deny all; allow 127.0.0.1;"));
    BOOST_TEST(!lets_in("allow 127.0.0.2; deny 127.0.0.0/8; allow all;"));
    BOOST_TEST(lets_in("deny 127.0.0.2; allow 127.0.0.0/8; deny all;"));
}

BOOST_AUTO_TEST_CASE(a_client_that_no_rule_matches_is_allowed)
{
    BOOST_TEST(lets_in("deny 127.0.0.2; deny 10.0.0.0/8; deny ::1; deny unix:;"));
    BOOST_TEST(lets_in("deny ::/0;"));
}

BOOST_AUTO_TEST_CASE(the_prefix_length_of_a_network_counts)
{
    BOOST_TEST(!lets_in("deny 0.0.0.0/0;"));
    BOOST_TEST(!lets_in("deny 126.0.0.0/7;"));
    BOOST_TEST(lets_in("deny 127.0.0.0/32;"));
    BOOST_TEST(!lets_in("deny 127.0.0.0/31;"));
}

BOOST_AUTO_TEST_CASE(a_denied_client_is_logged)
{
    StreamStatus status = StreamStatus::none;
    hooks.phases[{'a', StreamPhase::log}] = [&](StreamSession& s) {
        status = s.status;
        return Rc::ok;
    };
    const Server server(ruled("deny all;"));
    BOOST_TEST(answer(server) == "");
    BOOST_TEST((status == StreamStatus::forbidden));
    BOOST_TEST(contains(server.log(), "[error]"));
    BOOST_TEST(contains(server.shorten(server.log()),
                        " access forbidden by rule while initializing session, "
                        "client: 127.0.0.1, server: 127.0.0.1:PORT\n"));
}

BOOST_AUTO_TEST_CASE(a_server_without_rules_inherits_those_of_the_block)
{
    const Server server("deny all;" + ruled("", "unix:DIR/a") + ruled("allow ::1;", "unix:DIR/b"));
    BOOST_TEST(answer(server, 0) == "");
    BOOST_TEST(answer(server, 1) == "in");
}

BOOST_AUTO_TEST_CASE(a_rule_matches_all_clients_of_unix_sockets)
{
    for (const auto& [rules, wanted] :
         {std::pair("deny unix:;", ""), std::pair("allow unix:; deny all;", "in"),
          std::pair("deny all;", ""), std::pair("deny 0.0.0.0/0; deny ::/0;", "in")}) {
        const Server server(ruled(rules, "unix:DIR/a"));
        BOOST_TEST(answer(server) == wanted);
    }
}

BOOST_AUTO_TEST_CASE(rules_may_be_of_ipv6, *utf::precondition(has_ipv6))
{
    for (const auto& [rules, wanted] :
         {std::pair("deny ::1;", ""), std::pair("allow ::1; deny all;", "in"),
          std::pair("deny ::/0;", ""), std::pair("deny 2001:db8::/32; deny 127.0.0.1;", "in"),
          std::pair("deny ::/127;", ""), std::pair("deny all;", "")}) {
        const Server server(ruled(rules, "[::1]:PORT"));
        BOOST_TEST(answer(server) == wanted);
    }
}

// As in nginx: IPv6 rules apply to such a client only if there are no IPv4 rules.
BOOST_AUTO_TEST_CASE(an_ipv4_client_of_an_ipv6_socket_is_one_of_ipv4, *utf::precondition(has_ipv6))
{
    for (const auto& [rules, wanted] :
         {std::pair("deny 127.0.0.1;", ""), std::pair("deny 127.0.0.2; deny ::/0;", "in"),
          std::pair("deny ::ffff:127.0.0.1;", ""), std::pair("deny ::1;", "in"),
          std::pair("deny ::ffff:0:0/96; allow 127.0.0.1;", "in"), std::pair("deny all;", "")}) {
        const Server server(ruled(rules, "[::]:PORT ipv6only=off"));
        BOOST_TEST(told(server, "127.0.0.1") == wanted);
    }
}

// Rules apply to the address of the proxy, not to the one in its header.
BOOST_AUTO_TEST_CASE(rules_match_the_proxy_and_run_after_its_header)
{
    const Server server(ruled("deny 192.0.2.1;", "127.0.0.1:PORT proxy_protocol"));
    const std::string text = server.serve([&] {
        const Client client = server.connect();
        client.send("PROXY TCP4 192.0.2.1 198.51.100.2 80 443\r\n");
        return client.receive_all();
    });
    BOOST_TEST(text == "in");
}

BOOST_AUTO_TEST_CASE(a_malformed_network_is_refused)
{
    for (const std::string word :
         {"ALL", "any", "unix", "unix:/a", "127.0.0.1/33", "::/129", "127.0.0.1/", "127.0.0.1/x",
          "127.0.0.1:80", "[::1]", "localhost", "$remote_addr"}) {
        BOOST_TEST(contains(refusal(ruled("allow " + word + ";")),
                            "invalid parameter \"" + word + "\" in "));
    }
    BOOST_TEST(
        contains(refusal(ruled("deny;")), "invalid number of arguments in \"deny\" directive in "));
}

BOOST_AUTO_TEST_CASE(bits_beyond_the_prefix_are_a_warning)
{
    const Server server({.stream = ruled("deny 127.0.0.1/8;"), .start = Start::conf});
    BOOST_TEST(contains(server.log(), "[warn]"));
    BOOST_TEST(contains(server.log(), "low address bits of 127.0.0.1/8 are meaningless in "));
    BOOST_TEST(!lets_in("deny 127.0.0.3/8;"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
