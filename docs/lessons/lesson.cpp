#include "docs/lessons/lesson.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include "core/embed.hpp"
#include "core/palloc.hpp"
#include "event/event_turn.hpp"
#include "os/unix/os.hpp"

namespace ngx::lesson {

namespace {

constexpr int exit_skipped = 77;

Msec longest_wait;
TurnHook hook;

void nothing(Event&) noexcept {}

[[noreturn]] void die(const std::string& what)
{
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

std::string replaced(std::string text, const std::string& part, const std::string& by)
{
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + by.size())) {
        text.replace(at, part.size(), by);
    }
    return text;
}

std::string new_directory()
{
    const char* const base = std::getenv("TMPDIR");
    std::string dir = std::string(base ? base : "/tmp") + "/ngxx-lesson-XXXXXX";
    if (!::mkdtemp(dir.data())) {
        die("mkdtemp() failed: " + dir);
    }
    return dir;
}

}  // namespace

void say(const char* format, ...)
{
    va_list args;
    va_start(args, format);
    std::vprintf(format, args);
    va_end(args);
    std::putchar('\n');
}

void skip(const char* why)
{
    say("%s", why);
    std::exit(exit_skipped);
}

int checked(int result, const char* call)
{
    if (result < 0) {
        die(std::string(call) + " failed: " + std::strerror(errno));
    }
    return result;
}

Loop::Loop(const std::string& conf, Start start) : dir_(new_directory())
{
    std::signal(SIGPIPE, SIG_IGN);

    Cycle* const first = init_library();
    if (!first) {
        die("the library cannot start");
    }
    first->conf_text = complete(conf);
    cycle_ = start == Start::worker ? start_cycle(*first) : init_cycle(first);
    if (!cycle_) {
        die("the configuration is invalid");
    }
    ngx_cycle = cycle_;
    hook.before = [](TurnHook&, Msec timer) noexcept { return std::min(timer, longest_wait); };
    add_turn_hook(hook);
    (void)log();  // skips the lines of the start
}

Loop::~Loop()
{
    del_turn_hook(hook);
    stop_cycle(*cycle_);
    std::filesystem::remove_all(dir_);
}

std::string Loop::complete(const std::string& conf) const
{
    return replaced("error_log DIR/error.log notice; " + conf, "DIR", dir_);
}

bool Loop::reload(const std::string& conf)
{
    cycle_->conf_text = complete(conf);
    Cycle* const fresh = start_cycle(*cycle_);
    cycle_ = fresh ? fresh : cycle_;
    return fresh != nullptr;
}

void Loop::turn(Msec longest)
{
    longest_wait = longest;
    process_events_and_timers(*cycle_);
}

std::string Loop::log()
{
    std::ifstream file(path("error.log"));
    file.seekg(static_cast<std::streamoff>(seen_));
    std::string text;
    for (std::string line; std::getline(file, line); seen_ += line.size() + 1) {
        // 2026/11/25 12:00:00 [level] PID#TID: TEXT
        const std::size_t level = line.find('[');
        const std::size_t end = line.find(']');
        const std::size_t said = line.find(": ", end);
        text += text.empty() ? "  " : "\n  ";
        text += line.substr(level, end + 1 - level) + line.substr(said + 1);
    }
    return replaced(text, dir_, "DIR");
}

void set_handlers(Connection& c, EventHandler read)
{
    c.recv = io.recv;
    c.send = io.send;
    c.read->handler = read;
    c.write->handler = nothing;
    c.read->log = c.log;
    c.write->log = c.log;
}

Pair open_pair(EventHandler read)
{
    int s[2];
    checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), "socketpair");
    Connection* const c = get_connection(s[0], ngx_cycle->log);
    if (!c) {
        die("no slot is free");
    }
    set_handlers(*c, read);
    return {c, s[1]};
}

int connect_to(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const int fd = checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    checked(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), "connect");
    return fd;
}

void close_accepted(Connection& c) noexcept
{
    Pool* const pool = c.pool;
    close_connection(c);
    destroy_pool(pool);
}

void send_text(int peer, const std::string& text)
{
    checked(static_cast<int>(::write(peer, text.data(), text.size())), "write");
}

Ends::Ends()
{
    int s[2];
    checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), "socketpair");
    fd_ = s[0];
    peer_ = s[1];
}

Ends::~Ends()
{
    close_ours();
    close_peer();
}

void Ends::close_ours()
{
    if (fd_ != -1) {
        ::close(std::exchange(fd_, -1));
    }
}

void Ends::close_peer()
{
    if (peer_ != -1) {
        ::close(std::exchange(peer_, -1));
    }
}

std::string what_recv_gives(int fd)
{
    char buf[64];
    const ssize_t n = ::recv(fd, buf, sizeof(buf), 0);
    return n == -1 && errno == EAGAIN ? "EAGAIN" : std::to_string(n);
}

void Checker::same(int exercise, const std::string& situation, long long right, long long answer)
{
    same(exercise, situation, std::to_string(right), std::to_string(answer));
}

void Checker::same(int exercise, const std::string& situation, const std::string& right,
                   const std::string& answer)
{
    asked_[exercise] = true;
    if (right != answer && wrong_[exercise].empty()) {
        wrong_[exercise] = situation + ": expected " + right + ", seen " + answer;
    }
}

bool Checker::report(int only) const
{
    bool solved = true;
    bool any = false;
    for (int n = 1; n <= max_exercises; n++) {
        if (!asked_[n] || (only != 0 && n != only)) {
            continue;
        }
        any = true;
        solved = solved && wrong_[n].empty();
        const std::string how = wrong_[n].empty() ? "solved" : "not yet. " + wrong_[n];
        say("exercise %d: %s", n, how.c_str());
    }
    if (!any) {
        say("exercise %d does not exist", only);
    }
    return solved && any;
}

int run(int argc, char** argv, void (*show)(), void (*check)(Checker& checker))
{
    if (argc == 1) {
        show();
        return 0;
    }
    if (std::strcmp(argv[1], "--check") != 0 || argc > 3) {
        std::fprintf(stderr, "usage: %s [--check [EXERCISE]]\n", argv[0]);
        return 2;
    }
    Checker checker;
    check(checker);
    return checker.report(argc == 3 ? std::atoi(argv[2]) : 0) ? 0 : 1;
}

}  // namespace ngx::lesson
