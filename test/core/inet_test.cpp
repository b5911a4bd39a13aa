#include "core/inet.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/palloc.hpp"
#include "core/string.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// Parses a text with a port as an address.
Addr addr(std::string_view text)
{
    Addr result;
    BOOST_TEST_REQUIRE((parse_addr_port(result, text) == Rc::ok), text);
    return result;
}

Addr unix_addr(std::string_view path, socklen_t socklen = sizeof(sockaddr_un))
{
    Addr result;
    result.sockaddr.un.sun_family = AF_UNIX;
    std::memcpy(result.sockaddr.un.sun_path, path.data(), path.size());
    result.socklen = socklen;
    return result;
}

std::string ntop(const Addr& a, bool port, std::size_t room = sockaddr_strlen)
{
    std::string text(room, '#');
    const std::size_t n = sock_ntop(&a.sockaddr.any, a.socklen, text.data(), room, port);
    BOOST_TEST_REQUIRE(n <= room);
    text.resize(n);
    return text;
}

/// Returns a network as text: "10.0.0.0/255.0.0.0", with "~" before it if bits were cleared.
std::string cidr(std::string_view text)
{
    Cidr c;
    const Rc rc = ptocidr(text, c);
    if (rc == Rc::error) {
        return "error";
    }

    Addr network;
    Addr mask;
    network.sockaddr.any.sa_family = mask.sockaddr.any.sa_family = c.family;
    if (c.family == AF_INET) {
        network.sockaddr.in.sin_addr = c.addr;
        mask.sockaddr.in.sin_addr = c.mask;
    } else {
        network.sockaddr.in6.sin6_addr = c.addr6;
        mask.sockaddr.in6.sin6_addr = c.mask6;
    }
    return (rc == Rc::done ? "~" : "") + ntop(network, false) + "/" + ntop(mask, false);
}

bool contains(const Cidr& network, const Addr& a)
{
    return cidr_contains(network, &a.sockaddr.any);
}

bool wildcard(const Addr& a)
{
    return inet_wildcard(&a.sockaddr.any);
}

bool match(std::string_view address, const std::vector<std::string_view>& networks)
{
    std::vector<Cidr> cidrs(networks.size());
    for (std::size_t i = 0; i < networks.size(); i++) {
        (void)ptocidr(networks[i], cidrs[i]);
    }
    const Addr a = addr(address);
    return cidr_match(&a.sockaddr.any, cidrs);
}

/// The result of parsing a URL: its addresses, with "*" before them for a wildcard, or its error.
struct Urls {
    Urls() : pool(create_pool(1024, &log.log)) {}
    Urls(const Urls&) = delete;
    Urls& operator=(const Urls&) = delete;
    ~Urls() { destroy_pool(pool); }

    std::string parse(std::string_view text, bool listen)
    {
        u = {.url = text, .default_port = 7, .listen = listen, .no_resolve = true};
        const Rc rc = parse_url(*pool, u);
        BOOST_TEST((rc == Rc::ok) == (u.err == nullptr));
        if (u.err) {
            return u.err;
        }

        std::string names = u.wildcard ? "*" : "";
        for (const Addr& a : u.addrs) {
            names.append(names.size() > 1 ? " " : "").append(a.name);
            BOOST_TEST(strcaseeq(a.name, ntop(a, true)));
        }
        return names;
    }

    std::string listen(std::string_view text) { return parse(text, true); }
    std::string connect(std::string_view text) { return parse(text, false); }

