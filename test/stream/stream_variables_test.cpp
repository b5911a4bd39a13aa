// Tests of the core module's variables, and of those that modules add.

#include "stream/stream_variables.hpp"

#include <array>
#include <climits>
#include <regex>
#include <string>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "auto_build.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event_counters.hpp"
#include "os/unix/process.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

namespace utf = boost::unit_test;

/// Returns a server that returns the text.
std::string saying(const std::string& text, const std::string& address = "127.0.0.1:PORT")
{
    return "server { listen " + address + "; return \"" + text + "\"; }";
}

/// Returns the text with its variables for a client from 127.0.0.1.
std::string value_of(const std::string& text)
{
    const Server server(saying(text));
    return answer(server);
}

/// A session that its content does nothing with.
struct Held {
    Server server{"server { listen 127.0.0.1:PORT; hold; }"};
    Client client = server.connect();
    Connection& c = server.accepted();
    StreamSession& s = *hooks.session;

    /// Returns the value of a variable.
    [[nodiscard]] std::string_view get(std::string_view name) const
    {
        const auto* cmcf =
            static_cast<StreamCoreMainConf*>(s.main_conf[stream_core_module.ctx_index]);
        const StreamVariable* variable = stream_find_variable(*cmcf, name);
        return variable ? variable->get_handler(s, variable->data) : "not found";
    }
};

/// A variable with the value "added".
StreamVariable added(std::string_view name)
{
    return {name, [](StreamSession&, std::uintptr_t) -> std::string_view { return "added"; }};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_variables)

BOOST_AUTO_TEST_CASE(the_addresses_of_both_ends)
{
    const Server server(saying("$remote_addr $remote_port $server_addr $server_port"));
    const Client client = server.connect();
    server.accept();
    BOOST_TEST(client.receive_all() == "127.0.0.1 " + std::to_string(client.local_port()) +
                                           server.expand(" 127.0.0.1 PORT"));
}

BOOST_AUTO_TEST_CASE(behind_a_wildcard_the_server_s_address_is_the_one_that_was_connected_to)
{
    const Server server(saying("$server_addr:$server_port", "PORT"));
    const Client client = server.connect_to("127.0.0.9");
    server.accept();
    BOOST_TEST(client.receive_all() == server.expand("127.0.0.9:PORT"));
}

BOOST_AUTO_TEST_CASE(addresses_of_ipv6_have_no_brackets, *utf::precondition(has_ipv6))
{
    const Server server(saying("$remote_addr $server_addr $server_port", "[::1]:PORT"));
    BOOST_TEST(answer(server) == server.expand("::1 ::1 PORT"));
}

BOOST_AUTO_TEST_CASE(unix_sockets_have_no_ports)
{
    const Server server(
        saying("$remote_addr [$remote_port] $server_addr [$server_port]", "unix:DIR/a"));
    BOOST_TEST(answer(server) == server.expand("unix: [] unix:DIR/a []"));
}

BOOST_AUTO_TEST_CASE(the_binary_address_is_as_long_as_its_family_has_it)
{
    BOOST_TEST(value_of("$binary_remote_addr") == std::string("\x7f\0\0\1", 4));
    const Server server(saying("$binary_remote_addr", "unix:DIR/a"));
    BOOST_TEST(answer(server) == "unix:");
}

BOOST_AUTO_TEST_CASE(the_binary_address_of_ipv6_has_sixteen_bytes, *utf::precondition(has_ipv6))
{
    const Server server(saying("$binary_remote_addr", "[::1]:PORT"));
    BOOST_TEST(answer(server) == std::string(15, '\0') + '\1');
}

BOOST_AUTO_TEST_CASE(connection_is_the_number_of_the_connection)
{
    const Server server(saying("$connection"));
    const auto next = connection_counter->load();
    BOOST_TEST(answer(server) == std::to_string(next));
    BOOST_TEST(answer(server) == std::to_string(next + 1));
    BOOST_TEST(contains(server.log(), "*" + std::to_string(next) + " client 127.0.0.1:"));
}

BOOST_AUTO_TEST_CASE(pid_is_the_process)
{
    BOOST_TEST(value_of("$pid") == std::to_string(::getpid()));
}

BOOST_AUTO_TEST_CASE(hostname_is_the_machine_s_in_small_letters)
{
    std::array<char, HOST_NAME_MAX + 1> name{};
    ::gethostname(name.data(), name.size() - 1);
    const std::string value = value_of("$hostname");
    BOOST_TEST(strcaseeq(value, name.data()));
    BOOST_TEST(value.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == value.npos);
}

BOOST_AUTO_TEST_CASE(nginx_version_is_the_server_s)
{
    BOOST_TEST(value_of("$nginx_version") == server_version);
}

BOOST_AUTO_TEST_CASE(protocol_is_tcp)
{
    BOOST_TEST(value_of("$protocol") == "TCP");
}

BOOST_AUTO_TEST_CASE(the_times_are_those_of_the_turn)
{
    const Held held;
    const Time& now = timeofday();
    BOOST_TEST(held.get("msec") == fmt::format("{}.{:03}", now.sec, now.msec));
    BOOST_TEST(held.get("time_iso8601") == *cached_http_log_iso8601);
    BOOST_TEST(held.get("time_local") == *cached_http_log_time);
}

BOOST_AUTO_TEST_CASE(the_times_have_their_shapes)
{
    const std::string value = value_of("$msec|$time_iso8601|$time_local");
    BOOST_TEST(std::regex_match(
                   value, std::regex(R"(\d{10,}\.\d{3})"
                                     R"(\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d)"
                                     R"(\|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})")),
               value);
}

