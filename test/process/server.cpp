#include "test/process/server.hpp"

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace ngx::test::process {

namespace {

/// The texts that mark error lines of the server and messages of a sanitizer.
constexpr std::array<std::string_view, 5> error_marks = {"[alert]", "[crit]", "[emerg]",
                                                         "runtime error:", "Sanitizer"};

bool contains_any(std::string_view line, const auto& texts)
{
    return std::ranges::any_of(texts,
                               [&](std::string_view text) { return line.find(text) != line.npos; });
}

/// Returns the error lines of all logs in the directory.
std::string error_lines(const std::filesystem::path& dir, const std::vector<std::string>& allowed)
{
    std::string found;
    for (const auto& entry : std::filesystem::directory_iterator(dir)) {
        if (entry.path().filename().string().find(".log") == std::string::npos) {
            continue;
        }
        for (const std::string& line : lines_of(read_file(entry.path()))) {
            if (contains_any(line, error_marks) && !contains_any(line, allowed)) {
                found += line + "\n";
            }
        }
    }
    return found;
}

}  // namespace

Setup& setup()
{
    static Setup setup;
    return setup;
}

Deadline patience()
{
    return deadline_in(std::chrono::seconds(60));
}

void fail(const std::string& what)
{
    throw std::runtime_error(what);
}

std::string ServerConf::text() const
{
    // Only the test's user may use its temporary directories.
    const char* const user = workers > 0 && ::geteuid() == 0 ? "user root;\n" : "";
    return fmt::format(
        "daemon {};\n"
        "{}"
        "{}"
        "pid {};\n"
        "error_log {} {};\n"
        "{}\n"
        "events {{\n"
        "    use {};\n"
        "    {} {}\n"
        "}}\n"
        "stream {{\n"
        "{}"
        "}}\n",
        daemon ? "on" : "off",
        workers > 0 ? fmt::format("worker_processes {};\n", workers) : "master_process off;\n",
        main.find("user ") == main.npos ? user : "", pid_file, log_file, log_level, main, method,
        method == setup().method ? setup().events : "", events, stream);
}

Server::Server(ServerConf conf, std::size_t open_files, std::map<std::string, std::string> env)
    : conf_(std::move(conf))
    , child_(prepare(), {.cwd = dir(), .env = std::move(env), .open_files = open_files})
{
    // The server writes the pid when the listeners are open and signals are handled.
    try {
        wait_for_text(pid_path(), "\n", patience(), 1, &child_);
        if (conf_.workers > 0) {
            wait_until("the workers serve",
                       [&] { return workers().size() == static_cast<std::size_t>(conf_.workers); });
        }
    } catch (const std::runtime_error&) {
        fail("the server has not started: " + child_.err());
    }
    const std::string method = fmt::format("using the \"{}\" event method\n", conf_.method);
    BOOST_TEST_REQUIRE(count(log(), method) == 1U, log());
    if (conf_.workers == 0) {
        // The poller is initialised after the pid is written, so not all descriptors are open
        // before the loop.
        settle();
    }
}

std::vector<std::string> Server::prepare() const
{
    write_conf(conf_);
    std::filesystem::create_directories(log_path().parent_path());
    return command();
}

void Server::kill()
{
    killed_ = true;
    const std::vector<pid_t> children = children_of(pid());
    (void)stop(SIGKILL);
    for (const pid_t child : children) {
        ::kill(child, SIGKILL);
        wait_for_end(child);
    }
}

Server::~Server()
{
    if (killed_) {
        return;
    }
    const ExitStatus status = stop(SIGTERM);
    BOOST_CHECK_MESSAGE(status.exited_with(0), "the server " << status << ": " << log());
    BOOST_CHECK_MESSAGE(!std::filesystem::exists(pid_path()), "the pid file is left");
    const std::string errors = error_lines(dir(), allowed_);
    BOOST_CHECK_MESSAGE(errors.empty(), "in the log:\n" << errors);
}

void Server::wait_for_log(std::string_view text, std::size_t times)
{
    wait_for_text(log_path(), text, patience(), times, &child_);
}

void Server::settle()
{
    // Signals are handled in order of their urgency; reopening is the last.
    const std::string done = fmt::format("{0}#{0}: reopening logs\n", pid());
    const std::size_t before = count(log(), done);
    signal(SIGUSR1);
    wait_for_log(done, before + 1);
    // The line is logged before the logs are reopened, so until the process waits again it has one
    // more descriptor.
    wait_until("the server waits", [&] { return is_asleep(pid()); });
}

void Server::reload(const ServerConf& conf)
{
    const bool same_log = conf.log_file == conf_.log_file;
    const std::string done = fmt::format("using the \"{}\" event method\n", conf.method);
    const std::size_t before = same_log ? count(log(), done) : 0;
    write_conf(conf);
    signal(SIGHUP);
    conf_ = conf;
    wait_for_log(done, before + 1);
    settle();
    if (conf_.workers > 0) {
        // The old workers were told to quit, but accept until they have received the message.
        wait_for_workers(static_cast<std::size_t>(conf_.workers));
    }
}

void Server::reload_refused(const std::string& conf_text, std::string_view message)
{
    allow(std::string(message.substr(0, message.find('\n'))));
    const std::size_t before = count(log(), message);
    write_file(conf_path(), conf_text);
    signal(SIGHUP);
    wait_for_log(message, before + 1);
    settle();
}

ExitStatus Server::stop(int number)
{
    child_.signal(number);
    return child_.wait(patience());
}

void Server::pause()
{
    // A process that is already stopped does not stop again, so the wait would not end.
    if (std::exchange(paused_, true)) {
        return;
    }
    signal(SIGSTOP);
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid()), &info, WSTOPPED) == -1) {
        fail("waitid()");
    }
}