    TestLog log{log_debug_all};
    Pool* pool;
    Url u{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sockaddr_union)

// In a struct, only the first member of a union is zero-initialized.
BOOST_AUTO_TEST_CASE(an_empty_address_is_completely_zeroed)
{
    alignas(Addr) std::array<unsigned char, sizeof(Addr)> place;
    place.fill(0xff);
    const Addr& addr = *::new (place.data()) Addr{};
    const auto* const bytes = reinterpret_cast<const unsigned char*>(&addr.sockaddr.un);
    BOOST_TEST(std::count(bytes, bytes + sizeof(sockaddr_un), 0) ==
               static_cast<std::ptrdiff_t>(sizeof(sockaddr_un)));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(inet)

BOOST_AUTO_TEST_CASE(an_address_is_written_with_or_without_its_port)
{
    BOOST_TEST(ntop(addr("127.0.0.1:80"), true) == "127.0.0.1:80");
    BOOST_TEST(ntop(addr("127.0.0.1:80"), false) == "127.0.0.1");
    BOOST_TEST(ntop(addr("255.254.0.9:65535"), true) == "255.254.0.9:65535");
    BOOST_TEST(ntop(addr("1.2.3.4"), true) == "1.2.3.4:0");
    BOOST_TEST(ntop(addr("[::1]:80"), true) == "[::1]:80");
    BOOST_TEST(ntop(addr("[::1]:80"), false) == "::1");
    BOOST_TEST(ntop(addr("2001:DB8:0:0:1:0:0:1"), false) == "2001:db8::1:0:0:1");
    BOOST_TEST(ntop(addr("::ffff:1.2.3.4"), false) == "::ffff:1.2.3.4");
    BOOST_TEST(ntop(addr("::"), true) == "[::]:0");
}

BOOST_AUTO_TEST_CASE(a_unix_address_is_written_with_its_path)
{
    BOOST_TEST(ntop(unix_addr("/a/b"), true) == "unix:/a/b");
    BOOST_TEST(ntop(unix_addr("/a/b"), false) == "unix:/a/b");

    const std::string longest(sizeof(sockaddr_un::sun_path), 'x');
    BOOST_TEST(ntop(unix_addr(longest), true) == "unix:" + longest);

    constexpr socklen_t header = offsetof(sockaddr_un, sun_path);
    BOOST_TEST(ntop(unix_addr("/a/b", header), true) == "unix:");
    BOOST_TEST(ntop(unix_addr("/a/b", header + 2), true) == "unix:/a");
    BOOST_TEST(ntop(unix_addr(std::string_view("\0abstract", 9)), true) == "unix:");
}

BOOST_AUTO_TEST_CASE(a_formatted_address_stays_within_its_buffer)
{
    for (const Addr& a : {addr("127.0.0.1:8080"), addr("[2001:db8::1]:8080"), unix_addr("/a/b")}) {
        const std::string whole = ntop(a, true);
        for (std::size_t room = 0; room <= whole.size(); room++) {
            std::string text(whole.size() + 1, '#');
            const std::size_t n = sock_ntop(&a.sockaddr.any, a.socklen, text.data(), room, true);
            BOOST_TEST(n <= room);
            BOOST_TEST(text.substr(room) == std::string(text.size() - room, '#'));
        }
        BOOST_TEST(ntop(a, true, whole.size()) == whole);
    }
    BOOST_TEST(ntop(Addr{}, true) == "");
}

BOOST_AUTO_TEST_CASE(a_part_of_an_ipv4_address_may_have_zeros_before_it_or_be_missing)
{
    BOOST_TEST(ntop(addr("010.001.0.00000255"), false) == "10.1.0.255");
    BOOST_TEST(ntop(addr("1..2."), false) == "1.0.2.0");
    BOOST_TEST(ntop(addr("..."), false) == "0.0.0.0");
    Addr a;
    for (const std::string_view text :
         {"1.2.3", "1.2.3.4.5", "....", "1.2.3.256", "1.2.3.4294967296", "1.2.3.x", "1.2.3.4 "}) {
        BOOST_TEST((parse_addr(a, text) == Rc::declined), text);
    }
}

BOOST_AUTO_TEST_CASE(a_network_has_a_prefix_or_is_one_address)
{
    BOOST_TEST(cidr("10.0.0.0/8") == "10.0.0.0/255.0.0.0");
    BOOST_TEST(cidr("10.1.2.3") == "10.1.2.3/255.255.255.255");
    BOOST_TEST(cidr("10.1.2.3/32") == "10.1.2.3/255.255.255.255");
    BOOST_TEST(cidr("0.0.0.0/0") == "0.0.0.0/0.0.0.0");
    BOOST_TEST(cidr("192.168.128.0/17") == "192.168.128.0/255.255.128.0");
    BOOST_TEST(cidr("::1") == "::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    BOOST_TEST(cidr("2001:db8::/33") == "2001:db8::/ffff:ffff:8000::");
    BOOST_TEST(cidr("::/0") == "::/::");
    BOOST_TEST(cidr("fe80::/128") == "fe80::/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

BOOST_AUTO_TEST_CASE(bits_beyond_the_prefix_are_cleared_and_reported)
{
    BOOST_TEST(cidr("10.1.2.3/8") == "~10.0.0.0/255.0.0.0");
    BOOST_TEST(cidr("1.2.3.4/0") == "~0.0.0.0/0.0.0.0");
    BOOST_TEST(cidr("10.0.0.1/31") == "~10.0.0.0/255.255.255.254");
    BOOST_TEST(cidr("2001:db8::1/32") == "~2001:db8::/ffff:ffff::");
    BOOST_TEST(cidr("ffff::/9") == "~ff80::/ff80::");
}

BOOST_AUTO_TEST_CASE(a_malformed_network_is_refused)
{
    for (const std::string_view text : {"",
                                        "/",
                                        "/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/8a",
                                        "10.0.0/8",
                                        "10",
                                        "::/129",
                                        "::1/",
                                        ":::",
                                        "1::2::3",
                                        "10.0.0.256",
                                        "host",
                                        "unix:",
                                        "[::1]",
                                        "::1/1/1",
                                        "10.0.0.0/255.0.0.0",
                                        " 10.0.0.0",
                                        "10.0.0.0/99999999999999999999"}) {
        BOOST_TEST(cidr(text) == "error", text);
    }
    BOOST_TEST(cidr(std::string_view("1.2.3.4\0x", 9)) == "error");
    BOOST_TEST(cidr(std::string(100, '1')) == "error");
}

BOOST_AUTO_TEST_CASE(an_address_matches_any_network_of_its_family_that_has_it)
{
    BOOST_TEST(match("10.1.2.3", {"10.0.0.0/8"}));
    BOOST_TEST(!match("11.1.2.3", {"10.0.0.0/8"}));
    BOOST_TEST(match("11.1.2.3", {"10.0.0.0/8", "11.0.0.0/8"}));
    BOOST_TEST(!match("10.1.2.3", {}));
    BOOST_TEST(!match("10.1.2.3", {"::/0"}));
    BOOST_TEST(!match("2001:db8::1", {"0.0.0.0/0"}));
    BOOST_TEST(match("2001:db8::1", {"2001:db8::/32"}));
    BOOST_TEST(!match("2001:db9::1", {"2001:db8::/32"}));
    BOOST_TEST(match("2001:db8::1", {"2001:db8::1"}));
    BOOST_TEST(!match("2001:db8::2", {"2001:db8::1"}));
}

BOOST_AUTO_TEST_CASE(an_ipv4_mapped_address_matches_as_ipv4)
{
    BOOST_TEST(match("::ffff:10.1.2.3", {"10.0.0.0/8"}));
    BOOST_TEST(!match("::ffff:10.1.2.3", {"11.0.0.0/8"}));
    BOOST_TEST(!match("::ffff:10.1.2.3", {"::/0"}));
}

BOOST_AUTO_TEST_CASE(all_unix_addresses_match_the_unix_network)
{
    const Cidr unix_network{.family = AF_UNIX};
    BOOST_TEST(contains(unix_network, unix_addr("/a")));
    BOOST_TEST(contains(unix_network, unix_addr("")));
    BOOST_TEST(!contains(unix_network, addr("1.2.3.4")));

    Cidr any;
    BOOST_TEST((ptocidr("0.0.0.0/0", any) == Rc::ok));
    BOOST_TEST(!contains(any, unix_addr("/a")));
    BOOST_TEST(contains(any, addr("1.2.3.4")));
}

BOOST_AUTO_TEST_CASE(an_address_alone_has_no_port)
{
    Addr a;
    BOOST_TEST((parse_addr(a, "1.2.3.4") == Rc::ok));
    BOOST_TEST(a.socklen == sizeof(sockaddr_in));
    BOOST_TEST(ntop(a, true) == "1.2.3.4:0");
    BOOST_TEST((parse_addr(a, "1::2") == Rc::ok));
    BOOST_TEST(a.socklen == sizeof(sockaddr_in6));
    BOOST_TEST(ntop(a, true) == "[1::2]:0");
    for (const std::string_view text : {"", "1.2.3", "1.2.3.4:80", "[::1]", "host", "unix:/a"}) {
        BOOST_TEST((parse_addr(a, text) == Rc::declined), text);
    }
}

BOOST_AUTO_TEST_CASE(an_address_may_have_a_port_and_ipv6_is_then_in_brackets)
{
    BOOST_TEST(ntop(addr("1.2.3.4:1"), true) == "1.2.3.4:1");
    BOOST_TEST(ntop(addr("1.2.3.4:65535"), true) == "1.2.3.4:65535");
    BOOST_TEST(ntop(addr("[1::2]:80"), true) == "[1::2]:80");
    BOOST_TEST(ntop(addr("[1::2]"), true) == "[1::2]:0");
    BOOST_TEST(ntop(addr("1::2:80"), true) == "[1::2:80]:0");
    Addr a;
    for (const std::string_view text : {"",
                                        ":",
                                        ":80",
                                        "[",
                                        "[]",
                                        "[]:80",
                                        "[::1",
                                        "[::1]:",
                                        "[::1]:0",
                                        "[::1]:65536",
                                        "[::1]80",
                                        "[1.2.3:80",
                                        "1.2.3.4:",
                                        "1.2.3.4:0",
                                        "1.2.3.4:65536",
                                        "1.2.3.4:-1",
                                        "1.2.3.4:80:80",
                                        "1.2.3:80",
                                        "host:80",
                                        "]:80",
                                        "::1]:80"}) {
        BOOST_TEST((parse_addr_port(a, text) == Rc::declined), text);
    }
}

BOOST_FIXTURE_TEST_CASE(a_listen_address_may_lack_its_host_or_its_port, Urls)
{
    BOOST_TEST(listen("80") == "*0.0.0.0:80");
    BOOST_TEST(!u.no_port);
    BOOST_TEST(listen("*:80") == "*0.0.0.0:80");
    BOOST_TEST(listen("*") == "*0.0.0.0:7");
    BOOST_TEST(u.no_port);
    BOOST_TEST(listen("0.0.0.0:80") == "*0.0.0.0:80");
    BOOST_TEST(listen("127.0.0.1:80") == "127.0.0.1:80");
    BOOST_TEST(listen("127.0.0.1") == "127.0.0.1:7");
    BOOST_TEST(listen("[::]:80") == "*[::]:80");
    BOOST_TEST(listen("[::1]:80") == "[::1]:80");
    BOOST_TEST(listen("[::1]") == "[::1]:7");
    BOOST_TEST(u.host == "[::1]");
    BOOST_TEST(u.no_port);
    BOOST_TEST(listen("unix:/a") == "unix:/a");
    BOOST_TEST(u.host == "/a");
}

BOOST_FIXTURE_TEST_CASE(a_listen_range_gives_one_address_for_each_port, Urls)
{
    BOOST_TEST(listen("80-82") == "*0.0.0.0:80 0.0.0.0:81 0.0.0.0:82");
    BOOST_TEST(u.port == 80);
    BOOST_TEST(u.last_port == 82);
    BOOST_TEST(listen("*:80-81") == "*0.0.0.0:80 0.0.0.0:81");
    BOOST_TEST(listen("127.0.0.1:80-81") == "127.0.0.1:80 127.0.0.1:81");
    BOOST_TEST(listen("[::1]:80-81") == "[::1]:80 [::1]:81");
    BOOST_TEST(listen("80-80") == "*0.0.0.0:80");
    BOOST_TEST(listen("65534-65535") == "*0.0.0.0:65534 0.0.0.0:65535");
    BOOST_TEST(listen("1-65535").size() > 65535U);
    BOOST_TEST(u.addrs.size() == 65535U);
}

BOOST_FIXTURE_TEST_CASE(a_bad_listen_address_says_what_is_wrong, Urls)
{
    for (const std::string_view text :
         {"0", "65536", "*:0", "*:65536", "127.0.0.1:", "127.0.0.1:x", "*:-80", "1.2.3.4:80-",
          "1.2.3.4:-", "0-80", "80-0", "80-65536", "*:80-65536", "[::1]:", "[::1]:0", "[::1]:80-x",
          "[::1]:80-0", "host:80:81"}) {
        BOOST_TEST(listen(text) == "invalid port", text);
    }
    for (const std::string_view text : {"81-80", "*:81-80", "[::1]:2-1"}) {
        BOOST_TEST(listen(text) == "invalid port range", text);
    }
    for (const std::string_view text : {"", ":80", "[]", "[]:80"}) {
        BOOST_TEST(listen(text) == "no host", text);
    }
    for (const std::string_view text : {"a/b", "a?b", "80/x", "[::1", "[::1]80", "[::1]/x", "["}) {
        BOOST_TEST(listen(text) == "invalid host", text);
    }
    for (const std::string_view text : {"[x]:80", "[1.2.3.4]", "[:::]", "[::1%lo]:80"}) {
        BOOST_TEST(listen(text) == "invalid IPv6 address", text);
    }
}

BOOST_FIXTURE_TEST_CASE(a_unix_listen_address_is_a_path_that_fits, Urls)
{
    BOOST_TEST(listen("unix:") == "no path in the unix domain socket");
    const std::string longest(sizeof(sockaddr_un::sun_path) - 1, 'x');
    BOOST_TEST(listen("unix:" + longest) == "unix:" + longest);
    BOOST_TEST(u.addrs.front().socklen == sizeof(sockaddr_un));
    BOOST_TEST(listen("unix:" + longest + "x") == "too long path in the unix domain socket");
    BOOST_TEST(listen("unix:a:b") == "unix:a:b");
}

BOOST_FIXTURE_TEST_CASE(a_listen_name_with_a_dash_is_a_host_and_no_range, Urls)
{
    BOOST_TEST(listen("my-host") == "");
    BOOST_TEST(u.host == "my-host");
    BOOST_TEST(u.port == 7);
    BOOST_TEST(u.last_port == 0);
    BOOST_TEST(listen("80-x") == "");
    BOOST_TEST(u.host == "80-x");
    BOOST_TEST(listen("x-80") == "");
    BOOST_TEST(u.host == "x-80");
    BOOST_TEST(listen("my-host:80") == "");
    BOOST_TEST(u.port == 80);
    BOOST_TEST(!u.no_port);
}

BOOST_FIXTURE_TEST_CASE(an_address_to_connect_to_needs_a_host, Urls)
{
    BOOST_TEST(connect("127.0.0.1:80") == "127.0.0.1:80");
    BOOST_TEST(connect("[::1]") == "[::1]:7");
    BOOST_TEST(connect("80") == "");
    BOOST_TEST(u.host == "80");
    BOOST_TEST(connect("*") == "");
    BOOST_TEST(u.host == "*");
    BOOST_TEST(connect("127.0.0.1:80-81") == "invalid port");
    BOOST_TEST(connect("[::1]:80-81") == "invalid port");
    BOOST_TEST(connect("UNIX:/a") == "UNIX:/a");
    BOOST_TEST(u.host == "/a");
}

BOOST_FIXTURE_TEST_CASE(a_host_name_is_resolved_with_the_port, Urls)
{
    u = {.url = "localhost:80"};
    BOOST_TEST_REQUIRE((parse_url(*pool, u) == Rc::ok));
    BOOST_TEST_REQUIRE(!u.addrs.empty());
    for (const Addr& a : u.addrs) {
        BOOST_TEST((a.name == "127.0.0.1:80" || a.name == "[::1]:80"), a.name);
    }
    BOOST_TEST(!u.wildcard);

    u = {.url = "a host of no name:80", .listen = true};
    BOOST_TEST((parse_url(*pool, u) == Rc::error));
    BOOST_TEST(u.err == std::string("host not found"));
}

BOOST_AUTO_TEST_CASE(addresses_are_equal_with_or_without_their_ports)
{
    const auto compare = [](const Addr& a, const Addr& b, bool port) {
        return cmp_sockaddr(&a.sockaddr.any, a.socklen, &b.sockaddr.any, b.socklen, port) == Rc::ok;
    };
    BOOST_TEST(compare(addr("1.2.3.4:80"), addr("1.2.3.4:80"), true));
    BOOST_TEST(!compare(addr("1.2.3.4:80"), addr("1.2.3.4:81"), true));
    BOOST_TEST(compare(addr("1.2.3.4:80"), addr("1.2.3.4:81"), false));
    BOOST_TEST(!compare(addr("1.2.3.4:80"), addr("1.2.3.5:80"), false));
    BOOST_TEST(compare(addr("[1::2]:80"), addr("[1:0::2]:80"), true));
    BOOST_TEST(!compare(addr("[1::2]:80"), addr("[1::2]:81"), true));
    BOOST_TEST(!compare(addr("[1::2]:80"), addr("[1::3]:80"), false));
    BOOST_TEST(!compare(addr("::ffff:1.2.3.4"), addr("1.2.3.4"), false));
    BOOST_TEST(compare(unix_addr("/a"), unix_addr("/a"), true));
    BOOST_TEST(!compare(unix_addr("/a"), unix_addr("/ab"), true));
    BOOST_TEST(
        compare(unix_addr("/a"), unix_addr("/a", offsetof(sockaddr_un, sun_path) + 3), true));
}

BOOST_AUTO_TEST_CASE(a_port_is_read_and_set_where_there_is_one)
{
    Addr in = addr("1.2.3.4:80");
    BOOST_TEST(inet_get_port(&in.sockaddr.any) == 80);
    inet_set_port(&in.sockaddr.any, 8080);
    BOOST_TEST(ntop(in, true) == "1.2.3.4:8080");

    Addr in6 = addr("[::1]:80");
    inet_set_port(&in6.sockaddr.any, 65535);
    BOOST_TEST(inet_get_port(&in6.sockaddr.any) == 65535);

    Addr un = unix_addr("/a");
    inet_set_port(&un.sockaddr.any, 80);
    BOOST_TEST(inet_get_port(&un.sockaddr.any) == 0);
    BOOST_TEST(ntop(un, true) == "unix:/a");
}

BOOST_AUTO_TEST_CASE(only_the_address_of_all_interfaces_is_a_wildcard)
{
    BOOST_TEST(wildcard(addr("0.0.0.0:80")));
    BOOST_TEST(wildcard(addr("[::]:80")));
    BOOST_TEST(!wildcard(addr("0.0.0.1")));
    BOOST_TEST(!wildcard(addr("::1")));
    BOOST_TEST(!wildcard(addr("::ffff:0.0.0.0")));
    BOOST_TEST(!wildcard(unix_addr("")));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
