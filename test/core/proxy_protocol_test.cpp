#include "core/proxy_protocol.hpp"

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include <boost/algorithm/string/replace.hpp>
#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/palloc.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr std::string_view signature = "\r\n\r\n\0\r\nQUIT\n"sv;

std::string two_bytes(std::size_t number)
{
    return {static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
}

/// Returns a header of version 2; `how` is its command and family.
std::string v2(std::string_view how, std::string_view body)
{
    return std::string(signature).append(how).append(two_bytes(body.size())).append(body);
}

const std::string inet_body = "\xc0\0\2\1\xc6\x33\x64\2\0\x50\1\xbb"s;
const std::string inet6_body = "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                               "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                               "\xff\xff\0\0"s;
const std::string inet = v2("\x21\x11", inet_body);
const std::string inet6 = v2("\x21\x21", inet6_body);

std::string tlv(char type, std::string_view value)
{
    return std::string(1, type).append(two_bytes(value.size())).append(value);
}

/// The header that tests of other parts send.
constexpr std::string_view v1 = "PROXY TCP4 192.0.2.1 198.51.100.2 80 443\r\n";

struct Reading {
    ~Reading() { destroy_pool(c.pool); }

    /// Returns the length of the header, or the error.
    std::string read(std::string_view buf)
    {
        c.proxy_protocol = nullptr;
        log.text.clear();
        // A sanitizer detects a read behind the last byte.
        const std::unique_ptr<char[]> exact(new char[buf.size()]);
        buf.copy(exact.get(), buf.size());
        const auto size = proxy_protocol_read(c, {exact.get(), buf.size()});
        return size ? std::to_string(*size) : messages(log.text);
    }

    /// Returns the content of the header.
    [[nodiscard]] std::string said() const
    {
        const ProxyProtocol* pp = c.proxy_protocol;
        return pp ? fmt::format("{} {} {} {}", pp->src_addr, pp->src_port, pp->dst_addr,
                                pp->dst_port)
                  : "nothing";
    }

    std::string tlv_of(std::string_view tlvs, std::string_view name)
    {
        read(v2("\x21\x11", std::string(inet_body).append(tlvs)));
        std::string_view value;
        switch (proxy_protocol_get_tlv(c, name, value)) {
        case Rc::ok:
            return std::string(value);
        case Rc::declined:
            return "declined " + messages(log.text);
        default:
            return "error " + messages(log.text);
        }
    }

    TestLog log{};
    Connection c;
    Pool* pool = c.pool = create_pool(connection_pool_size, c.log = &log.log);
};

/// A connection between two addresses that are set, not read from a socket.
struct Writing : Reading {
    void between(std::string_view peer, std::string_view local)
    {
        for (const auto& [addr, text] : {std::pair(&peer_, peer), std::pair(&local_, local)}) {
            BOOST_TEST_REQUIRE((parse_addr_port(*addr, text) == Rc::ok));
        }
        c.sockaddr = &peer_.sockaddr.any;
        c.socklen = peer_.socklen;
        c.local_sockaddr = &local_.sockaddr.any;
        c.local_socklen = local_.socklen;
        c.type = SOCK_STREAM;
    }

    void between_unix_sockets()
    {
        between("1.1.1.1:1", "1.1.1.1:1");
        peer_.sockaddr.un.sun_family = AF_UNIX;
        local_.sockaddr.un.sun_family = AF_UNIX;
    }

    template <std::size_t N = 200>
    std::string written(char* (*write)(Connection&, char*, char*))
    {
        std::array<char, N> buf{};
        const char* const end = write(c, buf.data(), buf.data() + N);
        return end ? std::string(static_cast<const char*>(buf.data()), end) : messages(log.text);
    }

private:
    Addr peer_{};
    Addr local_{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(proxy_protocol)

BOOST_FIXTURE_TEST_CASE(version_1_names_two_ends, Reading)
{
    BOOST_TEST(read(std::string(v1) + "hello") == std::to_string(v1.size()));
    BOOST_TEST(said() == "192.0.2.1 80 198.51.100.2 443");
    BOOST_TEST(c.proxy_protocol->tlvs == "");

    BOOST_TEST(read("PROXY TCP6 2001:DB8::1 ::ffff:1.2.3.4 0 65535\r\n") == "47");
    BOOST_TEST(said() == "2001:DB8::1 0 ::ffff:1.2.3.4 65535");
}

BOOST_FIXTURE_TEST_CASE(texts_of_a_header_are_in_the_connections_pool, Reading)
{
    std::string buf(v1);
    const auto size = proxy_protocol_read(c, buf);
    BOOST_TEST(size.value() == v1.size());
    buf.assign(buf.size(), 'x');
    BOOST_TEST(said() == "192.0.2.1 80 198.51.100.2 443");
}

BOOST_FIXTURE_TEST_CASE(version_1_checks_only_the_characters_of_addresses, Reading)
{
    BOOST_TEST(read("PROXY TCP4 ::1 a.b 1 2\r\n") == "24");
    BOOST_TEST(said() == "::1 1 a.b 2");
    BOOST_TEST(read("PROXY TCP6   1 2\r\n") == "18");
    BOOST_TEST(said() == " 1  2");
}

BOOST_FIXTURE_TEST_CASE(version_1_may_be_unknown, Reading)
{
    for (const std::string_view header : {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN a b c d\r\n",
                                          "PROXY UNKNOWNsoever\r\n", "PROXY UNKNOWN \r \n \r\n"}) {
        BOOST_TEST(read(std::string(header) + "\r\nhello") == std::to_string(header.size()));
        BOOST_TEST(said() == "nothing");
    }
}

BOOST_FIXTURE_TEST_CASE(version_1_is_refused_where_it_is_broken, Reading)
{
    for (const std::string_view line : {"",
                                        "P",
                                        "PROXY",
                                        "PROXY ",
                                        "PROXY TCP",
                                        "PROXY TCP4",
                                        "PROXY TCP5 1.1.1.1 1.1.1.1 1 1",
                                        "proxy TCP4 1.1.1.1 1.1.1.1 1 1",
                                        "PROXY  TCP4 1.1.1.1 1.1.1.1 1 1",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1 1",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 ",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1 -1 1",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1  1",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1 1 ",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1 1 99999999999999999999",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1 0x1 1",
                                        "PROXY TCP4 1.1.1.g 1.1.1.1 1 1",
                                        "PROXY TCP4 1.1.1.1\t1.1.1.1 1 1",
                                        "PROXY TCP4 1.1.1.1 1.1.1.1 +1 1",
                                        "PROXY UNKNOW",
                                        "GET / HTTP/1.1",
                                        "\x16\x03\x01"}) {
        std::string shown(line);
        boost::replace_all(shown, "\t", "\\x09");
        boost::replace_all(shown, "\x16\x03\x01", "\\x16\\x03\\x01");
        const std::string broken = "[error] broken header: \"" + shown + "\"\n";
        BOOST_TEST(read(std::string(line) + "\r\nhello") == broken);
        BOOST_TEST(read(std::string(line) + "\nhello") == broken);
        BOOST_TEST(read(line) == broken);
        BOOST_TEST(said() == "nothing");
    }
}

BOOST_FIXTURE_TEST_CASE(a_line_ends_with_both_of_its_bytes, Reading)
{
    BOOST_TEST(read("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\rx") ==
               "[error] broken header: \"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\"\n");
    BOOST_TEST(read("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n") ==
               "[error] broken header: \"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\"\n");
    BOOST_TEST(read("PROXY UNKNOWN\n") == "[error] broken header: \"PROXY UNKNOWN\"\n");
}

BOOST_FIXTURE_TEST_CASE(an_incomplete_header_is_not_a_header, Reading)
{
    const std::string tlvs = v2("\x21\x21", inet6_body + tlv(1, "h2"));
    for (const std::string& header :
         {std::string(v1), "PROXY UNKNOWN\r\n"s, inet, inet6, tlvs, v2("\x20\0"s, "")}) {
        for (std::size_t n = 0; n < header.size(); n++) {
            BOOST_TEST(!read(header.substr(0, n)).empty());
            BOOST_TEST(log.text != "");
            BOOST_TEST(said() == "nothing");
        }
        BOOST_TEST(read(header) == std::to_string(header.size()));
    }
}

BOOST_FIXTURE_TEST_CASE(version_2_names_two_ends, Reading)
{
    BOOST_TEST(read(inet + "hello") == "28");
    BOOST_TEST(said() == "192.0.2.1 80 198.51.100.2 443");
    BOOST_TEST(read(inet6 + "hello") == "52");
    BOOST_TEST(said() == "2001:db8::1 65535 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 0");
}

BOOST_FIXTURE_TEST_CASE(version_2_skips_unknown_commands_and_families, Reading)
{
    for (const std::string_view how :
         {"\x20\x11"sv, "\x2f\x11"sv, "\x21\x12"sv, "\x21\x10"sv, "\x21\x31"sv, "\x21\x01"sv,
          "\x21\xf1"sv, "\x20\x00"sv, "\x21\x00"sv}) {
        BOOST_TEST(read(v2(how, inet_body) + "hello") == "28");
        BOOST_TEST(said() == "nothing");
        BOOST_TEST(read(v2(how, "")) == "16");
    }
}

BOOST_FIXTURE_TEST_CASE(version_2_is_refused_where_it_is_broken, Reading)
{
    BOOST_TEST(read(v2("\x11\x11", inet_body)) == "[error] unknown PROXY protocol version: 1\n");
    BOOST_TEST(read(v2("\xf1\x11", inet_body)) == "[error] unknown PROXY protocol version: 15\n");
    BOOST_TEST(read(inet.substr(0, 27)) == "[error] header is too large\n");
    BOOST_TEST(read(std::string(signature) + "\x21\x11\xff\xff" + inet_body) ==
               "[error] header is too large\n");
    BOOST_TEST(read(v2("\x21\x11", inet_body.substr(1))) ==
               "[error] broken header: 11 bytes of addresses\n");
    BOOST_TEST(read(v2("\x21\x21", inet6_body.substr(1))) ==
               "[error] broken header: 35 bytes of addresses\n");
    BOOST_TEST(said() == "nothing");
}

BOOST_FIXTURE_TEST_CASE(version_2_keeps_its_tlvs, Reading)
{
    const std::string tlvs = tlv(1, "h2") + tlv(4, "") + tlv(2, "example.com");
    BOOST_TEST(read(v2("\x21\x11", inet_body + tlvs)) == std::to_string(28 + tlvs.size()));
    BOOST_TEST(c.proxy_protocol->tlvs == tlvs);

    BOOST_TEST(tlv_of(tlvs, "alpn") == "h2");
    BOOST_TEST(tlv_of(tlvs, "authority") == "example.com");
    BOOST_TEST(tlv_of(tlvs, "0x2") == "example.com");
    BOOST_TEST(tlv_of(tlvs, "0x04") == "");
    BOOST_TEST(tlv_of(tlvs, "netns") == "declined ");
    BOOST_TEST(tlv_of(tlvs, "0xEA") == "declined ");
    BOOST_TEST(tlv_of(tlvs, "0x102") == "declined ");
    BOOST_TEST(tlv_of(tlv(5, "first") + tlv(5, "second"), "unique_id") == "first");
}

BOOST_FIXTURE_TEST_CASE(unknown_names_of_tlvs_are_refused, Reading)
{
    for (const std::string name : {"", "cn", "alp", "ALPN", "ssl_"}) {
        const std::string ssl = tlv(0x20, "\1\0\0\0\0"sv);
        BOOST_TEST(tlv_of(ssl, name) ==
                   "declined [error] unknown PROXY protocol TLV \"" + name + "\"\n");
    }
    for (const std::string name : {"0x", "0xg", "0x-1", "0x1 ", "0xffffffffffffffffff"}) {
        BOOST_TEST(tlv_of("", name) ==
                   "error [error] invalid PROXY protocol TLV \"" + name + "\"\n");
    }
}

BOOST_FIXTURE_TEST_CASE(values_about_tls_are_found, Reading)
{
    const std::string ssl = tlv(0x20, "\1\x80\0\0\2"s + tlv(0x21, "TLSv1.3") + tlv(0x22, "me"));
    BOOST_TEST(tlv_of(ssl, "ssl_version") == "TLSv1.3");
    BOOST_TEST(tlv_of(ssl, "ssl_cn") == "me");
    BOOST_TEST(tlv_of(ssl, "ssl_0x22") == "me");
    BOOST_TEST(tlv_of(ssl, "ssl_verify") == "2147483650");
    BOOST_TEST(tlv_of(ssl, "ssl_cipher") == "declined ");
    BOOST_TEST(tlv_of("", "ssl_cn") == "declined ");
    BOOST_TEST(tlv_of(tlv(0x20, "\1\0\0\0"sv), "ssl_verify") == "error ");
}

BOOST_FIXTURE_TEST_CASE(a_tlv_that_is_cut_is_malformed, Reading)
{
    const std::string tlvs = tlv(1, "h2") + tlv(2, "xyz");
    for (const std::size_t n : {1U, 2U, 3U, 4U, 6U, 7U, 8U, 9U, 10U}) {
        BOOST_TEST(tlv_of(tlvs.substr(0, n), "netns") ==
                   "error [error] broken PROXY protocol TLV\n");
    }
    BOOST_TEST(tlv_of(tlvs.substr(0, 5), "netns") == "declined ");
    BOOST_TEST(tlv_of(tlv(0x20, "\1\0\0\0\0\x21\xff\xff"sv), "ssl_version") ==
               "error [error] broken PROXY protocol TLV\n");
}

BOOST_FIXTURE_TEST_CASE(without_a_header_there_are_no_tlvs, Reading)
{
    std::string_view value;
    BOOST_TEST((proxy_protocol_get_tlv(c, "alpn", value) == Rc::declined));
    BOOST_TEST((proxy_protocol_get_tlv(c, "no such thing", value) == Rc::declined));
    BOOST_TEST(log.text == "");
}

BOOST_FIXTURE_TEST_CASE(version_1_is_written, Writing)
{
    between("192.0.2.1:80", "198.51.100.2:443");
    BOOST_TEST(written(proxy_protocol_write) == v1);
    between("[2001:db8::1]:65535", "[::1]:1");
    BOOST_TEST(written(proxy_protocol_write) == "PROXY TCP6 2001:db8::1 ::1 65535 1\r\n");
    between_unix_sockets();
    BOOST_TEST(written(proxy_protocol_write) == "PROXY UNKNOWN\r\n");
}

BOOST_FIXTURE_TEST_CASE(the_longest_header_of_version_1_fits, Writing)
{
    constexpr std::string_view longest = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535";
    between(longest, longest);
    const std::string text = written<proxy_protocol_v1_max_header>(proxy_protocol_write);
    BOOST_TEST(text.ends_with("65535 65535\r\n"));
    BOOST_TEST(read(text) == std::to_string(text.size()));
    BOOST_TEST(written<proxy_protocol_v1_max_header - 1>(proxy_protocol_write) ==
               "[alert] too small buffer for PROXY protocol\n");
}

BOOST_FIXTURE_TEST_CASE(version_2_is_written_and_read_back, Writing)
{
    between("192.0.2.1:80", "198.51.100.2:443");
    const std::string text = written(proxy_protocol_v2_write);
    BOOST_TEST(text.substr(0, 14) == inet.substr(0, 14));
    BOOST_TEST(text.substr(16, 12) == inet_body);
    BOOST_TEST(read(text) == "35");
    BOOST_TEST(said() == "192.0.2.1 80 198.51.100.2 443");

    between("[2001:db8::1]:65535", "[::1]:1");
    BOOST_TEST(read(written(proxy_protocol_v2_write)) == "59");
    BOOST_TEST(said() == "2001:db8::1 65535 ::1 1");
}

BOOST_FIXTURE_TEST_CASE(version_2_writes_mapped_addresses_as_ipv4, Writing)
{
    between("[::ffff:192.0.2.1]:80", "[::ffff:198.51.100.2]:443");
    BOOST_TEST(read(written(proxy_protocol_v2_write)) == "35");
    BOOST_TEST(said() == "192.0.2.1 80 198.51.100.2 443");

    between("192.0.2.1:80", "[2001:db8::1]:443");
    BOOST_TEST(read(written(proxy_protocol_v2_write)) == "59");
    BOOST_TEST(said() == "::ffff:192.0.2.1 80 2001:db8::1 443");
}

BOOST_FIXTURE_TEST_CASE(version_2_writes_no_addresses_of_unix_sockets, Writing)
{
    between_unix_sockets();
    const std::string text = written(proxy_protocol_v2_write);
    BOOST_TEST(text.substr(0, 19) == std::string(signature) + "\x20\0\0\7\3\0\4"s);
    BOOST_TEST(read(text) == "23");
    BOOST_TEST(said() == "nothing");
}

BOOST_FIXTURE_TEST_CASE(version_2_has_the_type_of_the_socket, Writing)
{
    between("192.0.2.1:80", "198.51.100.2:443");
    c.type = SOCK_DGRAM;
    BOOST_TEST(written(proxy_protocol_v2_write)[13] == '\x12');
}

// The checksum was calculated with another program.
BOOST_FIXTURE_TEST_CASE(version_2_has_a_checksum, Writing)
{
    between_unix_sockets();
    BOOST_TEST(written(proxy_protocol_v2_write).substr(19) == "\xa9\xb8\x7e\x8f");
    BOOST_TEST(written<proxy_protocol_v2_max_header - 1>(proxy_protocol_v2_write) ==
               "[alert] too small buffer for PROXY protocol v2\n");
}

BOOST_FIXTURE_TEST_CASE(without_a_local_address_nothing_is_written, Writing)
{
    between("192.0.2.1:80", "198.51.100.2:443");
    for (char* (*const write)(Connection&, char*, char*) :
         {proxy_protocol_write, proxy_protocol_v2_write}) {
        c.local_socklen = 0;
        c.fd = -1;
        log.text.clear();
        BOOST_TEST(written(write) == "[alert] getsockname() failed (9: Bad file descriptor)\n");
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
