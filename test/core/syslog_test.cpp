#include "core/syslog.hpp"

#include <array>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/errlog_module.hpp"
#include "core/times.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// A datagram socket that listens.
class Server {
public:
    explicit Server(const SockaddrUnion& address, socklen_t socklen)
        : socket_(::socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0))
        , address_(address)
        , socklen_(socklen)
    {
        BOOST_TEST_REQUIRE(::bind(socket_.get(), &address_.any, socklen_) == 0);
        socklen_ = sizeof(address_);
        ::getsockname(socket_.get(), &address_.any, &socklen_);
    }

    static Server udp()
    {
        SockaddrUnion address{};
        address.in.sin_family = AF_INET;
        address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return Server(address, sizeof(address.in));
    }

    static Server unix_socket(const std::string& path)
    {
        SockaddrUnion address{};
        address.un.sun_family = AF_UNIX;
        path.copy(address.un.sun_path, sizeof(address.un.sun_path) - 1);
        return Server(address, sizeof(address.un));
    }

    [[nodiscard]] std::string port() const { return std::to_string(inet_get_port(&address_.any)); }

    /// Returns the next message, or "nothing" if none arrives within the time.
    [[nodiscard]] std::string receive(int timeout_ms = 10'000) const
    {
        pollfd entry{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        if (::poll(&entry, 1, timeout_ms) != 1) {
            return "nothing";
        }
        std::array<char, 8192> buf;
        const ssize_t n = ::recv(socket_.get(), buf.data(), buf.size(), 0);
        return {buf.data(), static_cast<std::size_t>(n)};
    }

    void close() { socket_.close(); }

private:
    Fd socket_;
    SockaddrUnion address_;
    socklen_t socklen_;
};

/// A cycle whose error_log is a syslog server. Messages about failures of that log are written to
/// `failures`.
struct Syslog {
    explicit Syslog(const std::string& value, const std::string& level = "info")
    {
        cached_syslog_time.publish(syslog_time);
        cached_err_log_time.publish(err_log_time);
        log_pid = 42;
        reader.cycle->hostname = "host";
        ok = reader.parse("error_log 'syslog:" + value + "' " + level + ";");
        log.next = &failures.log;
    }
    Syslog(const Syslog&) = delete;
    Syslog& operator=(const Syslog&) = delete;

    ~Syslog()
    {
        log_pid = ::getpid();
        time_force_update();
        time_update();
    }

    SyslogPeer& peer() { return *static_cast<SyslogPeer*>(log.wdata); }

    std::string_view syslog_time = "Jan  2 03:04:05";
    std::string_view err_log_time = "2026/01/02 03:04:05";
    Reader reader{{&errlog_module}};
    Log& log = reader.cycle->new_log;
    TestLog failures{log_debug_all};
    bool ok = false;
};

std::string header(const SyslogPeer& peer, std::size_t room = 200)
{
    std::string buf(room, '#');
    const char* const end = syslog_add_header(peer, buf.data(), buf.data() + room);
    return buf.substr(0, static_cast<std::size_t>(end - buf.data()));
}

std::string header(const std::string& value)
{
    Syslog syslog("server=127.0.0.1:1," + value);
    BOOST_TEST_REQUIRE(syslog.ok, syslog.reader.said());
    return header(syslog.peer());
}

std::string syslog_refusal(const std::string& value)
{
    Syslog syslog(value);
    return syslog.ok ? "not refused" : syslog.reader.said();
}

constexpr std::string_view line = "2026/01/02 03:04:05 [error] 42#42: ";

}  // namespace

BOOST_AUTO_TEST_SUITE(syslog)

BOOST_AUTO_TEST_CASE(the_header_has_priority_time_host_and_tag)
{
    Syslog syslog("server=127.0.0.1:1");
    BOOST_TEST_REQUIRE(syslog.ok);
    BOOST_TEST(header(syslog.peer()) == "<190>Jan  2 03:04:05 host ngxx: ");
    BOOST_TEST(header("nohostname") == "<190>Jan  2 03:04:05 ngxx: ");
    BOOST_TEST(header("tag=my_TAG9") == "<190>Jan  2 03:04:05 host my_TAG9: ");
    BOOST_TEST(header("tag=") == "<190>Jan  2 03:04:05 host : ");
    BOOST_TEST(header("facility=kern,severity=emerg") == "<0>Jan  2 03:04:05 host ngxx: ");
    BOOST_TEST(header("severity=debug") == "<191>Jan  2 03:04:05 host ngxx: ");
    BOOST_TEST(header("nohostname,nohostname,tag=a,facility=user") == "<14>Jan  2 03:04:05 a: ");
}

BOOST_AUTO_TEST_CASE(a_header_is_cut_where_the_room_ends)
{
    Syslog syslog("server=127.0.0.1:1");
    BOOST_TEST(header(syslog.peer(), 10) == "<190>Jan  ");
    BOOST_TEST(header(syslog.peer(), 0) == "");
}

