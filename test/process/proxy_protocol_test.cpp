// The PROXY protocol, compared with nginx: each sends headers to the other, and both accept the
// same headers.

#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "test/process/client.hpp"
#include "test/process/nginx.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

using namespace std::string_literals;

constexpr std::string_view told =
    "return '[$proxy_protocol_addr] [$proxy_protocol_port] [$proxy_protocol_server_addr] "
    "[$proxy_protocol_server_port]';";

const std::vector<std::string>& headers()
{
    const auto v2 = [](std::string_view how, std::string_view body) {
        return "\r\n\r\n\0\r\nQUIT\n"s.append(how).append({'\0', static_cast<char>(body.size())}) +
               std::string(body);
    };
    const std::string inet = "\xc0\0\2\1\xc6\x33\x64\2\0\x50\1\xbb"s;
    const std::string inet6 = "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                              "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\x50\1\xbb"s;
    static const std::vector<std::string> all{
        "PROXY TCP4 192.0.2.1 198.51.100.2 80 443\r\n",
        "PROXY TCP6 2001:DB8::1 ::ffff:1.2.3.4 65535 1\r\n",
        "PROXY TCP4 a.b :: 0 00080\r\n",
        "PROXY TCP4   1 2\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 \r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
        "PROXY TCP4 1.1.1.g 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r",
        "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN what so ever\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN\n",
        "proxy UNKNOWN\r\n",
        "PROXY",
        "GET / HTTP/1.0\r\n\r\n",
        v2("\x21\x11", inet),
        v2("\x21\x21", inet6),
        v2("\x21\x11", inet + "\1\0\2h2"s),
        v2("\x20\x11", inet),
        v2("\x20\0"s, ""),
        v2("\x21\x12", inet),
        v2("\x21\x31", inet),
        v2("\x21\x11", inet.substr(1)),
        v2("\x21\x21", inet),
        v2("\x11\x11", inet),
        v2("\x21\x11", inet).substr(0, 20),
        v2("\x21\x11", inet).substr(0, 15),
    };
    return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(proxy_protocol)

BOOST_AUTO_TEST_CASE(nginx_sends_the_address_of_its_client, *precondition(nginx_is_there))
{
    const Port ours;
    const Port theirs;
    Server server({.stream = server_block(ours, told, "proxy_protocol")});
    const Nginx nginx(
        server_block(theirs, "proxy_protocol on; proxy_pass 127.0.0.1:" + ours.text() + ";"));
    const Client client(theirs);
    BOOST_TEST(client.receive_all() == fmt::format("[127.0.0.1] [{}] [127.0.0.1] [{}]",
                                                   client.local_port(), theirs.text()));
}

BOOST_AUTO_TEST_CASE(data_after_nginxs_header_is_the_clients, *precondition(nginx_is_there))
{
    const Port ours;
    const Port theirs;
    Server server({.stream = server_block(ours, "echo;", "proxy_protocol")});
    const Nginx nginx(
        server_block(theirs, "proxy_protocol on; proxy_pass 127.0.0.1:" + ours.text() + ";"));
    const std::string text = long_text(1'000'000);
    BOOST_TEST((Client(theirs).echo(text) == text));
}

BOOST_AUTO_TEST_CASE(nginx_gets_the_address_of_our_client, *precondition(nginx_is_there))
{
    for (const char* const version : {"on", "v2"}) {
        const Port ours;
        const Port theirs;
        const Nginx nginx(server_block(theirs, told, "proxy_protocol"));
        Server server(
            {.stream = server_block(ours, fmt::format("proxy_protocol {}; proxy_pass 127.0.0.1:{};",
                                                      version, theirs.text()))});
        const Client client(ours);
        BOOST_TEST(client.receive_all() == fmt::format("[127.0.0.1] [{}] [127.0.0.1] [{}]",
                                                       client.local_port(), ours.text()));
    }
}

BOOST_AUTO_TEST_CASE(data_after_our_header_is_the_clients, *precondition(nginx_is_there))
{
    const Port ours;
    const Port theirs;
    const Port echo;
    const Nginx nginx(server_block(theirs, fmt::format("proxy_pass 127.0.0.1:{};", echo.text()),
                                   "proxy_protocol"));
    Server server({.stream = server_block(echo, "echo;") +
                             server_block(ours, fmt::format("proxy_protocol on; "
                                                            "proxy_pass 127.0.0.1:{};",
                                                            theirs.text()))});
    const std::string text = long_text(1'000'000);
    BOOST_TEST((Client(ours).echo(text) == text));
}

BOOST_AUTO_TEST_CASE(a_header_means_what_it_means_to_nginx, *precondition(nginx_is_there))
{
    const Port ours;
    const Port theirs;
    // ngxx waits for the rest of a header, which nginx does not.
    const std::string waiting = fmt::format("{} proxy_protocol_timeout 500ms;", told);
    Server server({.stream = server_block(ours, waiting, "proxy_protocol")});
    const Nginx nginx(server_block(theirs, told, "proxy_protocol"));
    server.allow("broken header: ");
    server.allow("header is too large ");
    server.allow("unknown PROXY protocol version: ");

    for (const std::string& header : headers()) {
        const auto answer = [&](const Port& port) {
            const Client client(port);
            client.send(header);
            return client.until_closed();
        };
        BOOST_TEST(answer(ours) == answer(theirs), "of " << header);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
