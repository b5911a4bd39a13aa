// Tests of a server's directives: listen and its parameters, error_log, tcp_nodelay, the content.

#include <cerrno>
#include <string>

#include <boost/test/unit_test.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "event/event.hpp"
#include "stream/stream.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

namespace utf = boost::unit_test;

std::string listen(const std::string& params, const std::string& address = "127.0.0.1:PORT")
{
    return "server { listen " + address + " " + params + "; }";
}

/// The listener that has these parameters.
struct Listen : Server {
    explicit Listen(const std::string& params) : Listen(params, "127.0.0.1:PORT") {}
    Listen(const std::string& params, const std::string& address)
        : Server({.stream = test::listen(params, address), .start = Start::conf})
    {}

    const Listening* operator->() const { return &listening(); }

    [[nodiscard]] int option(int level, int name) const
    {
        int value = -1;
        socklen_t len = sizeof(value);
        ::getsockopt(listening().fd, level, name, &value, &len);
        return value;
    }
};

/// Checks that each parameter is rejected with the message and the place.
void check_parameters_refused(std::initializer_list<const char*> params, const std::string& before,
                              const std::string& behind = "\"")
{
    for (const std::string param : params) {
        const std::string log = refusal(listen(param));
        BOOST_TEST(contains(log, "[emerg]"), param << " gave " << log);
        const std::string message = before + param + behind + " in ";
        BOOST_TEST(contains(log, message), param << " gave " << log);
    }
}

/// Returns TCP_NODELAY of the only connection of a server that has this configuration.
int nodelay(std::string_view stream)
{
    const Server server(stream);
    const Client client = server.connect();
    const Connection& c = server.accepted();
    int value = -1;
    socklen_t len = sizeof(value);
    ::getsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &value, &len);
    return value;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_core_module)

BOOST_AUTO_TEST_CASE(a_listener_has_nginxs_defaults)
{
    const Listen ls("");
    BOOST_TEST(ls->backlog == 511);
    BOOST_TEST(ls->rcvbuf == -1);
    BOOST_TEST(ls->sndbuf == -1);
    BOOST_TEST(ls->fastopen == -1);
    BOOST_TEST(unsigned{ls->keepalive} == 0);
    BOOST_TEST(unsigned{ls->ipv6only} == 1);
    BOOST_TEST(unsigned{ls->reuseport} == 0);
    BOOST_TEST(unsigned{ls->deferred_accept} == 0);
    BOOST_TEST(unsigned{ls->addr_ntop} == 1);
    BOOST_TEST(unsigned{ls->wildcard} == 0);
    BOOST_TEST(ls->pool_size == connection_pool_size);
    BOOST_TEST(ls.option(SOL_SOCKET, SO_KEEPALIVE) == 0);
}

BOOST_AUTO_TEST_CASE(a_wildcard_is_known_as_one)
{
    const Listen ls("", "*:PORT");
    BOOST_TEST(unsigned{ls->wildcard} == 1);
}

BOOST_AUTO_TEST_CASE(a_number_is_taken)
{
    BOOST_TEST(Listen("backlog=1")->backlog == 1);
    BOOST_TEST(Listen("backlog=2147483647")->backlog == 2147483647);
    BOOST_TEST(Listen("fastopen=0")->fastopen == 0);
    BOOST_TEST(Listen("fastopen=5")->fastopen == 5);
    BOOST_TEST(Listen("rcvbuf=16k")->rcvbuf == 16 * 1024);
    BOOST_TEST(Listen("rcvbuf=1M")->rcvbuf == 1024 * 1024);
    BOOST_TEST(Listen("sndbuf=0")->sndbuf == 0);
    BOOST_TEST(Listen("sndbuf=8192")->sndbuf == 8192);
}

BOOST_AUTO_TEST_CASE(the_last_of_two_counts)
{
    BOOST_TEST(Listen("backlog=8 backlog=9")->backlog == 9);
    BOOST_TEST(unsigned{Listen("so_keepalive=on so_keepalive=off")->keepalive} == 2);
}