// The cached times are overwritten later.
BOOST_AUTO_TEST_CASE(a_time_lives_as_long_as_the_session)
{
    const Held held;
    BOOST_TEST((held.get("time_iso8601").data() != cached_http_log_iso8601->data()));
    BOOST_TEST((held.get("time_local").data() != cached_http_log_time->data()));
}

BOOST_AUTO_TEST_CASE(bytes_are_counted_in_both_directions)
{
    const Held held;
    BOOST_TEST(held.get("bytes_sent") == "0");
    BOOST_TEST(held.get("bytes_received") == "0");
    BOOST_TEST(held.c.send(held.c, "hello", 5) == 5);
    held.s.received = 12'345'678'901;
    BOOST_TEST(held.get("bytes_sent") == "5");
    BOOST_TEST(held.get("bytes_received") == "12345678901");
}

BOOST_AUTO_TEST_CASE(session_time_is_in_seconds_with_milliseconds)
{
    const Held held;
    const Time& now = timeofday();
    held.s.start_sec = now.sec - 2;
    held.s.start_msec = now.msec;
    BOOST_TEST(held.get("session_time") == "2.000");
    held.s.start_sec = now.sec;
    BOOST_TEST(held.get("session_time") == "0.000");

    // The result is less than a second, whatever the current millisecond is.
    held.s.start_sec = now.sec - 1;
    held.s.start_msec = 999;
    BOOST_TEST(held.get("session_time") == fmt::format("0.{:03}", 1 + now.msec));
}

BOOST_AUTO_TEST_CASE(a_clock_that_was_set_back_gives_no_negative_session_time)
{
    const Held held;
    held.s.start_sec = timeofday().sec + 100;
    BOOST_TEST(held.get("session_time") == "0.000");
}

BOOST_AUTO_TEST_CASE(status_is_zero_until_the_session_ends)
{
    const Held held;
    BOOST_TEST(held.get("status") == "000");
    held.s.status = StreamStatus::bad_gateway;
    BOOST_TEST(held.get("status") == "502");
}

BOOST_AUTO_TEST_CASE(names_are_found_in_any_case_of_letters)
{
    const Held held;
    BOOST_TEST(held.get("PID") == std::to_string(pid));
    BOOST_TEST(held.get("Remote_Addr") == "127.0.0.1");
    BOOST_TEST(held.get("pi") == "not found");
    BOOST_TEST(held.get("pidd") == "not found");
    BOOST_TEST(held.get("") == "not found");
}

BOOST_AUTO_TEST_CASE(an_unknown_variable_is_refused)
{
    const std::string log = refusal(saying("$pid $Unknown"));
    BOOST_TEST(contains(log, "[emerg]"));
    BOOST_TEST(contains(log, "unknown \"unknown\" variable\n"));
}

BOOST_AUTO_TEST_CASE(a_variable_of_nginx_that_is_not_supported_is_refused_with_its_line)
{
    for (const char* const name : {"upstream_addr", "ssl_protocol", "realip_remote_addr"}) {
        const std::string log = refusal(saying(fmt::format("${}", name)));
        BOOST_TEST(contains(log, fmt::format("the \"${}\" variable is not supported in ", name)));
        BOOST_TEST(contains(log, ".conf:"));
    }
}

BOOST_AUTO_TEST_CASE(the_first_unknown_variable_is_named)
{
    const std::string log = refusal("server { listen unix:DIR/a; return $one; }"
                                    "server { listen unix:DIR/b; return $two; }");
    BOOST_TEST(contains(log, "unknown \"one\" variable\n"));
    BOOST_TEST(!contains(log, "two"));
}

BOOST_AUTO_TEST_CASE(other_errors_come_before_unknown_variables)
{
    const std::string log = refusal("server { listen unix:DIR/a; return $one; bad; }");
    BOOST_TEST(contains(log, "unknown directive \"bad\""));
    BOOST_TEST(!contains(log, "variable"));
}

BOOST_AUTO_TEST_CASE(a_module_may_add_a_variable_before_the_block_is_read)
{
    hooks.variables = {added("test_variable")};
    BOOST_TEST(value_of("<$test_variable>") == "<added>");
}

BOOST_AUTO_TEST_CASE(its_handler_gets_the_session_and_the_data)
{
    hooks.variables = {{"test_variable",
                        [](StreamSession& s, std::uintptr_t data) -> std::string_view {
                            return data == 7 ? s.connection->addr_text : "not the data";
                        },
                        7}};
    BOOST_TEST(value_of("$test_variable") == "127.0.0.1");
}

BOOST_AUTO_TEST_CASE(a_module_may_add_a_variable_when_the_block_has_been_read)
{
    hooks.late_variables = {added("test_variable")};
    BOOST_TEST(value_of("<$test_variable>") == "<added>");
}

BOOST_AUTO_TEST_CASE(a_variable_is_added_once)
{
    for (const char* const name : {"remote_addr", "Remote_Addr", "pid"}) {
        hooks.variables = {added(name)};
        const std::string log = refusal("");
        BOOST_TEST(contains(log, "[emerg]"), name);
        BOOST_TEST(contains(log, std::string("the duplicate \"") + name + "\" variable in "), name);
    }
    hooks.variables = {added("test_variable"), added("TEST_VARIABLE")};
    BOOST_TEST(contains(refusal(""), "the duplicate \"TEST_VARIABLE\" variable in "));
}

BOOST_AUTO_TEST_CASE(a_reload_starts_with_no_variables_of_the_old_block)
{
    hooks.variables = {added("test_variable")};
    Server server(saying("$test_variable"));
    BOOST_TEST(server.reload(saying("<$test_variable>")));
    BOOST_TEST(answer(server) == "<added>");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
