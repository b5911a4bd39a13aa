// The process model and the proxy, compared with nginx's: both get the same signals and sessions,
// and both logs must have the same lines.

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <array>
#include <csignal>
#include <regex>

#include "test/process/client.hpp"
#include "test/process/nginx.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// The lines of a log without times and numbers: of the master, and of all workers.
struct Story {
    std::vector<std::string> master;
    std::vector<std::string> workers;
};

/// Returns whether only one of the two logs the message, or at a random time: the build's version,
/// generations, and a closed channel.
bool is_told_by_one(const std::string& message)
{
    static const std::regex pattern(
        "\\[notice\\] (nginx/|ngxx/|built by |OS: |getrlimit|generation |"
        "signal N \\(SIGIO\\)).*");
    return std::regex_match(message, pattern);
}

Story read_story(const std::filesystem::path& log, pid_t master)
{
    static const std::regex line_pattern("\\S+ \\S+ (\\[\\w+\\]) (\\d+)#\\d+: (.*)");
    Story story;
    for (const std::string& line : lines_of(read_file(log))) {
        std::smatch parts;
        if (!std::regex_match(line, parts, line_pattern)) {
            fail("no log line: " + line);
        }
        const std::string text = std::regex_replace(parts[3].str(), std::regex("\\d+"), "N");
        const std::string message = parts[1].str() + " " + text;
        if (!is_told_by_one(message)) {
            (std::stoi(parts[2]) == master ? story.master : story.workers).push_back(message);
        }
    }
    return story;
}

/// A master with one worker, in the foreground.
class Life {
public:
    Life(const std::string& program, const std::string& conf) : log_(dir_ / "error.log")
    {
        write_file(dir_ / "nginx.conf", conf);
        child_.emplace(std::vector<std::string>{program, "-p", dir_.path().string() + "/", "-e",
                                                "error.log", "-c", dir_ / "nginx.conf"});
        wait("start worker process ");
        wait_until("the worker serves", [&] { return title_of(worker()).ends_with("r process"); });
    }

    void tell_master(int number) { child_->signal(number); }

    /// Sends the signal when the worker waits. nginx would not see a signal that comes right before
    /// the wait until something else ends the wait.
    void tell_worker(int number)
    {
        wait_until("the worker waits", [&] { return is_asleep(worker()); });
        ::kill(worker(), number);
    }

    /// Waits until the log has the text once more than at the last call.
    void wait(const std::string& text) { wait_for_text(log_, text, patience(), ++seen_[text]); }

    /// Waits until a new worker has started.
    void wait_for_new_worker()
    {
        wait("start worker process ");
        wait_until("the worker serves", [&] {
            const std::vector<pid_t> children = children_of(child_->pid());
            return children.size() == 1 &&
                   title_of(children[0]).find("worker process") != std::string::npos;
        });
    }

    Story end()
    {
        tell_master(SIGQUIT);
        BOOST_TEST(child_->wait(patience()).exited_with(0));
        return read_story(log_, child_->pid());
    }

private:
    [[nodiscard]] pid_t worker() const
    {
        const std::vector<pid_t> children = children_of(child_->pid());
        return children.empty() ? -1 : children.back();
    }

    TempDir dir_;
    std::filesystem::path log_;
    std::map<std::string, std::size_t> seen_;
    std::optional<Child> child_;
};

/// Sends all signals to a master in the foreground.
Story live(const std::string& program, const std::string& conf)
{
    Life life(program, conf);
    life.tell_master(SIGHUP);
    life.wait("exited with code 0\n");
    life.wait_for_new_worker();
    life.tell_master(SIGUSR1);
    life.wait(": reopening logs\n");
    life.wait(": reopening logs\n");
    life.tell_master(SIGWINCH);
    life.wait("(SIGWINCH)");
    life.tell_master(SIGUSR2);
    life.wait("the changing binary signal is ignored");
    life.tell_worker(SIGHUP);
    life.wait(", ignoring\n");
    life.wait(", ignoring\n");
    life.tell_worker(SIGTERM);
    life.wait("exited with code 0\n");
    life.wait_for_new_worker();
    life.tell_worker(SIGKILL);
    life.wait("exited on signal 9\n");
    life.wait_for_new_worker();
    return life.end();
}

