// Tests of the stream block: its modules' functions, its levels, and the sockets of its addresses.

#define BOOST_TEST_MODULE stream
#define BOOST_TEST_MAIN  // precompiled headers do not see BOOST_TEST_MODULE

#include "stream/stream.hpp"

#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

namespace utf = boost::unit_test;

using Strings = std::vector<std::string>;

/// Returns a server that is configured and has opened its sockets, without a loop.
Server configured(std::string_view stream)
{
    return Server({.stream = stream, .start = Start::conf});
}

/// Returns the sockets of a configuration, in its order.
Strings sockets(std::string_view stream)
{
    const OnlyTested tested;
    const Server server = configured(stream);
    Strings names;
    for (const Listening& ls : server.cycle->listening) {
        names.push_back(server.shorten(ls.addr_text));
    }
    return names;
}

/// Returns the calls of modules' functions for a configuration.
Strings calls(std::string_view stream)
{
    const Server server = configured(stream);
    return hooks.calls;
}

/// Connects to PORT of an address and receives until the server closes the connection.
std::string answer_at(const Server& server, std::string_view address)
{
    const Client client = server.connect_to(address);
    server.accept();
    server.finish();
    return client.receive_all();
}

void check_refused(std::string_view stream, std::string_view message)
{
    const std::string log = refusal(stream);
    BOOST_TEST(contains(log, "[emerg]"), stream << " gave " << log);
    BOOST_TEST(contains(log, message), stream << " gave " << log);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream)

BOOST_AUTO_TEST_CASE(an_empty_block_listens_on_nothing)
{
    BOOST_TEST(sockets("").empty());
}

BOOST_AUTO_TEST_CASE(a_second_block_is_refused)
{
    const Server server({.stream = "", .main = "stream {}", .start = Start::conf});
    BOOST_TEST(contains(server.log(), "\"stream\" directive is duplicate in "));
    BOOST_TEST(!server.cycle.ok());
}

BOOST_AUTO_TEST_CASE(directives_are_allowed_on_their_level_only)
{
    check_refused("listen PORT;", "\"listen\" directive is not allowed here");
    check_refused("return x;", "\"return\" directive is not allowed here");
    check_refused("server { server {} }", "\"server\" directive is not allowed here");
    check_refused("events {}", "\"events\" directive is not allowed here");
    check_refused("worker_processes 1;", "\"worker_processes\" directive is not allowed here");
    check_refused("server { test_main x; }", "\"test_main\" directive is not allowed here");

    const Server outside({.stream = "", .main = "server {}", .start = Start::conf});
    BOOST_TEST(contains(outside.log(), "\"server\" directive is not allowed here in "));
}