BOOST_AUTO_TEST_CASE(a_bad_number_is_refused)
{
    check_parameters_refused({"backlog=", "backlog=x", "backlog=-1", "backlog=0", "backlog=1k",
                              "backlog=2147483648", "backlog=4294967297",
                              "backlog=99999999999999999999"},
                             "invalid backlog \"");
    check_parameters_refused({"fastopen=", "fastopen=x", "fastopen=-1", "fastopen=2147483648"},
                             "invalid fastopen \"");
    check_parameters_refused({"rcvbuf=", "rcvbuf=x", "rcvbuf=1g", "rcvbuf=-1", "rcvbuf=2048m",
                              "rcvbuf=2147483648", "rcvbuf=9007199254740992k"},
                             "invalid rcvbuf \"");
    check_parameters_refused({"sndbuf=", "sndbuf=8kb", "sndbuf=2147483648"}, "invalid sndbuf \"");
}

BOOST_AUTO_TEST_CASE(a_word_is_taken)
{
    BOOST_TEST(unsigned{Listen("deferred")->deferred_accept} == 1);
    BOOST_TEST(unsigned{Listen("reuseport")->reuseport} == 1);
    BOOST_TEST(Listen("multipath bind")->protocol == IPPROTO_MPTCP);
}

BOOST_AUTO_TEST_CASE(every_option_makes_an_own_socket)
{
    for (const char* const param :
         {"bind", "deferred", "reuseport", "multipath", "backlog=9", "fastopen=5", "rcvbuf=16k",
          "sndbuf=16k", "ipv6only=on", "so_keepalive=on"}) {
        const OnlyTested tested;
        const std::string stream = "server { listen PORT; }" + listen(param, "127.0.0.2:PORT");
        const Server server({.stream = stream, .start = Start::conf});
        BOOST_TEST(server.cycle->listening.size() == 2, param);
    }
}

BOOST_AUTO_TEST_CASE(a_default_server_needs_no_own_socket)
{
    const std::string stream =
        "server { listen PORT; }" + listen("default_server", "127.0.0.2:PORT");
    const Server server({.stream = stream, .start = Start::conf});
    BOOST_TEST(server.cycle->listening.size() == 1);
}

BOOST_AUTO_TEST_CASE(ipv6only_is_on_or_off)
{
    BOOST_TEST(unsigned{Listen("ipv6only=on")->ipv6only} == 1);
    BOOST_TEST(unsigned{Listen("ipv6only=off")->ipv6only} == 0);
    BOOST_TEST(contains(refusal(listen("ipv6only=o")), "invalid ipv6only flags \"o\" in "));
    BOOST_TEST(contains(refusal(listen("ipv6only=onn")), "invalid ipv6only flags \"onn\" in "));
    check_parameters_refused({"ipv6only", "ipv6only=", "ipv6only=yes"}, "invalid parameter \"");
}

BOOST_AUTO_TEST_CASE(so_keepalive_is_on_or_off)
{
    const Listen on("so_keepalive=on");
    BOOST_TEST(unsigned{on->keepalive} == 1);
    BOOST_TEST(on.option(SOL_SOCKET, SO_KEEPALIVE) == 1);

    const Listen off("so_keepalive=off");
    BOOST_TEST(unsigned{off->keepalive} == 2);
    BOOST_TEST(off.option(SOL_SOCKET, SO_KEEPALIVE) == 0);
}

BOOST_AUTO_TEST_CASE(so_keepalive_takes_three_numbers_or_some_of_them)
{
    struct Want {
        const char* text;
        int idle, intvl, cnt;
    };
    for (const Want& want : std::initializer_list<Want>{{"30m:10:5", 1800, 10, 5},
                                                        {"30m:10s", 1800, 10, 0},
                                                        {"30m", 1800, 0, 0},
                                                        {"30m:", 1800, 0, 0},
                                                        {"30m::", 1800, 0, 0},
                                                        {"30m::5", 1800, 0, 5},
                                                        {":10", 0, 10, 0},
                                                        {":10:5", 0, 10, 5},
                                                        {"::5", 0, 0, 5},
                                                        {"0:0:1", 0, 0, 1},
                                                        {"1h", 3600, 0, 0}}) {
        const Listen ls(std::string("so_keepalive=") + want.text);
        BOOST_TEST_REQUIRE(ls.cycle.ok(), want.text);
        BOOST_TEST(unsigned{ls->keepalive} == 1, want.text);
        BOOST_TEST(ls->keepidle == want.idle, want.text);
        BOOST_TEST(ls->keepintvl == want.intvl, want.text);
        BOOST_TEST(ls->keepcnt == want.cnt, want.text);
    }
}