/// Returns the lines of a log about sessions, without times and ports.
std::vector<std::string> session_lines(const std::string& log)
{
    static const std::regex line_pattern(R"(\S+ \S+ (\[\w+\]) \d+#\d+: (\*\d+ .*))");
    static const std::regex port(R"(127\.0\.0\.1:\d+)");
    std::vector<std::string> lines;
    for (const std::string& line : lines_of(log)) {
        std::smatch parts;
        if (std::regex_match(line, parts, line_pattern)) {
            lines.push_back(parts[1].str() + " " +
                            std::regex_replace(parts[2].str(), port, "ADDR"));
        }
    }
    return lines;
}

/// A proxy, and servers for each possible result of a session.
struct ComparedSite {
    [[nodiscard]] std::string stream() const
    {
        const auto proxy = [](const Port& from, const Port& to, std::string_view more = "") {
            return server_block(from, fmt::format("proxy_pass 127.0.0.1:{}; {}", to.text(), more));
        };
        return fmt::format("upstream nobody {{ server 127.0.0.1:{}; server 127.0.0.1:{}; }}\n",
                           closed.text(), closed_as_well.text()) +
               proxy(port, behind) + proxy(hurried, behind, "proxy_timeout 500ms;") +
               proxy(waiting, full, "proxy_connect_timeout 100ms;") +
               server_block(refused, "proxy_pass nobody;");
    }

    Port port;
    Port hurried;
    Port waiting;
    Port refused;
    Port closed;
    Port closed_as_well;
    Port behind;
    Listener upstream{behind};
    Port full;
    Listener silent{full, 0};
    Client fills_the_queue{full};
};

/// Both ends of a session, each of which has received data from the other.
struct Ends {
    Ends(const Port& port, const Listener& upstream) : client(port), other(upstream.accept())
    {
        client.send("hello");
        BOOST_TEST(other.receive(5) == "hello");
        other.send("hello yourself");
        BOOST_TEST(client.receive(14) == "hello yourself");
    }

    Client client;
    Client other;
};

/// Makes each kind of session. Returns the log's lines about sessions.
std::vector<std::string> live(const ComparedSite& site, auto& server)
{
    Ends client_ends(site.port, site.upstream);
    client_ends.client.close();
    server.wait_for_log("client disconnected");
    Ends upstream_ends(site.port, site.upstream);
    upstream_ends.other.close();
    server.wait_for_log("upstream disconnected");
    Ends upstream_resets(site.port, site.upstream);
    upstream_resets.other.reset();
    server.wait_for_log("reading from upstream");
    Ends client_resets(site.port, site.upstream);
    client_resets.client.reset();
    server.wait_for_log("reading from client");
    const Ends nobody_speaks(site.hurried, site.upstream);
    server.wait_for_log("connection timed out");
    BOOST_TEST(ask(site.waiting) == "");
    server.wait_for_log("upstream timed out");
    BOOST_TEST(ask(site.refused) == "");
    BOOST_TEST(ask(site.refused) == "");
    server.wait_for_log("no live upstreams");
    return session_lines(server.log());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(nginx)

BOOST_AUTO_TEST_CASE(a_master_and_its_workers_behave_as_nginxs,
                     *precondition(nginx_is_there) * precondition(method_is_epoll))
{
    const Port port;
    const ServerConf conf{
        .stream = server_block(port, "return hello;"), .log_level = "notice", .workers = 1};
    const std::string module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n";
    const Story ours = live(setup().binary, conf.text());
    const Story theirs = live("/usr/sbin/nginx", module + conf.text());
    BOOST_TEST(ours.master == theirs.master, boost::test_tools::per_element());
    BOOST_TEST(ours.workers == theirs.workers, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(sessions_of_the_proxy_behave_as_nginxs,
                     *precondition(nginx_is_there) * precondition(method_is_epoll))
{
    const ComparedSite our_site;
    Server server({.stream = our_site.stream()});
    const std::vector<std::string> ours = live(our_site, server);
    const ComparedSite their_site;
    Nginx nginx(their_site.stream());
    const std::vector<std::string> theirs = live(their_site, nginx);
    BOOST_TEST(ours.size() > 20);
    BOOST_TEST(ours == theirs, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