std::filesystem::path Server::proc(std::string_view name) const
{
    return fmt::format("/proc/{}/{}", pid(), name);
}

std::size_t Server::descriptors() const
{
    return descriptors_of(pid());
}

void Server::wait_for_descriptors(std::size_t wanted)
{
    for (const Deadline deadline = patience(); descriptors() != wanted; settle()) {
        if (Clock::now() > deadline) {
            fail(fmt::format("{} descriptors are open, not {}", descriptors(), wanted));
        }
    }
}

std::chrono::milliseconds Server::cpu_time() const
{
    // The fields from 3 on, after the name of the program, which may contain any characters.
    const std::string stat = read_file(proc("stat"));
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) {
        fields >> skipped;
    }
    long utime = 0;
    long stime = 0;
    fields >> utime >> stime;
    return std::chrono::milliseconds((utime + stime) * 1000 / ::sysconf(_SC_CLK_TCK));
}

std::size_t Server::waits() const
{
    return waits_of(pid());
}

void Server::wait_for_workers(std::size_t wanted) const
{
    wait_until(fmt::format("there are {} workers", wanted),
               [&] { return workers().size() == wanted; });
}

std::vector<std::string> Server::command(std::vector<std::string> more) const
{
    std::vector<std::string> argv = {setup().binary, "-p", dir(), "-c", conf_path()};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
}

std::vector<pid_t> children_of(pid_t pid)
{
    std::vector<pid_t> children;
    std::istringstream in(read_file(fmt::format("/proc/{0}/task/{0}/children", pid)));
    for (pid_t child = 0; in >> child;) {
        children.push_back(child);
    }
    return children;
}

std::string title_of(pid_t pid)
{
    try {
        const std::string title = read_file(fmt::format("/proc/{}/cmdline", pid));
        return title.substr(0, title.find('\0'));
    } catch (const std::runtime_error&) {
        return {};
    }
}

std::vector<pid_t> workers_of(pid_t master)
{
    std::vector<pid_t> workers = children_of(master);
    std::erase_if(workers, [](pid_t child) {
        const std::string title = title_of(child);
        return !title.starts_with("ngxx: worker process") || title.ends_with("shutting down");
    });
    return workers;
}

void wait_for_end(pid_t pid)
{
    const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd.is_open()) {
        return;  // it has already ended
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(patience() - Clock::now());
    pollfd entry{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, static_cast<int>(left.count())) != 1) {
        fail(fmt::format("the process {} has not ended", pid));
    }
}

bool is_asleep(pid_t pid)
{
    const std::string stat = read_file(fmt::format("/proc/{}/stat", pid));
    return stat.find(") S ") != std::string::npos;
}

std::size_t descriptors_of(pid_t pid)
{
    const std::filesystem::directory_iterator fds(fmt::format("/proc/{}/fd", pid));
    return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
}

std::size_t memory_of(pid_t pid)
{
    constexpr std::string_view name = "\nPss:";
    const std::string rollup = read_file(fmt::format("/proc/{}/smaps_rollup", pid));
    return 1024 * std::stoul(rollup.substr(rollup.find(name) + name.size()));
}

std::size_t waits_of(pid_t pid)
{
    constexpr std::string_view name = "\nvoluntary_ctxt_switches:";
    const std::string status = read_file(fmt::format("/proc/{}/status", pid));
    return std::stoul(status.substr(status.find(name) + name.size()));
}

void wait_until(std::string_view what, const std::function<bool()>& yes)
{
    for (const Deadline deadline = patience(); !yes();) {
        if (Clock::now() > deadline) {
            fail(fmt::format("it did not come about that {}", what));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        lines.push_back(line);
    }
    return lines;
}

std::size_t count(std::string_view text, std::string_view part)
{
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) {
        n++;
    }
    return n;
}

}  // namespace ngx::test::process
