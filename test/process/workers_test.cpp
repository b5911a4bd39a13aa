// The system calls of several workers for the listeners that they share.

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <csignal>
#include <map>
#include <set>
#include <thread>

#include "test/process/client.hpp"
#include "test/process/load.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Traces the system calls of the workers during its lifetime.
class Trace {
public:
    explicit Trace(const Server& server)
        : file_(server.dir() / "trace")
        , strace_(command(server.workers()))
    {
        wait_for_text(strace_.err_path(), " attached\n", patience(), server.workers().size(),
                      &strace_);
    }

    /// Returns their calls so far.
    std::vector<std::string> lines()
    {
        strace_.signal(SIGINT);
        (void)strace_.wait(patience());
        return lines_of(read_file(file_));
    }

private:
    [[nodiscard]] std::vector<std::string> command(const std::vector<pid_t>& workers) const
    {
        std::vector<std::string> argv = {
            "strace", "-f", "-e", "trace=epoll_ctl,epoll_wait,accept4", "-o", file_.string()};
        for (const pid_t worker : workers) {
            argv.insert(argv.end(), {"-p", std::to_string(worker)});
        }
        return argv;
    }

    std::filesystem::path file_;
    Child strace_;
};

/// Records which workers watch the listener and which wait. A listener is level-triggered and a
/// connection edge-triggered, so the calls for the listener can be identified.
class Watchers {
public:
    void follow(const std::string& line)
    {
        const pid_t worker = std::stoi(line);
        const auto has = [&](std::string_view text) { return line.find(text) != line.npos; };
        if (has("EPOLL_CTL_ADD") && !has("EPOLLET")) {
            watching_.insert(worker);
            armed_++;
        } else if (has("EPOLL_CTL_DEL")) {
            watching_.erase(worker);
        } else if (has("epoll_wait(")) {
            waiting_.insert(worker);
            most_ = std::max(most_, both());
        }
        if (has("epoll_wait") && !has("<unfinished")) {
            waiting_.erase(worker);
        }
    }

    /// Return how often a worker started to watch the listener, and the most workers that waited
    /// for it.
    [[nodiscard]] std::size_t armed() const { return armed_; }
    [[nodiscard]] std::size_t most() const { return most_; }

private:
    [[nodiscard]] std::size_t both() const
    {
        return static_cast<std::size_t>(std::ranges::count_if(
            watching_, [&](pid_t worker) { return waiting_.count(worker) != 0; }));
    }

    std::set<pid_t> watching_;
    std::set<pid_t> waiting_;
    std::size_t armed_ = 0;
    std::size_t most_ = 0;
};

std::size_t count_lines(const std::vector<std::string>& lines, std::string_view text)
{
    return static_cast<std::size_t>(std::ranges::count_if(
        lines, [&](const std::string& line) { return line.find(text) != line.npos; }));
}

/// Returns the total number of their voluntary context switches.
std::size_t waits_of(const std::vector<pid_t>& workers)
{
    std::size_t waits = 0;
    for (const pid_t worker : workers) {
        waits += process::waits_of(worker);
    }
    return waits;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(workers)

BOOST_AUTO_TEST_CASE(under_the_mutex_only_one_worker_watches_the_listener,
                     *precondition(method_is_epoll) * precondition(strace_works))
{
    const Port port;
    const Port echo;
    Server server({.stream = server_block(port, "return hello;") + server_block(echo, "echo;"),
                   .events = "worker_connections 64; accept_mutex on; accept_mutex_delay 5ms;",
                   .log_level = "notice",
                   .workers = 3});
    Trace trace(server);
    Load load(port, echo, 3, 6);
    load.wait_for_answers(300);
    load.stop();
    BOOST_TEST(load.errors() == "");

    Watchers watchers;
    for (const std::string& line : trace.lines()) {
        watchers.follow(line);
    }
    BOOST_TEST(watchers.most() == 1U);
    BOOST_TEST(watchers.armed() > 1U);
}

BOOST_AUTO_TEST_CASE(without_the_mutex_a_connection_wakes_about_one_worker,
                     *precondition(method_is_epoll))
{
    constexpr std::size_t connections = 400;
    const Port port;
    Server server(
        {.stream = server_block(port, "return hello;"), .log_level = "notice", .workers = 4});
    const std::size_t before = waits_of(server.workers());
    for (std::size_t i = 0; i < connections; ++i) {
        BOOST_TEST_REQUIRE(ask(port) == "hello");
    }
    const std::size_t woken = waits_of(server.workers()) - before;
    BOOST_TEST(woken <= connections * 3 / 2);
    BOOST_TEST_MESSAGE(woken << " wake-ups of 4 workers for " << connections << " connections");
}

BOOST_AUTO_TEST_CASE(a_worker_that_has_accepted_sixteen_goes_to_the_end_of_the_queue,
                     *precondition(method_is_epoll) * precondition(strace_works))
{
    const Port port;
    Server server(
        {.stream = server_block(port, "return hello;"), .log_level = "notice", .workers = 2});
    Trace trace(server);
    for (std::size_t i = 0; i < 100; ++i) {
        BOOST_TEST_REQUIRE(ask(port) == "hello");
    }
    BOOST_TEST(count_lines(trace.lines(), "EPOLLEXCLUSIVE") >= 100U / 16 - 1);
}

BOOST_AUTO_TEST_CASE(a_mutex_whose_holder_is_killed_goes_to_another_at_once)
{
    const Port port;
    Server server({.stream = server_block(port, "return $pid;"),
                   .events = "worker_connections 64; accept_mutex on; accept_mutex_delay 1h;",
                   .workers = 2});
    server.allow("exited on signal 9");
    for (int i = 0; i < 20; ++i) {
        // A worker without the mutex waits for an hour, so the worker that answers has it.
        const pid_t holder = std::stoi(ask(port));
        ::kill(holder, SIGKILL);
        BOOST_TEST_REQUIRE(std::stoi(ask(port)) != holder);
    }
}

BOOST_AUTO_TEST_CASE(all_workers_count_in_the_same_counters)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "return $connection;"), .workers = 4};
    Server server(conf);
    std::set<std::string> numbers;
    for (int i = 0; i < 100; ++i) {
        if (i == 50) {
            server.reload(conf);
        }
        numbers.insert(ask(port));
    }
    BOOST_TEST(numbers.size() == 100U);
    BOOST_TEST(numbers.count("1") == 1U);
    BOOST_TEST(numbers.count("100") == 1U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
