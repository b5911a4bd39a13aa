// Memory that runs out in a worker: only the session that needs it ends, with one log line.

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <optional>
#include <sstream>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/faults.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

constexpr std::string_view no_memory = "Cannot allocate memory";

/// A client's request, and the service.
struct Scenario {
    std::string name;
    std::string content;
    std::string asks{};    // sent first
    std::string answer{};  // the complete answer
    std::string listen{};  // parameters of `listen`
    bool epoll = false;    // only with this event method
};

/// The servers behind the proxies. Nothing fails in them.
struct Upstreams {
    Port tcp;
    Port proxied;  // expects the PROXY protocol
    Port udp{SOCK_DGRAM};
    Server server{{.stream = server_block(tcp, "echo;") +
                             server_block(proxied, "echo;", "proxy_protocol") +
                             server_block(udp, "echo; echo_timeout 100ms;", "udp"),
                   .events = "worker_connections 512;"}};

    [[nodiscard]] std::string peers(std::size_t n) const
    {
        std::string text;
        for (std::size_t i = 0; i < n; i++) {
            text += "server " + tcp.at("127.0.0.1") + "; ";
        }
        return text;
    }
};

/// One worker that serves the scenario, and an earlier client of another service.
class Sweep {
public:
    Sweep(const Scenario& scenario, const Upstreams& upstreams, const std::string& file)
        : scenario_(scenario)
        , port_(is_udp() ? SOCK_DGRAM : SOCK_STREAM)
        , server_(conf(upstreams, file), 1024, faults_.env())
        , worker_(server_.workers().front())
    {
        server_.allow(std::string(no_memory));
        server_.allow("fcntl(O_DIRECT)");
        bystander_.emplace(bystanders_port_);
        BOOST_TEST_REQUIRE(bystander_->echo("before") == "before");
    }

    /// Connects a client. Returns whether it is served; otherwise its session ends.
    [[nodiscard]] bool is_served() const
    {
        if (is_udp()) {
            return is_answered();
        }
        try {
            const Client client(port_);
            client.send(scenario_.asks);
            if (client.receive(scenario_.answer.size()) != scenario_.answer) {
                return false;
            }
            client.finish();
            return client.receive_all().empty();
        } catch (const std::exception&) {
            return false;
        }
    }

    /// Makes the allocation after `pass` others fail. Returns false if there are fewer allocations.
    bool step(int pass)
    {
        const std::size_t told = count(server_.log(), no_memory);
        faults_.arm({.call = "malloc", .err = ENOMEM, .pass = pass, .pid = worker_});
        may_be_lost_ = true;
        const bool served = is_served();
        const bool met = faults_.hits() != 0;
        faults_.disarm();
        may_be_lost_ = false;
        BOOST_TEST_CONTEXT(scenario_.name << ", after " << pass << " allocations")
        {
            BOOST_TEST((met || served));
            workers_lost_ += server_.workers() != std::vector<pid_t>{worker_};
            BOOST_TEST_REQUIRE(workers_lost_ == 0, server_.log());
            bystanders_lost_ += bystander_->echo("after") != "after";
            BOOST_TEST(bystanders_lost_ == 0);
            BOOST_TEST(is_served());
            BOOST_TEST(count(server_.log(), no_memory) - told == (met ? 1U : 0U), server_.log());
        }
        return met;
    }

    /// Waits until the previous sessions have closed all their descriptors.
    void wait_for_descriptors(std::size_t wanted) const
    {
        wait_until("the sessions are closed", [&] { return descriptors() == wanted; });
    }
    [[nodiscard]] std::size_t descriptors() const { return descriptors_of(worker_); }

    [[nodiscard]] int workers_lost() const { return workers_lost_; }
    [[nodiscard]] int bystanders_lost() const { return bystanders_lost_; }

private:
    [[nodiscard]] bool is_udp() const { return scenario_.listen == "udp"; }

    /// A lost datagram has no end, so this waits for the fault instead.
    [[nodiscard]] bool is_answered() const
    {
        const UdpClient client(port_);
        client.send(scenario_.asks);
        std::string got;
        wait_until("an answer or a fault", [&] {
            got = client.receive_some(scenario_.answer.size() + 1);
            return !got.empty() || (may_be_lost_ && faults_.hits() != 0);
        });
        return got == scenario_.answer;
    }

