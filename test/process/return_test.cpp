#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

std::string hostname()
{
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    std::string text = name.data();
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

/// Returns the version of the binary.
std::string version()
{
    const std::string out = run({setup().binary, "-v"}).err;
    return out.substr(out.rfind('/') + 1, out.rfind('\n') - out.rfind('/') - 1);
}

double now()
{
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_return)

BOOST_AUTO_TEST_CASE(each_client_gets_the_text_and_then_the_end)
{
    const Port port;
    Server server({.stream = server_block(port, "return 'hello, world';")});
    BOOST_TEST(Client(port).receive_all() == "hello, world");
    BOOST_TEST(Client(port).receive_all() == "hello, world");
}

BOOST_AUTO_TEST_CASE(variables_have_the_addresses_of_both_ends)
{
    const Port port;
    Server server({.stream = server_block(
                       port, "return '$remote_addr $remote_port $server_addr $server_port';")});
    const Client client(port);
    const std::string wanted =
        fmt::format("127.0.0.1 {} 127.0.0.1 {}", client.local_port(), port.text());
    BOOST_TEST(client.receive_all() == wanted);
}

BOOST_AUTO_TEST_CASE(variables_have_the_properties_of_the_server)
{
    const Port port;
    Server server({.stream = server_block(port, "return '$pid ${hostname} $nginx_version';")});
    BOOST_TEST(ask(port) == fmt::format("{} {} {}", server.pid(), hostname(), version()));
}

BOOST_AUTO_TEST_CASE(connections_are_numbered_from_one)
{
    const Port port;
    Server server({.stream = server_block(port, "return $connection;")});
    BOOST_TEST(ask(port) == "1");
    BOOST_TEST(ask(port) == "2");
    server.wait_for_log(fmt::format("*2 client 127.0.0.1:"));
}

BOOST_AUTO_TEST_CASE(msec_is_the_time_of_the_connection)
{
    const Port port;
    Server server({.stream = server_block(port, "return $msec;")});
    constexpr double millisecond = 0.001;
    const double before = now();
    const double told = std::stod(ask(port));
    BOOST_TEST(told > before - millisecond);
    BOOST_TEST(told < now() + millisecond);
}

BOOST_AUTO_TEST_CASE(time_iso8601_is_the_time_of_the_connection)
{
    const Port port;
    Server server({.stream = server_block(port, "return $time_iso8601;")});
    const double before = now();
    const std::string told = ask(port);

    std::tm tm{};
    const char* const end = ::strptime(told.c_str(), "%Y-%m-%dT%H:%M:%S%z", &tm);
    BOOST_TEST_REQUIRE((end != nullptr && *end == '\0'), told);
    const long offset = tm.tm_gmtoff;
    const double seconds = static_cast<double>(::timegm(&tm) - offset);
    BOOST_TEST(seconds > before - 1);
    BOOST_TEST(seconds <= now());
}

BOOST_AUTO_TEST_CASE(escapes_represent_special_characters)
{
    const Port port;
    Server server({.stream = server_block(port, R"(return "a\r\nb\tc\"d\\e\'f
g";)")});
    BOOST_TEST(ask(port) == "a\r\nb\tc\"d\\e'f\ng");
}

BOOST_AUTO_TEST_CASE(a_slow_reader_gets_everything)
{
    // The longest word of a configuration, and its text with the variables' values.
    constexpr std::size_t repeated = 800;
    std::string text;
    for (std::size_t i = 0; i < repeated; ++i) {
        text += "$msec";
    }
    const Port port;
    Server server({.stream = server_block(port, "return " + text + ";", "sndbuf=1k")});

    const Client client(port, "127.0.0.1", {.receive = 1024});
    server.settle();
    const std::string got = client.receive_all();
    const std::string once = got.substr(0, got.size() / repeated);
    BOOST_TEST_REQUIRE(once.size() == std::string("1234567890.123").size());
    BOOST_TEST(count(got, once) == repeated);
}

BOOST_AUTO_TEST_CASE(curl_accepts_a_text_with_an_http_head, *precondition(curl_is_there))
{
    const Port port;
    Server server({.stream = server_block(port, R"(return "HTTP/1.1 200 OK\r\n)"
                                                R"(Content-Length: 6\r\nX-Client: $remote_addr\r\n)"
                                                R"(Connection: close\r\n\r\nhello\n";)")});
    const RunResult curl = run({"curl", "-sS", "-i", "--noproxy", "*", "--max-time", "60",
                                "http://" + port.at("127.0.0.1") + "/"},
                               {}, std::chrono::seconds(60));
    BOOST_TEST(curl.err == "");
    BOOST_TEST(curl.status.exited_with(0));
    BOOST_TEST(curl.out == "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Client: 127.0.0.1\r\n"
                           "Connection: close\r\n\r\nhello\n");
}

BOOST_AUTO_TEST_CASE(ipv6_clients_are_served, *precondition(ipv6_is_there))
{
    const Port port;
    Server server(
        {.stream = fmt::format("server {{ listen {}; return '$remote_addr $remote_port $server_addr"
                               " $server_port'; }}",
                               port.at("[::1]"))});
    const Client client(port, "::1");
    BOOST_TEST(client.receive_all() ==
               fmt::format("::1 {} ::1 {}", client.local_port(), port.text()));
}

BOOST_AUTO_TEST_CASE(unix_clients_are_served_and_have_no_port)
{
    Server server({.stream = "server { listen unix:socket; return"
                             " '$remote_addr $remote_port|$server_addr $server_port'; }"});
    const Client client(std::filesystem::path(server.dir() / "socket"));
    BOOST_TEST(client.receive_all() == "unix: |unix:socket ");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
