#include "test/event/contract/service.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "core/nginx.hpp"

namespace ngx::contract {

namespace {

int checked(int result, const char* what)
{
    if (result == -1) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return result;
}

void set_limit(__rlimit_resource resource, rlim_t value)
{
    rlimit limit{};
    ::getrlimit(resource, &limit);
    limit.rlim_cur = std::min(value, limit.rlim_max);
    ::setrlimit(resource, &limit);
}

}  // namespace

std::string receive(const Client& client, std::size_t size)
{
    try {
        return size == std::string::npos ? client.receive_all() : client.receive(size);
    } catch (const std::system_error& e) {
        return fmt::format("[{}]", e.code().message());
    }
}

Service::Service(const Subject& subject, Verdict& verdict, const ServiceConf& conf)
    : subject_(subject)
    , verdict_(verdict)
    , conf_(conf)
    , told_(SOCK_STREAM)
    , echo_(SOCK_STREAM)
    , proxy_(SOCK_STREAM)
    , header_(SOCK_STREAM)
    , datagrams_(SOCK_DGRAM)
{
    write_conf();
    std::fflush(nullptr);
    pid_ = checked(::fork(), "fork()");
    if (pid_ == 0) {
        run_server();
    }
    ::setpgid(pid_, pid_);
    pidfd_ = test::Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    wait_for_start();
}

Service::~Service()
{
    ::kill(-pid_, SIGKILL);
    if (status_ == -1) {
        ::waitpid(pid_, &status_, 0);
    }
}

void Service::write_conf() const
{
    std::string text;
    for (const std::string& file : subject_.load_modules) {
        text += fmt::format("load_module \"{}\";\n", file);
    }
    text += ::geteuid() == 0 && conf_.workers != 0 ? "user root;\n" : "";
    text += conf_.workers == 0 ? "master_process off;\n"
                               : fmt::format("worker_processes {};\n", conf_.workers);
    text += fmt::format("daemon off; pid pid; error_log error.log info;\n"
                        "events {{ use {}; worker_connections 256; {} {} }}\nstream {{\n",
                        subject_.use, subject_.events, conf_.events);
    const auto server = [&](const Port& port, std::string_view listen, std::string_view content) {
        text +=
            fmt::format("server {{ listen 127.0.0.1:{} {}; {} }}\n", port.text(), listen, content);
    };
    server(told_, conf_.listen, fmt::format("return 'generation {}';", generation_));
    server(echo_, conf_.listen, "echo;");
    server(proxy_, conf_.listen,
           fmt::format("proxy_pass 127.0.0.1:{}; proxy_half_close on;", echo_.text()));
    server(header_, fmt::format("{} proxy_protocol", conf_.listen),
           "return '$proxy_protocol_addr';");
    server(datagrams_, "udp", "echo;");
    test::write_file(dir_ / "nginx.conf", text + "}\n");
}

/// Runs the server in its own process group. Its arguments are adjacent in memory, as the kernel
/// places them.
void Service::run_server() const
{
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
    for (const char* name : {"NGINX", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"}) {
        ::unsetenv(name);
    }
    if (conf_.small_limits) {
        set_limit(RLIMIT_NOFILE, 300);
        set_limit(RLIMIT_SIGPENDING, 16);
    }

    const std::string dir = dir_.path().string() + "/";
    std::string line;
    std::vector<std::size_t> starts;
    for (const std::string& word :
         {std::string("ngxx"), std::string("-p"), dir, std::string("-c"), std::string("nginx.conf"),
          std::string("-e"), std::string("error.log")}) {
        starts.push_back(line.size());
        line += word + '\0';
    }
    std::vector<char*> words;
    for (const std::size_t start : starts) {
        words.push_back(line.data() + start);
    }
    words.push_back(nullptr);
    std::exit(main(static_cast<int>(starts.size()), words.data()));
}

/// Waits for the pid file, which is written when all listeners are open and signals are handled.
void Service::wait_for_start()
{
    const std::filesystem::path file = dir_ / "pid";
    const test::Deadline deadline = test::deadline_in(subject_.patience);
    while (!std::filesystem::exists(file) || !test::read_file(file).ends_with('\n')) {
        if (wait_for_end(1) || test::Clock::now() > deadline) {
            throw std::runtime_error("the server does not start: " + log());
        }
    }
}

std::string Service::log() const
{
    const std::filesystem::path file = dir_ / "error.log";
    return std::filesystem::exists(file) ? test::read_file(file) : "";
}

Client Service::client(const Port& port, int type) const
{
    return Client(port, "127.0.0.1", {.type = type, .patience = subject_.patience});
}

void Service::serves()
{
    // Connects first, and sends its header when the others have been served.
    const Client with_header = client(header_);
    // A worker of the configuration before may not have closed its listeners yet.
    const std::string told = receive(client(told_));
    if (conf_.workers == 0 || told != fmt::format("generation {}", generation_ - 1)) {
        verdict_.same("a text", told, fmt::format("generation {}", generation_));
    }
    for (const Port* port : {&echo_, &proxy_}) {
        const Client client = this->client(*port);
        const std::string text(50'000, port == &echo_ ? 'e' : 'p');
        for (int i = 0; i < 2; i++) {
            client.send(text);
            verdict_.expect(receive(client, text.size()) == text,
                            port == &echo_
                                ? "the echo is the data that was sent"
                                : "the echo is the data that was sent through the proxy");
        }
    }
    const Client datagram = client(datagrams_, SOCK_DGRAM);
    datagram.send("datagram");
    verdict_.same("a datagram's echo", receive(datagram, 8), "datagram");
    with_header.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    verdict_.same("a text after a header", receive(with_header), "192.0.2.1");
}

void Service::pause() const
{
    ::kill(pid_, SIGSTOP);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOWAIT);
}

void Service::resume() const
{
    ::kill(pid_, SIGCONT);
}

void Service::reload()
{
    generation_++;
    write_conf();
    ::kill(pid_, SIGHUP);

    const std::string wanted = fmt::format("generation {}", generation_);
    const test::Deadline deadline = test::deadline_in(subject_.patience);
    std::string seen;
    while (seen != wanted && test::Clock::now() < deadline && !wait_for_end(1)) {
        seen = receive(client(told_));
    }
    verdict_.same("a text after the reload", seen, wanted);
}

bool Service::wait_for_end(int milliseconds)
{
    pollfd entry{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    if (status_ == -1 && ::poll(&entry, 1, milliseconds) == 1) {
        ::waitpid(pid_, &status_, 0);
    }
    return status_ != -1;
}

void Service::stop()
{
    ::kill(pid_, SIGQUIT);
    if (!wait_for_end(static_cast<int>(subject_.patience.count()))) {
        verdict_.expect(false, "the server exits after SIGQUIT");
    } else if (WIFSIGNALED(status_)) {
        verdict_.expect(false, fmt::format("the server exits; seen: signal {} ({})",
                                           WTERMSIG(status_), ::strsignal(WTERMSIG(status_))));
    } else {
        verdict_.same("the server's exit status", WEXITSTATUS(status_), 0);
    }
    check_log();
}

void Service::check_log()
{
    std::istringstream lines(log());
    for (std::string line; std::getline(lines, line);) {
        for (const char* level : {"[emerg]", "[alert]", "[crit]"}) {
            if (line.find(level) != line.npos) {
                verdict_.expect(false, "the server logs no alert; seen: " + line);
            }
        }
    }
}

}  // namespace ngx::contract