BOOST_AUTO_TEST_CASE(modules_are_called_in_nginxs_order)
{
    const Strings wanted = {
        "a create_main_conf",      "a create_srv_conf",   "b create_main_conf",
        "b create_srv_conf",       "a preconfiguration",  "b preconfiguration",
        "a create_srv_conf",       "b create_srv_conf",   "a create_srv_conf",
        "b create_srv_conf",       "a init_main_conf m",  "a merge_srv_conf s,x in x",
        "a merge_srv_conf s, in ", "b init_main_conf ",   "b merge_srv_conf , in x",
        "b merge_srv_conf , in ",  "a postconfiguration", "b postconfiguration",
    };
    BOOST_TEST(calls("test_main m; server { listen unix:DIR/x; test_srv x; }"
                     "server { listen unix:DIR/y; } test_srv s;") == wanted,
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_hook_that_fails_is_the_last_one_called)
{
    for (const char* const failing :
         {"a preconfiguration", "b preconfiguration", "a init_main_conf", "b init_main_conf",
          "a merge_srv_conf", "b merge_srv_conf", "a postconfiguration", "b postconfiguration"}) {
        hooks.failing = failing;
        const Server server = configured("server { listen unix:DIR/a; }");
        BOOST_TEST(!server.cycle.ok(), failing);
        BOOST_TEST(hooks.calls.back().starts_with(failing), failing);
    }
}

BOOST_AUTO_TEST_CASE(an_error_of_a_hook_is_logged_with_the_directive_and_its_place)
{
    hooks.failing = "a init_main_conf";
    BOOST_TEST(contains(refusal(""), "\"stream\" directive fails to initialise in "));
    hooks.failing = "b merge_srv_conf";
    BOOST_TEST(contains(refusal("server { listen unix:DIR/a; }"),
                        "\"stream\" directive fails to merge in "));
}

BOOST_AUTO_TEST_CASE(each_address_gets_a_socket_and_its_server)
{
    const Server server("server { listen 127.0.0.1:PORT; return one; }"
                        "server { listen 127.0.0.2:PORT; listen unix:DIR/a; return two; }"
                        "server { listen 127.0.0.1:PORT2; listen unix:DIR/b; return three; }");
    const Strings wanted = {"127.0.0.1:PORT", "127.0.0.2:PORT", "unix:DIR/a", "unix:DIR/b",
                            "127.0.0.1:PORT2"};
    const Strings answers = {"one", "two", "two", "three", "three"};
    BOOST_TEST_REQUIRE(server.cycle->listening.size() == wanted.size());
    for (std::size_t i = 0; i < wanted.size(); i++) {
        BOOST_TEST(server.shorten(server.listening(i).addr_text) == wanted[i]);
        BOOST_TEST(answer(server, i) == answers[i]);
    }
}

BOOST_AUTO_TEST_CASE(a_range_of_ports_is_a_socket_for_each)
{
    const Strings wanted = {"127.0.0.1:PORT", "127.0.0.1:PORT2"};
    BOOST_TEST(sockets("server { listen 127.0.0.1:PORT-PORT2; return x; }") == wanted,
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_wildcard_serves_the_addresses_of_its_port)
{
    const Server server("server { listen 127.0.0.2:PORT; return two; }"
                        "server { listen PORT; return any; }"
                        "server { listen 127.0.0.3:PORT; return three; }");
    BOOST_TEST_REQUIRE(server.cycle->listening.size() == 1);
    BOOST_TEST(server.shorten(server.listening().addr_text) == "0.0.0.0:PORT");
    BOOST_TEST(answer_at(server, "127.0.0.1") == "any");
    BOOST_TEST(answer_at(server, "127.0.0.2") == "two");
    BOOST_TEST(answer_at(server, "127.0.0.3") == "three");
    BOOST_TEST(answer_at(server, "127.0.0.4") == "any");
}

// Linux binds both side by side if both have SO_REUSEPORT.
BOOST_AUTO_TEST_CASE(an_address_with_options_has_a_socket_beside_the_wildcard)
{
    const Server server("server { listen *:PORT reuseport; return any; }"
                        "server { listen 127.0.0.2:PORT; return implicit; }"
                        "server { listen 127.0.0.3:PORT reuseport; return own; }");
    BOOST_TEST_REQUIRE(server.cycle->listening.size() == 2);
    BOOST_TEST(server.shorten(server.listening(0).addr_text) == "127.0.0.3:PORT");
    BOOST_TEST(server.shorten(server.listening(1).addr_text) == "0.0.0.0:PORT");
    BOOST_TEST(answer_at(server, "127.0.0.1") == "any");
    BOOST_TEST(answer_at(server, "127.0.0.2") == "implicit");
    BOOST_TEST(answer_at(server, "127.0.0.3") == "own");
}

BOOST_AUTO_TEST_CASE(an_own_socket_needs_no_lookup_of_its_server)
{
    const OnlyTested tested;
    const Server server = configured("server { listen *:PORT; listen 127.0.0.2:PORT; }"
                                     "server { listen 127.0.0.3:PORT bind; }");
    const auto addrs = [&](std::size_t i) {
        return static_cast<const StreamPort*>(server.listening(i).servers)->addrs.size();
    };
    BOOST_TEST(addrs(0) == 1);
    BOOST_TEST(addrs(1) == 2);
}

BOOST_AUTO_TEST_CASE(own_sockets_come_first_then_the_implicit_ones_then_the_wildcard)
{
    const Strings without_wildcard = {"127.0.0.2:PORT", "127.0.0.4:PORT", "127.0.0.1:PORT",
                                      "127.0.0.3:PORT"};
    BOOST_TEST(sockets("server { listen 127.0.0.1:PORT; listen 127.0.0.2:PORT bind;"
                       "listen 127.0.0.3:PORT; listen 127.0.0.4:PORT bind; }") == without_wildcard,
               boost::test_tools::per_element());

    const Strings with_wildcard = {"127.0.0.2:PORT", "127.0.0.4:PORT", "0.0.0.0:PORT"};
    BOOST_TEST(sockets("server { listen PORT; listen 127.0.0.1:PORT; listen 127.0.0.2:PORT bind;"
                       "listen 127.0.0.3:PORT; listen 127.0.0.4:PORT bind; }") == with_wildcard,
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_wildcard_takes_no_address_of_another_port)
{
    const Strings wanted = {"0.0.0.0:PORT", "127.0.0.1:PORT2"};
    BOOST_TEST(sockets("server { listen PORT; listen 127.0.0.1:PORT2; }") == wanted,
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_families_share_no_sockets, *utf::precondition(has_ipv6))
{
    const Server server("server { listen PORT; return any; }"
                        "server { listen [::]:PORT; return any6; }"
                        "server { listen [::1]:PORT; return one6; }");
    BOOST_TEST_REQUIRE(server.cycle->listening.size() == 2);
    BOOST_TEST(server.shorten(server.listening(0).addr_text) == "0.0.0.0:PORT");
    BOOST_TEST(server.shorten(server.listening(1).addr_text) == "[::]:PORT");
    BOOST_TEST(answer_at(server, "127.0.0.1") == "any");
    BOOST_TEST(answer_at(server, "::1") == "one6");
}

BOOST_AUTO_TEST_CASE(a_server_may_have_an_address_once)
{
    check_refused("server { listen PORT; listen *:PORT; }", "a duplicate listen 0.0.0.0:PORT in ");
    check_refused("server { listen 127.0.0.1:PORT; listen 127.0.0.1:PORT backlog=5; }",
                  "a duplicate listen 127.0.0.1:PORT in ");
    check_refused("server { listen unix:DIR/a; listen unix:DIR/a; }",
                  "a duplicate listen unix:DIR/a in ");
    check_refused("server { listen 127.0.0.1:PORT-PORT2; listen 127.0.0.1:PORT2; }",
                  "a duplicate listen 127.0.0.1:PORT2 in ");
}

BOOST_AUTO_TEST_CASE(the_first_server_of_an_address_answers)
{
    const Server server("server { listen unix:DIR/a; return first; }"
                        "server { listen unix:DIR/a; return second; }");
    BOOST_TEST(server.cycle->listening.size() == 1);
    BOOST_TEST(answer(server) == "first");
}

BOOST_AUTO_TEST_CASE(an_unreachable_server_is_a_warning)
{
    const Server server = configured("server { listen unix:DIR/a; return first; }"
                                     "server { listen unix:DIR/a; return second; }"
                                     "server { listen unix:DIR/a; return third; }");
    BOOST_TEST(contains(server.log(), "[warn]"));
    const std::string text = "conflicting server name \"\" on unix:DIR/a, ignored\n";
    BOOST_TEST(count(server.shorten(server.log()), text) == 2);
}

BOOST_AUTO_TEST_CASE(the_default_server_of_an_address_answers)
{
    const Server server("server { listen unix:DIR/a; return first; }"
                        "server { listen unix:DIR/a default_server; return second; }"
                        "server { listen unix:DIR/a; return third; }");
    BOOST_TEST(answer(server) == "second");
}

BOOST_AUTO_TEST_CASE(an_address_has_one_default_server)
{
    check_refused("server { listen unix:DIR/a default_server; }"
                  "server { listen unix:DIR/a default_server; }",
                  "a duplicate default server for unix:DIR/a in ");
    check_refused("server { listen unix:DIR/a default_server; } server { listen unix:DIR/a bind; }"
                  "server { listen unix:DIR/a default_server; }",
                  "a duplicate default server for unix:DIR/a in ");
}

BOOST_AUTO_TEST_CASE(any_one_server_may_give_an_address_its_options)
{
    const Server server("server { listen 127.0.0.1:PORT; return a; }"
                        "server { listen 127.0.0.1:PORT default_server; return b; }"
                        "server { listen 127.0.0.1:PORT backlog=7; return c; }");
    BOOST_TEST(server.cycle->listening.size() == 1);
    BOOST_TEST(server.listening().backlog == 7);
    BOOST_TEST(answer(server) == "b");
}

BOOST_AUTO_TEST_CASE(the_options_of_one_server_make_the_socket_an_own_one)
{
    const Strings wanted = {"127.0.0.2:PORT", "0.0.0.0:PORT"};
    BOOST_TEST(sockets("server { listen PORT; } server { listen 127.0.0.2:PORT; }"
                       "server { listen 127.0.0.2:PORT bind; }") == wanted,
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(options_of_two_servers_are_refused)
{
    check_refused("server { listen unix:DIR/a backlog=7; } server { listen unix:DIR/a backlog=7; }",
                  "duplicate listen options for unix:DIR/a in ");
    check_refused("server { listen unix:DIR/a; } server { listen unix:DIR/a bind; }"
                  "server { listen unix:DIR/a backlog=7; }",
                  "duplicate listen options for unix:DIR/a in ");
}

BOOST_AUTO_TEST_CASE(a_reload_changes_what_an_address_answers)
{
    Server server("server { listen unix:DIR/a; return before; }");
    BOOST_TEST(answer(server) == "before");

    const int fd = server.listening().fd;
    BOOST_TEST_REQUIRE(server.reload("server { listen unix:DIR/a; return after; }"));
    BOOST_TEST(server.listening().fd == fd);
    BOOST_TEST(answer(server) == "after");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