BOOST_AUTO_TEST_CASE(so_keepalive_is_set_on_the_socket)
{
    const Listen ls("so_keepalive=20:10:5");
    BOOST_TEST(ls.option(SOL_SOCKET, SO_KEEPALIVE) == 1);
    BOOST_TEST(ls.option(IPPROTO_TCP, TCP_KEEPIDLE) == 20);
    BOOST_TEST(ls.option(IPPROTO_TCP, TCP_KEEPINTVL) == 10);
    BOOST_TEST(ls.option(IPPROTO_TCP, TCP_KEEPCNT) == 5);
}

BOOST_AUTO_TEST_CASE(bad_so_keepalive_is_refused)
{
    for (const std::string text : {"",
                                   ":",
                                   "::",
                                   "0",
                                   "0:0:0",
                                   "x",
                                   "10:x",
                                   "10:20:x",
                                   "10:20:5s",
                                   "10:20:30:40",
                                   ":::",
                                   "10ms",
                                   "-1",
                                   "ON",
                                   "yes",
                                   "2147483648",
                                   "4294967297",
                                   "10:2147483648",
                                   "10:20:2147483648",
                                   "10:20:99999999999999999999"}) {
        const std::string log = refusal(listen("so_keepalive=" + text));
        const std::string message = "invalid so_keepalive value: \"" + text + "\" in ";
        BOOST_TEST(contains(log, message), text << " gave " << log);
    }
}

BOOST_AUTO_TEST_CASE(unsupported_parameters_are_refused_by_name)
{
    check_parameters_refused({"ssl"}, "the \"", "\" parameter is not supported");
}