BOOST_AUTO_TEST_CASE(each_facility_and_severity_has_its_number)
{
    const std::vector<std::string> facilities = {
        "kern",   "user",   "mail",     "daemon", "auth",   "intern", "lpr",    "news",
        "uucp",   "clock",  "authpriv", "ftp",    "ntp",    "audit",  "alert",  "cron",
        "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};
    for (std::size_t i = 0; i < facilities.size(); i++) {
        BOOST_TEST(header("facility=" + facilities[i]).starts_with(fmt::format("<{}>", i * 8 + 6)),
                   facilities[i]);
    }
    const std::vector<std::string> severities = {"emerg", "alert",  "crit", "error",
                                                 "warn",  "notice", "info", "debug"};
    for (std::size_t i = 0; i < severities.size(); i++) {
        BOOST_TEST(header("severity=" + severities[i]).starts_with(fmt::format("<{}>", 184 + i)),
                   severities[i]);
    }
}

BOOST_AUTO_TEST_CASE(the_default_port_is_514)
{
    const auto name = [](const std::string& value) {
        Syslog syslog("server=" + value);
        return std::string(syslog.ok ? syslog.peer().server.name : syslog.reader.said());
    };
    BOOST_TEST(name("127.0.0.1") == "127.0.0.1:514");
    BOOST_TEST(name("127.0.0.1:5140") == "127.0.0.1:5140");
    BOOST_TEST(name("[::1]") == "[::1]:514");
    BOOST_TEST(name("unix:/dev/log") == "unix:/dev/log");
}

BOOST_AUTO_TEST_CASE(a_bad_parameter_is_refused_with_its_place)
{
    const std::vector<std::pair<std::string, std::string>> table = {
        {"", "unknown syslog parameter \"\""},
        {"server=1.2.3.4,", "unknown syslog parameter \"\""},
        {"nohostname", "no syslog server specified"},
        {"nohostnames", "unknown syslog parameter \"nohostnames\""},
        {"server=1.2.3.4,server=1.2.3.4", "duplicate syslog \"server\""},
        {"server=", "no host in syslog server \"\""},
        {"server=1.2.3.4:0", "invalid port in syslog server \"1.2.3.4:0\""},
        {"server=[::1,tag=a", "invalid host in syslog server \"[::1\""},
        {"server=unix:", "no path in the unix domain socket in syslog server \"unix:\""},
        {"facility=user,facility=user", "duplicate syslog \"facility\""},
        {"facility=none", "unknown syslog facility \"none\""},
        {"facility=User", "unknown syslog facility \"User\""},
        {"facility=", "unknown syslog facility \"\""},
        {"severity=info,severity=warn", "duplicate syslog \"severity\""},
        {"severity=err", "unknown syslog severity \"err\""},
        {"tag=a,tag=b", "duplicate syslog \"tag\""},
        {"tag=,tag=b", "duplicate syslog \"tag\""},
        {"tag=" + std::string(33, 'a'), "syslog tag length exceeds 32"},
        {"tag=a-b", "syslog \"tag\" only allows alphanumeric characters and underscore"},
        {"tag=a b", "syslog \"tag\" only allows alphanumeric characters and underscore"},
        {"tag=\xc3\xa4", "syslog \"tag\" only allows alphanumeric characters and underscore"},
        {"Server=1.2.3.4", "unknown syslog parameter \"Server=1.2.3.4\""},
        {"server", "unknown syslog parameter \"server\""},
        {"server=1.2.3.4 ,x", "host not found in syslog server \"1.2.3.4 \""},
    };
    for (const auto& [value, complaint] : table) {
        BOOST_TEST(syslog_refusal(value) == "[emerg] " + complaint + " in nginx.conf:1\n");
    }
    BOOST_TEST(syslog_refusal("server=1.2.3.4,tag=" + std::string(32, 'a')) == "not refused");
}

BOOST_AUTO_TEST_CASE(a_line_is_one_datagram_without_its_line_feed)
{
    const Server server = Server::udp();
    Syslog syslog("server=127.0.0.1:" + server.port() + ",tag=me");
    log_error(log_err, &syslog.log, 0, "first");
    log_error(log_info, &syslog.log, 0, "second");
    BOOST_TEST(server.receive() == "<187>Jan  2 03:04:05 host me: " + std::string(line) + "first");
    BOOST_TEST(server.receive() ==
               "<190>Jan  2 03:04:05 host me: 2026/01/02 03:04:05 [info] 42#42: second");
    BOOST_TEST(server.receive(0) == "nothing");
}

BOOST_AUTO_TEST_CASE(a_unix_socket_receives_messages)
{
    const TempDir dir;
    const std::string path = dir / "socket";
    const Server server = Server::unix_socket(path);
    Syslog syslog("server=unix:" + path + ",nohostname");
    log_error(log_emerg, &syslog.log, 0, "here");
    BOOST_TEST(server.receive() ==
               "<184>Jan  2 03:04:05 ngxx: 2026/01/02 03:04:05 [emerg] 42#42: here");
}

BOOST_AUTO_TEST_CASE(a_line_of_full_length_is_sent_whole)
{
    const TempDir dir;
    const std::string path = dir / "socket";
    const Server server = Server::unix_socket(path);
    Syslog syslog("server=unix:" + path + ",tag=" + std::string(32, 't'));
    syslog.reader.cycle->hostname = std::string(255, 'h');
    syslog.peer().hostname = syslog.reader.cycle->hostname;
    log_error(log_err, &syslog.log, 0, "{}", std::string(5000, 'x'));

    const std::string message = server.receive();
    const std::string wanted = "<187>Jan  2 03:04:05 " + std::string(255, 'h') + " " +
                               std::string(32, 't') + ": " + std::string(line);
    BOOST_TEST(message.starts_with(wanted + "xxx"));
    BOOST_TEST(message.size() == wanted.size() - line.size() + max_error_str - 1);
}

BOOST_AUTO_TEST_CASE(a_level_above_the_logs_is_not_sent)
{
    const Server server = Server::udp();
    Syslog syslog("server=127.0.0.1:" + server.port(), "warn");
    log_error(log_notice, &syslog.log, 0, "not this");
    log_error(log_warn, &syslog.log, 0, "this");
    BOOST_TEST(server.receive().ends_with("[warn] 42#42: this"));
    BOOST_TEST(server.receive(0) == "nothing");
}

BOOST_AUTO_TEST_CASE(the_socket_is_opened_with_the_first_message_and_closed_with_the_cycle)
{
    const Server server = Server::udp();
    const std::size_t before = open_descriptors();
    {
        Syslog syslog("server=127.0.0.1:" + server.port());
        BOOST_TEST(open_descriptors() == before);
        log_error(log_err, &syslog.log, 0, "one");
        log_error(log_err, &syslog.log, 0, "two");
        BOOST_TEST(open_descriptors() == before + 1);
    }
    BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(after_a_failure_the_next_message_connects_again)
{
    const TempDir dir;
    const std::string path = dir / "socket";
    std::optional<Server> server = Server::unix_socket(path);
    Syslog syslog("server=unix:" + path);
    log_error(log_err, &syslog.log, 0, "one");
    BOOST_TEST(server->receive().ends_with("one"));

    server.reset();
    ::unlink(path.c_str());
    log_error(log_err, &syslog.log, 0, "lost");
    BOOST_TEST(syslog.peer().fd == invalid_socket);
    BOOST_TEST(
        messages(syslog.failures.text) ==
        "[error] one\n[alert] send() failed (111: Connection refused) while logging to syslog, "
        "server: unix:" +
            path + "\n[error] lost\n");

    server = Server::unix_socket(path);
    log_error(log_err, &syslog.log, 0, "two");
    BOOST_TEST(server->receive().ends_with("two"));
}

BOOST_AUTO_TEST_CASE(a_refused_udp_message_is_a_failure_too)
{
    Server server = Server::udp();
    Syslog syslog("server=127.0.0.1:" + server.port());
    log_error(log_err, &syslog.log, 0, "one");
    server.close();
    // The kernel reports the refusal of one message as the error of the next.
    log_error(log_err, &syslog.log, 0, "two");
    log_error(log_err, &syslog.log, 0, "three");
    BOOST_TEST(messages(syslog.failures.text, "alert")
                   .starts_with(
                       "[alert] send() failed (111: Connection refused) while logging to syslog"));
}

BOOST_AUTO_TEST_CASE(an_unreachable_server_is_reported_to_the_other_logs)
{
    const TempDir dir;
    const std::string path = dir / "none";
    Syslog syslog("server=unix:" + path);
    log_error(log_err, &syslog.log, 0, "lost");
    BOOST_TEST(messages(syslog.failures.text) ==
               "[alert] connect() failed (2: No such file or directory) while logging to syslog, "
               "server: unix:" +
                   path + "\n[error] lost\n");
    BOOST_TEST(syslog.peer().fd == invalid_socket);
}

BOOST_AUTO_TEST_CASE(a_full_socket_loses_the_message_and_stays_open)
{
    const TempDir dir;
    const std::string path = dir / "socket";
    const Server server = Server::unix_socket(path);
    Syslog syslog("server=unix:" + path);
    const std::string text = "message";
    ssize_t n = 0;
    for (int i = 0; i < 100'000 && n >= 0; i++) {
        n = syslog_send(syslog.peer(), text.data(), text.size());
    }
    BOOST_TEST(n == io_again);
    BOOST_TEST(syslog.peer().fd != invalid_socket);
    BOOST_TEST(syslog.failures.text == "");

    BOOST_TEST(server.receive() == "message");
    BOOST_TEST(syslog_send(syslog.peer(), text.data(), text.size()) == 7);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