    [[nodiscard]] ServerConf conf(const Upstreams& upstreams, const std::string& file) const
    {
        const std::string content =
            fmt::format(fmt::runtime(scenario_.content), fmt::arg("tcp", upstreams.tcp.text()),
                        fmt::arg("udp", upstreams.udp.text()),
                        fmt::arg("proxied", upstreams.proxied.text()), fmt::arg("file", file));
        return {.stream = fmt::format("    upstream peers {{ {}}}\n"
                                      "    upstream least {{ least_conn; {}}}\n",
                                      upstreams.peers(2), upstreams.peers(70)) +
                          server_block(bystanders_port_, "echo;") +
                          server_block(port_, content, scenario_.listen),
                .events = "worker_connections 512;",
                .workers = 1};
    }

    Scenario scenario_;
    TempDir dir_;
    Faults faults_{dir_ / "fault"};
    Port port_;
    Port bystanders_port_;
    Server server_;
    pid_t worker_;
    std::optional<Client> bystander_;
    bool may_be_lost_ = false;
    int workers_lost_ = 0;
    int bystanders_lost_ = 0;
};

const std::string question(2000, 'q');

const std::vector<Scenario> scenarios = {
    {"return", "return hello;", "", "hello"},
    {"return of variables", "return $protocol$protocol$protocol$hostname;", "", ""},
    {"echo", "echo;", question, question},
    {"proxy", "proxy_half_close on; proxy_pass 127.0.0.1:{tcp};", question, question},
    {"proxy to two", "proxy_half_close on; proxy_pass peers;", question, question},
    {"proxy to seventy, least_conn", "proxy_half_close on; proxy_pass least;", question, question},
    {"proxy by variables", "proxy_half_close on; proxy_pass $server_addr:{tcp};", question,
     question},
    {"PROXY protocol", "echo;", "PROXY TCP4 192.0.2.1 198.51.100.2 80 443\r\n" + question, question,
     "proxy_protocol"},
    {"PROXY protocol to the upstream",
     "proxy_half_close on; proxy_protocol on; proxy_pass 127.0.0.1:{proxied};", question, question},
    {"send_file", "send_file {file};", "", long_text(100'000)},
    {"send_file by sendfile", "send_file {file}; sendfile on;", "", long_text(100'000)},
    {"send_file by aio", "send_file {file}; aio on; directio 1;", "", long_text(100'000), "", true},
    {"send_file by threads", "send_file {file}; aio threads;", "", long_text(100'000), "", true},
    {"send_file by sendfile of threads", "send_file {file}; aio threads; sendfile on;", "",
     long_text(100'000), "", true},
    {"UDP return", "return hello;", "?", "hello", "udp"},
    {"UDP proxy", "proxy_responses 1; proxy_pass 127.0.0.1:{udp};", question, question, "udp"},
    {"UDP proxy by variables", "proxy_responses 1; proxy_pass $server_addr:{udp};", question,
     question, "udp"},
};

/// Fills in the answers that depend on the machine.
Scenario completed(Scenario scenario)
{
    if (scenario.name == "return of variables") {
        std::string name(256, '\0');
        BOOST_TEST_REQUIRE(::gethostname(name.data(), name.size()) == 0);
        scenario.answer = "TCPTCPTCP" + std::string(name.c_str());
    }
    return scenario;
}

/// Tests the first client, or one after others. Returns the number of faults that occurred.
int sweep(const Scenario& scenario, const Upstreams& upstreams, const std::string& file, bool warm)
{
    constexpr int much = 200;
    int met = 0;
    int workers_lost = 0;
    int bystanders_lost = 0;
    std::optional<Sweep> server;
    std::size_t descriptors = 0;
    for (bool more = true; more && met < much;) {
        if (!server || !warm) {
            server.reset();
            server.emplace(scenario, upstreams, file);
            descriptors = server->descriptors();
            BOOST_TEST((!warm || server->is_served()), scenario.name);
        }
        more = server->step(met);
        met += more;
        workers_lost += server->workers_lost();
        bystanders_lost += server->bystanders_lost();
    }
    server->wait_for_descriptors(descriptors);
    BOOST_TEST_MESSAGE(fmt::format("{:<34} {:<4} {:>6} {:>13} {:>16}", scenario.name,
                                   warm ? "warm" : "cold", met, workers_lost, bystanders_lost));
    return met;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(each_allocation_that_fails_costs_one_session, *precondition(no_sanitizer))
{
    const TempDir dir;
    write_file(dir / "file", long_text(100'000));
    const Upstreams upstreams;
    BOOST_TEST_MESSAGE(fmt::format("{:<34} {:<4} {:>6} {:>13} {:>16}", "scenario", "", "faults",
                                   "workers lost", "bystanders lost"));
    for (const Scenario& scenario : scenarios) {
        if (scenario.epoll && setup().method != "epoll") {
            continue;
        }
        const Scenario whole = completed(scenario);
        BOOST_TEST(sweep(whole, upstreams, dir / "file", false) > 0, scenario.name);
        (void)sweep(whole, upstreams, dir / "file", true);
    }
}

BOOST_AUTO_TEST_CASE(a_buffer_of_any_size_costs_at_most_the_session, *precondition(no_sanitizer))
{
    const Upstreams upstreams;
    const Port port;
    const Port echo_port;
    Server server({.stream = server_block(echo_port, "echo;") +
                             server_block(port, fmt::format("proxy_buffer_size 200000000m; "
                                                            "proxy_pass 127.0.0.1:{};",
                                                            upstreams.tcp.text())),
                   .workers = 1});
    server.allow(std::string(no_memory));
    const std::vector<pid_t> workers = server.workers();
    const Client bystander(echo_port);
    BOOST_TEST(bystander.echo("before") == "before");

    const Client client(port);
    client.send("hello");
    BOOST_TEST(client.until_closed().empty());

    BOOST_TEST(bystander.echo("after") == "after");
    BOOST_TEST(server.workers() == workers, boost::test_tools::per_element());
    BOOST_TEST(count(server.log(), " failed (12: Cannot allocate memory) while ") == 1U);
    BOOST_TEST(count(server.log(), fmt::format(", client: 127.0.0.1, server: 127.0.0.1:{}, "
                                               "upstream: \"127.0.0.1:{}\"",
                                               port.text(), upstreams.tcp.text())) == 1U,
               server.log());
}

BOOST_AUTO_TEST_CASE(quiet_sessions_outlive_a_worker_that_has_no_more_memory,
                     *precondition(no_sanitizer))
{
    constexpr std::size_t clients = 300;
    constexpr rlim_t more = 6 << 20;
    const Port port;
    Server server({.stream = server_block(port, "echo; echo_buffer_size 64k;"),
                   .events = "worker_connections 512;",
                   .workers = 1});
    server.allow(std::string(no_memory));
    const std::vector<pid_t> workers = server.workers();

    std::deque<Client> quiet;
    for (std::size_t i = 0; i < 20; i++) {
        quiet.emplace_back(port);
        BOOST_TEST_REQUIRE(quiet.back().echo("before") == "before");
    }
    const std::size_t descriptors = descriptors_of(workers.front());
    std::istringstream pages(read_file(fmt::format("/proc/{}/statm", workers.front())));
    rlim_t size = 0;
    pages >> size;
    const rlimit limit{.rlim_cur = size * 4096 + more, .rlim_max = RLIM_INFINITY};
    BOOST_TEST_REQUIRE(::prlimit(workers.front(), RLIMIT_AS, &limit, nullptr) == 0);

    std::size_t refused = 0;
    std::deque<Client> crowd;
    for (std::size_t i = 0; i < clients; i++) {
        try {
            crowd.emplace_back(port);
            refused += crowd.back().echo("crowd") != "crowd";
        } catch (const std::exception&) {
            refused++;
        }
    }
    BOOST_TEST(refused > 0U);
    BOOST_TEST(refused < clients);
    BOOST_TEST(count(server.log(), no_memory) == refused);
    for (const Client& client : quiet) {
        BOOST_TEST(client.echo("after") == "after");
    }
    BOOST_TEST(server.workers() == workers, boost::test_tools::per_element());

    crowd.clear();
    wait_until("there is room again",
               [&] { return descriptors_of(workers.front()) <= descriptors; });
    BOOST_TEST(Client(port).echo("new") == "new");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