BOOST_AUTO_TEST_CASE(udp_is_a_type_of_socket)
{
    const Listen ls("udp rcvbuf=16k sndbuf=32k reuseport");
    BOOST_TEST_REQUIRE(ls.cycle.ok());
    BOOST_TEST(ls->type == SOCK_DGRAM);
    BOOST_TEST(ls.option(SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);
    BOOST_TEST(ls.option(SOL_SOCKET, SO_RCVBUF) == 32 * 1024);
    BOOST_TEST(ls.option(SOL_SOCKET, SO_SNDBUF) == 64 * 1024);
    BOOST_TEST(ls.option(SOL_SOCKET, SO_REUSEPORT) == 1);
}

BOOST_AUTO_TEST_CASE(udp_may_be_repeated_and_at_any_position)
{
    BOOST_TEST(Listen("udp udp")->type == SOCK_DGRAM);
    BOOST_TEST(Listen("default_server udp")->type == SOCK_DGRAM);
}

BOOST_AUTO_TEST_CASE(parameters_of_tcp_are_refused_with_udp)
{
    for (const std::string param : {"fastopen=16", "backlog=16", "deferred", "multipath",
                                    "so_keepalive=on", "proxy_protocol"}) {
        const std::string name = param.substr(0, param.find('='));
        for (const std::string& text : {"udp " + param, param + " udp"}) {
            const std::string log = refusal(listen(text));
            BOOST_TEST(contains(log, "\"listen\" directive \"" + name +
                                         "\" parameter is incompatible with \"udp\" in "),
                       text << " gave " << log);
        }
    }
}

BOOST_AUTO_TEST_CASE(tcp_and_udp_may_have_the_same_port)
{
    const Server server("server { listen 127.0.0.1:PORT; listen 127.0.0.1:PORT udp; echo; }");
    BOOST_TEST_REQUIRE(server.cycle->listening.size() == 2);
    BOOST_TEST(server.listening(0).type == SOCK_STREAM);
    BOOST_TEST(server.listening(1).type == SOCK_DGRAM);
}

BOOST_AUTO_TEST_CASE(unknown_parameters_are_refused)
{
    check_parameters_refused({"x", "default", "Bind", "bind=on", "backlog", "rcvbuf", "sndbuf",
                              "fastopen", "so_keepalive", "reuseport=on", "setfib=1", "quic",
                              "http2", "UDP"},
                             "invalid parameter \"");
}

BOOST_AUTO_TEST_CASE(an_accept_filter_is_a_warning_and_ignored)
{
    const Listen ls("accept_filter=dataready backlog=9");
    BOOST_TEST_REQUIRE(ls.cycle.ok());
    BOOST_TEST(ls->backlog == 9);
    BOOST_TEST(contains(ls.log(), "accept filters \"accept_filter=dataready\" are not supported on "
                                  "this platform, ignored in "));
}

BOOST_AUTO_TEST_CASE(a_bad_address_is_reported_with_the_directive)
{
    BOOST_TEST(contains(refusal("server { listen 127.0.0.1:0; }"),
                        "invalid port in \"127.0.0.1:0\" of the \"listen\" directive in "));
    BOOST_TEST(contains(refusal("server { listen unix:; }"),
                        "no path in the unix domain socket in \"unix:\" of the \"listen\" "
                        "directive in "));
}

BOOST_AUTO_TEST_CASE(a_name_with_an_address_twice_is_one_address)
{
    const Listen ls("", "localhost:PORT");
    BOOST_TEST_REQUIRE(ls.cycle.ok());
    BOOST_TEST(ls.cycle->listening.size() <= 2);  // 127.0.0.1 and ::1
}

BOOST_AUTO_TEST_CASE(a_server_without_listen_is_refused_with_its_place)
{
    const std::string log = refusal("\n server { listen unix:DIR/a; }\n server { return x;\n }");
    BOOST_TEST(contains(log, "[emerg]"));
    BOOST_TEST(contains(log, "no \"listen\" is defined for server in "));
    BOOST_TEST(contains(log, "nginx.conf:4\n"));
}

BOOST_AUTO_TEST_CASE(an_error_in_a_server_does_not_report_a_missing_listen)
{
    const std::string log = refusal("server { unknown; }");
    BOOST_TEST(contains(log, "unknown directive \"unknown\""));
    BOOST_TEST(!contains(log, "no \"listen\""));
}

BOOST_AUTO_TEST_CASE(each_server_has_its_error_log)
{
    const Server server({.stream = "error_log all.log info;"
                                   "server { listen unix:DIR/a; return a; error_log a.log info; }"
                                   "server { listen unix:DIR/b; return b; }",
                         .main = "master_process off; pid pid; error_log error.log info;"});
    BOOST_TEST(answer(server, 0) == "a");
    BOOST_TEST(answer(server, 1) == "b");

    const std::string a = read_file(server.cycle.dir() / "a.log");
    const std::string all = read_file(server.cycle.dir() / "all.log");
    BOOST_TEST(count(a, " connected to ") == 1);
    BOOST_TEST(count(all, " connected to ") == 1);
    BOOST_TEST(contains(server.shorten(a), "connected to unix:DIR/a\n"));
    BOOST_TEST(contains(server.shorten(all), "connected to unix:DIR/b\n"));
    BOOST_TEST(!contains(server.log(), " connected to "));
}

BOOST_AUTO_TEST_CASE(without_one_a_server_logs_where_the_process_does)
{
    const Server server({.stream = "server { listen unix:DIR/a; return a; }",
                         .main = "master_process off; pid pid; error_log error.log info;"});
    BOOST_TEST(answer(server) == "a");
    BOOST_TEST(contains(server.log(), " connected to "));
}

BOOST_AUTO_TEST_CASE(a_server_may_have_several_error_logs)
{
    const Server server("server { listen unix:DIR/a; return a;"
                        "error_log err.log; error_log info.log info; }");
    BOOST_TEST(answer(server) == "a");
    BOOST_TEST(contains(read_file(server.cycle.dir() / "info.log"), " connected to "));
    BOOST_TEST(read_file(server.cycle.dir() / "err.log") == "");
}

BOOST_AUTO_TEST_CASE(failures_of_a_listener_are_in_the_log_of_its_default_server)
{
    const Server server("server { listen unix:DIR/a; return a; error_log a.log info; }");
    const Client client = server.connect();
    FakeCall failing(Call::accept4, {.err = EPERM});
    server.turn_until([&] { return failing.calls() > 0; });

    const std::string log = server.shorten(read_file(server.cycle.dir() / "a.log"));
    BOOST_TEST(contains(log, "[alert]"));
    BOOST_TEST(contains(log, "accept4() failed (1: Operation not permitted) while accepting new "
                             "connection on unix:DIR/a\n"));
}

BOOST_AUTO_TEST_CASE(tcp_nodelay_is_set_by_default)
{
    BOOST_TEST(nodelay("server { listen 127.0.0.1:PORT; hold; }") == 1);
    BOOST_TEST(nodelay("server { listen 127.0.0.1:PORT; hold; tcp_nodelay on; }") == 1);
    BOOST_TEST(nodelay("server { listen 127.0.0.1:PORT; hold; tcp_nodelay off; }") == 0);
    BOOST_TEST(nodelay("tcp_nodelay off; server { listen 127.0.0.1:PORT; hold; }") == 0);
    BOOST_TEST(
        nodelay("tcp_nodelay off; server { listen 127.0.0.1:PORT; hold; tcp_nodelay on; }") == 1);
}

BOOST_AUTO_TEST_CASE(tcp_nodelay_is_not_set_on_a_unix_socket)
{
    const Server server("server { listen unix:DIR/a; hold; }");
    const Client client = server.connect();
    const FakeCall counted(Call::setsockopt, {});
    BOOST_TEST((server.accepted().tcp_nodelay == TcpOption::disabled));
    BOOST_TEST(counted.calls() == 0);
}

BOOST_AUTO_TEST_CASE(tcp_nodelay_is_a_flag)
{
    const std::string server = "server { listen PORT; tcp_nodelay ";
    BOOST_TEST(contains(refusal(server + "maybe; }"),
                        "invalid value \"maybe\" in \"tcp_nodelay\" directive, it must be "));
    BOOST_TEST(contains(refusal(server + "on; tcp_nodelay on; }"),
                        "\"tcp_nodelay\" directive is duplicate in "));
}

BOOST_AUTO_TEST_CASE(a_connection_that_cannot_have_it_is_closed,
                     *boost::unit_test::precondition(sends_by_calls))
{
    const Server server("server { listen 127.0.0.1:PORT; hold; }");
    const Client client = server.connect();
    {
        const FakeCall failing(Call::setsockopt, {.err = EPERM});
        server.accept();
    }
    BOOST_TEST(server.connections().empty());
    BOOST_TEST(hooks.session == nullptr);
    BOOST_TEST(client.receive_all() == "");
    BOOST_TEST(contains(server.log(),
                        "setsockopt(TCP_NODELAY) failed (1: Operation not permitted), "
                        "client: 127.0.0.1, server: 127.0.0.1:"));
}

BOOST_AUTO_TEST_CASE(a_server_without_content_closes)
{
    const Server server("server { listen unix:DIR/a; }");
    BOOST_TEST(answer(server) == "");
    BOOST_TEST(contains(server.log(), "no handler for server") == have_debug);
}

BOOST_AUTO_TEST_CASE(the_last_content_directive_counts)
{
    const Server server("server { listen unix:DIR/a; echo; return x; }"
                        "server { listen unix:DIR/b; return x; hold; }");
    BOOST_TEST(answer(server) == "x");
    const Client client = server.connect(1);
    server.accept();
    BOOST_TEST(hooks.session != nullptr);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
