#include "core/cycle.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/errlog_module.hpp"
#include "core/module.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_core_module.hpp"
#include "event/event_timer.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"
#include "test/core/fixture.hpp"
#include "test/core/socket_option.hpp"
#include "test/support/cycle.hpp"
#include "test/support/forked.hpp"

namespace ngx::test {

namespace {

namespace fs = std::filesystem;

constexpr Msec clean_interval = 30'000;

/// A cycle whose pid and lock files are in its directory.
struct Running : TestCycle {
    explicit Running(const std::string& conf = "", Start start = Start::conf)
        : TestCycle(with_events(conf), start)
    {
        BOOST_TEST_REQUIRE(ok(), log());
    }

    ~Running()
    {
        test_config = false;
        process = Process::single;
    }

    static std::string with_events(const std::string& conf) { return conf + "\nevents {}"; }

    /// Reloads with the events block that every configuration needs.
    bool read(const std::string& conf) { return reload(with_events(conf)); }

    /// Returns the log lines of a level, without the directory's name.
    [[nodiscard]] std::string said(std::string_view level) const
    {
        std::string text = messages(log(), level);
        const std::string prefix = dir().path().string() + "/";
        for (std::size_t at = text.find(prefix); at != text.npos; at = text.find(prefix)) {
            text.erase(at, prefix.size());
        }
        return text;
    }

    [[nodiscard]] bool exists(std::string_view name) const { return fs::exists(dir() / name); }
    [[nodiscard]] std::string text(std::string_view name) const { return read_file(dir() / name); }
};

struct Worker : Running {
    explicit Worker(const std::string& conf = "") : Running(conf, Start::worker) {}
};

/// Lets the configurations of a test have listeners.
struct Listens {
    TestListen directive{};
    std::string a = "127.0.0.1:" + std::to_string(free_port());
    std::string b = "127.0.0.1:" + std::to_string(free_port());

    static std::string listen(const std::string& address, const std::string& options = "")
    {
        return "test_listen " + address + " " + options + ";\n";
    }
};

const Listening* find_listening(const Cycle& cycle, std::string_view address)
{
    const auto found = std::ranges::find(cycle.listening, address, &Listening::addr_text);
    return found == cycle.listening.end() ? nullptr : &*found;
}

bool accepts(const std::string& address)
{
    Addr addr;
    BOOST_TEST_REQUIRE((parse_addr_port(addr, address) == Rc::ok));
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(fd.get(), &addr.sockaddr.any, addr.socklen) == 0;
}

/// Makes the timers of the next `ms` expire.
void expire(Msec ms)
{
    current_msec += ms;
    event_expire_timers();
}

/// During its lifetime configurations may have `test_zone NAME SIZE [other] [noreuse] [fail];`:
/// zones of one of two modules.
class Zones {
public:
    Zones() : commands_(errlog_module.commands.begin(), errlog_module.commands.end())
    {
        commands_.push_back({.name = "test_zone", .type = main_conf | conf_1more, .set = declare});
        errlog_module.commands = commands_;
        inits = {};
    }
    Zones(const Zones&) = delete;
    Zones& operator=(const Zones&) = delete;
    ~Zones() { errlog_module.commands = before_; }

    /// A call of a zone's init.
    struct Init {
        const void* addr;
        const void* old_data;
        const void* data;
    };
    static inline std::vector<Init> inits{};

private:
    static const char* declare(Conf& cf, const Command&, void*)
    {
        static const char tags[2] = {};
        const auto has = [&](std::string_view word) {
            return std::ranges::find(cf.args, word) != cf.args.end();
        };
        const auto size = static_cast<std::size_t>(*atoi(cf.args[2]));
        ShmZone* const zone = shared_memory_add(cf, cf.args[1], size, &tags[has("other")]);
        if (!zone) {
            return conf_error;
        }
        zone->noreuse = has("noreuse");
        zone->init = has("fail") ? [](ShmZone&, void*) { return Rc::error; } : init;
        return conf_ok;
    }

    static Rc init(ShmZone& zone, void* old_data)
    {
        zone.data = &zone;
        inits.push_back({.addr = zone.shm.addr, .old_data = old_data, .data = zone.data});
        return Rc::ok;
    }

    std::vector<Command> commands_;
    std::span<const Command> before_ = errlog_module.commands;
};

/// A cycle with zones.
struct Zoned {
    explicit Zoned(const std::string& conf, Start start = Start::conf) : cycle(conf, start) {}

    [[nodiscard]] const ShmZone& zone() const { return cycle->shared_memory.front(); }

    Zones directive{};
    Running cycle;
};

bool is_mapped(const void* page)
{
    return ::msync(const_cast<void*>(page), pagesize, MS_ASYNC) == 0;
}

/// The precondition of tests that change the owner of files.
boost::test_tools::assertion_result is_root(boost::unit_test::test_unit_id)
{
    return ::geteuid() == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cycle)

BOOST_AUTO_TEST_SUITE(the_first_cycle)

BOOST_AUTO_TEST_CASE(it_has_the_host_name_in_lower_case)
{
    std::array<char, 256> name{};
    BOOST_TEST(::gethostname(name.data(), name.size() - 1) == 0);
    std::string wanted = name.data();
    std::ranges::transform(wanted, wanted.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    BOOST_TEST(Running()->hostname == wanted);
}

BOOST_AUTO_TEST_CASE(it_has_opened_its_logs_and_nothing_else)
{
    const std::size_t before = open_descriptors();
    const Running cycle("pid p; lock_file l;");
    BOOST_TEST(open_descriptors() == before + 1);
    BOOST_TEST(cycle.exists("error.log"));
    BOOST_TEST(!cycle.exists("p"));
    BOOST_TEST(!cycle.exists("l.accept"));
    BOOST_TEST(cycle->log == &cycle->new_log);
    BOOST_TEST(cycle->old_cycle == nullptr);
}

BOOST_AUTO_TEST_CASE(files_are_created_for_their_owner_and_opened_to_append)
{
    const Running cycle("error_log a info; error_log b;");
    for (const OpenFile& file : cycle->open_files) {
        struct stat info {};
        BOOST_TEST(::fstat(file.fd, &info) == 0);
        BOOST_TEST((info.st_mode & 0777U & ~0644U) == 0U);
        BOOST_TEST((::fcntl(file.fd, F_GETFL) & O_APPEND) != 0);
        BOOST_TEST(::fcntl(file.fd, F_GETFD) == FD_CLOEXEC);
    }
    BOOST_TEST(cycle->open_files.size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_process_that_only_sends_a_signal_opens_nothing)
{
    const std::size_t before = open_descriptors();
    process = Process::signaller;
    const Running cycle("pid p;");
    BOOST_TEST(open_descriptors() == before);
    BOOST_TEST(!cycle.exists("error.log"));
    BOOST_TEST(*get_conf<CoreConf>(cycle->conf_ctx)->pid == (cycle.dir() / "p").string());
}

BOOST_AUTO_TEST_CASE(a_test_of_the_configuration_creates_an_empty_pid_file)
{
    const std::string said = answer_of_child([] {
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        quiet_mode = true;
        test_config = true;
        const Running cycle("pid p;");
        return cycle.exists("p") ? "[" + cycle.text("p") + "]" : "none";
    });
    BOOST_TEST(said == "[]");
}

Rc fail(Cycle&)
{
    return Rc::error;
}

BOOST_AUTO_TEST_CASE(a_module_that_cannot_start_refuses_the_configuration)
{
    const std::string said = answer_of_child([] {
        Running cycle;
        errlog_module.init_module = fail;
        const bool read = cycle.read("");
        errlog_module.init_module = nullptr;
        return fmt::format("{} {}", read, cycle.read(""));
    });
    BOOST_TEST(said == "false true");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_pid_file)

BOOST_AUTO_TEST_CASE(it_contains_the_process_id_only)
{
    const TempDir dir;
    TestLog log;
    const std::string name = dir / "pid";
    ngx::pid = ::getpid();
    write_file(name, "something longer than a number\n");
    BOOST_TEST((create_pidfile(name, &log.log) == Rc::ok));
    BOOST_TEST(read_file(name) == std::to_string(::getpid()) + "\n");
    BOOST_TEST(log.text == "");
}

BOOST_AUTO_TEST_CASE(a_test_of_the_configuration_leaves_what_is_in_it)
{
    const TempDir dir;
    TestLog log;
    const std::string name = dir / "pid";
    write_file(name, "123\n");
    test_config = true;
    BOOST_TEST((create_pidfile(name, &log.log) == Rc::ok));
    BOOST_TEST((create_pidfile((dir / "new").string(), &log.log) == Rc::ok));
    test_config = false;
    BOOST_TEST(read_file(name) == "123\n");
    BOOST_TEST(read_file(dir / "new") == "");
}

BOOST_AUTO_TEST_CASE(a_worker_writes_none)
{
    const TempDir dir;
    TestLog log;
    process = Process::worker;
    BOOST_TEST((create_pidfile((dir / "pid").string(), &log.log) == Rc::ok));
    process = Process::single;
    BOOST_TEST(!fs::exists(dir / "pid"));
}

BOOST_AUTO_TEST_CASE(one_that_cannot_be_written_is_an_error_with_advice)
{
    TestLog log;
    BOOST_TEST((create_pidfile("/none/pid", &log.log) == Rc::error));
    BOOST_TEST(messages(log.text) ==
               "[emerg] open() \"/none/pid\" failed (set another by -g \"pid FILE;\" or in the "
               "configuration) (2: No such file or directory)\n");
    log.text.clear();
    BOOST_TEST((create_pidfile("/dev/full", &log.log) == Rc::error));
    BOOST_TEST(messages(log.text) ==
               "[crit] write() \"/dev/full\" failed (28: No space left on device)\n");
}

BOOST_AUTO_TEST_CASE(it_is_deleted_by_its_name)
{
    const Running cycle("pid p;");
    write_file(cycle.dir() / "p", "1\n");
    delete_pidfile(*cycle);
    BOOST_TEST(!cycle.exists("p"));
    delete_pidfile(*cycle);
    BOOST_TEST(cycle.said("alert") ==
               "[alert] unlink() \"p\" failed (2: No such file or directory)\n");
}

BOOST_AUTO_TEST_CASE(a_reload_writes_it_again_only_under_a_new_name)
{
    Running cycle("pid p;");
    write_file(cycle.dir() / "p", "left alone\n");
    BOOST_TEST_REQUIRE(cycle.read("pid p;"));
    BOOST_TEST(cycle.text("p") == "left alone\n");

    BOOST_TEST_REQUIRE(cycle.read("pid q;"));
    BOOST_TEST(!cycle.exists("p"));
    BOOST_TEST(cycle.text("q") == std::to_string(::getpid()) + "\n");

    BOOST_TEST(!cycle.read("pid none/p;"));
    BOOST_TEST(cycle.text("q") == std::to_string(::getpid()) + "\n");
    BOOST_TEST(cycle.said("emerg") ==
               "[emerg] open() \"none/p\" failed (set another by -g \"pid FILE;\" or in the "
               "configuration) (2: No such file or directory)\n");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(a_signal_to_a_running_server)

/// Returns the result of signal_process() with this content of the pid file.
int signal(const Running& cycle, std::string_view pid_file, std::string_view name = "stop")
{
    write_file(cycle.dir() / "p", pid_file);
    return signal_process(*cycle, name);
}

BOOST_AUTO_TEST_CASE(the_signal_is_sent_to_the_process_of_the_pid_file)
{
    const Running cycle("pid p;");
    const std::vector<std::pair<std::string, int>> table = {
        {"stop", SIGTERM}, {"quit", SIGQUIT}, {"reload", SIGHUP}, {"reopen", SIGUSR1}};
    for (const auto& [name, signo] : table) {
        Child child({"sleep", "100"});
        BOOST_TEST(signal(cycle, std::to_string(child.pid()) + "\r\n\n", name) == 0);
        const ExitStatus end = child.wait(deadline_in(std::chrono::seconds(60)));
        BOOST_TEST((end.signal == signo), name << ": " << end);
    }
    BOOST_TEST(cycle.said("error") == "");
    BOOST_TEST(cycle.said("notice").ends_with("[notice] signal process started\n"));
}

BOOST_AUTO_TEST_CASE(a_pid_file_must_hold_a_number)
{
    const Running cycle("pid p;");
    std::string wanted;
    for (const std::string text : {"", "x", "12x", "-1", "1 ", "99999999999", "4294967297"}) {
        BOOST_TEST(signal(cycle, text) == 1);
        BOOST_TEST(signal(cycle, text + "\n") == 1);
        const std::string line = "[error] invalid PID number \"" + text + "\" in \"p\"\n";
        wanted += line + line;
    }
    BOOST_TEST(cycle.said("error") == wanted);
}

BOOST_AUTO_TEST_CASE(the_pid_file_and_its_process_must_exist)
{
    const Running cycle("pid p;");
    BOOST_TEST(signal_process(*cycle, "stop") == 1);
    BOOST_TEST(cycle.said("error") ==
               "[error] open() \"p\" failed (2: No such file or directory)\n");

    Child child({"true"});
    child.wait(deadline_in(std::chrono::seconds(60)));
    BOOST_TEST(signal(cycle, std::to_string(child.pid()) + "\n") == 1);
    BOOST_TEST(cycle.said("alert") ==
               fmt::format("[alert] kill({}, 15) failed (3: No such process)\n", child.pid()));

    fs::remove(cycle.dir() / "p");
    fs::create_directory(cycle.dir() / "p");
    BOOST_TEST(signal_process(*cycle, "stop") == 1);
    BOOST_TEST(cycle.said("crit") == "[crit] read() \"p\" failed (21: Is a directory)\n");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(a_reload_that_fails)

BOOST_AUTO_TEST_CASE(the_old_cycle_goes_on_and_nothing_is_leaked)
{
    const Listens l;
    const std::string good = "pid p;" + Listens::listen(l.a);
    Worker cycle(good);
    Cycle* const before = &*cycle;
    const std::size_t descriptors = open_descriptors();
    const std::size_t timers = event_timer_rbtree.size();

    for (const std::string bad : {
             "none;",
             "events {} events {}",
             "error_log a; error_log none/b;",
             "pid none/p;",
             "error_log x; test_listen 127.0.0.1:0;",
         }) {
        const std::string conf = Listens::listen(l.b) + good + bad;
        BOOST_TEST(!cycle.read(conf), bad);
    }
    // Everything before succeeds, and the last listener has an address that this host does not
    // have.
    BOOST_TEST(!cycle.read(good + Listens::listen(l.b) + Listens::listen("192.0.2.1:1")));

    BOOST_TEST(&*cycle == before);
    BOOST_TEST(ngx_cycle == before);
    BOOST_TEST(open_descriptors() == descriptors);
    BOOST_TEST(event_timer_rbtree.size() == timers);
    BOOST_TEST(old_cycles.empty());
    BOOST_TEST(accepts(l.a));
    BOOST_TEST(!accepts(l.b));
    log_error(log_err, cycle->log, 0, "still here");
    BOOST_TEST(cycle.said("error") == "[error] still here\n");
}

BOOST_AUTO_TEST_CASE(errors_go_to_the_log_of_the_old_cycle)
{
    Running cycle;
    BOOST_TEST(!cycle.read("error_log other;\nnone;"));
    BOOST_TEST(cycle.said("emerg") == "[emerg] unknown directive \"none\" in nginx.conf:2\n");
    BOOST_TEST(!cycle.read("error_log other; error_log none/x;"));
    BOOST_TEST(cycle.said("emerg").ends_with(
        "[emerg] open() \"none/x\" failed (2: No such file or directory)\n"));
    BOOST_TEST(!cycle.reload("error_log other;"));
    BOOST_TEST(cycle.said("emerg").ends_with("[emerg] no \"events\" section in configuration\n"));
}

BOOST_AUTO_TEST_CASE(after_one_that_failed_another_may_succeed)
{
    const Listens l;
    Worker cycle(Listens::listen(l.a));
    BOOST_TEST(!cycle.read(Listens::listen(l.a) + Listens::listen("192.0.2.1:1")));
    BOOST_TEST_REQUIRE(cycle.read(Listens::listen(l.b)));
    BOOST_TEST(!accepts(l.a));
    BOOST_TEST(accepts(l.b));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(listeners_over_a_reload, Listens)

BOOST_AUTO_TEST_CASE(one_that_stays_keeps_its_socket)
{
    Worker cycle(listen(a) + listen(b));
    const int fd_a = find_listening(*cycle, a)->fd;
    const int fd_b = find_listening(*cycle, b)->fd;
    BOOST_TEST_REQUIRE(cycle.read(listen(b) + listen(a)));
    BOOST_TEST(find_listening(*cycle, a)->fd == fd_a);
    BOOST_TEST(find_listening(*cycle, b)->fd == fd_b);
    BOOST_TEST(!find_listening(*cycle, a)->open);
    BOOST_TEST(accepts(a));
    BOOST_TEST(accepts(b));
}

BOOST_AUTO_TEST_CASE(a_removed_one_is_closed_and_a_new_one_is_opened)
{
    Worker cycle(listen(a));
    const std::size_t before = open_descriptors();
    BOOST_TEST_REQUIRE(cycle.read(listen(b)));
    BOOST_TEST(!accepts(a));
    BOOST_TEST(accepts(b));
    BOOST_TEST(find_listening(*cycle, a) == nullptr);
    // The old cycle's log stays open with it.
    BOOST_TEST(open_descriptors() == before + 1);
    BOOST_TEST_REQUIRE(cycle.read(""));
    BOOST_TEST(!accepts(b));
}

BOOST_AUTO_TEST_CASE(one_that_stays_is_watched_by_the_new_cycle_only)
{
    Worker cycle(listen(a));
    Cycle& old = *cycle;
    const Connection* const watching = old.listening.front().connection;
    BOOST_TEST_REQUIRE(cycle.read(listen(a)));
    BOOST_TEST(old.listening.front().connection == nullptr);
    BOOST_TEST(watching->fd == invalid_socket);
    BOOST_TEST(!watching->read->active);

    const Listening& ls = cycle->listening.front();
    BOOST_TEST_REQUIRE(ls.connection);
    BOOST_TEST((ls.connection->read->active == 1));
    BOOST_TEST(ls.connection->fd == ls.fd);
}

BOOST_AUTO_TEST_CASE(a_backlog_changes_while_the_socket_stays)
{
    Running cycle(listen(a, "backlog=5"));
    const int fd = find_listening(*cycle, a)->fd;
    BOOST_TEST(backlog_of(fd) == 5U);
    BOOST_TEST_REQUIRE(cycle.read(listen(a, "backlog=3")));
    BOOST_TEST(find_listening(*cycle, a)->fd == fd);
    BOOST_TEST(backlog_of(fd) == 3U);
}

BOOST_AUTO_TEST_CASE(deferred_accept_is_set_and_cleared_while_the_socket_stays)
{
    Running cycle(listen(a));
    const int fd = find_listening(*cycle, a)->fd;
    const auto deferred = [&] { return option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT); };
    BOOST_TEST(deferred() == 0);
    BOOST_TEST_REQUIRE(cycle.read(listen(a, "deferred")));
    BOOST_TEST(deferred() > 0);
    BOOST_TEST_REQUIRE(cycle.read(listen(a, "deferred")));
    BOOST_TEST(deferred() > 0);
    BOOST_TEST_REQUIRE(cycle.read(listen(a)));
    BOOST_TEST(deferred() == 0);

    Running other(listen(b, "deferred"));
    BOOST_TEST(option(find_listening(*other, b)->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
}

BOOST_AUTO_TEST_CASE(reuseport_is_added_while_the_socket_stays)
{
    Running cycle(listen(a));
    const int fd = find_listening(*cycle, a)->fd;
    BOOST_TEST(option(fd, SOL_SOCKET, SO_REUSEPORT) == 0);
    BOOST_TEST_REQUIRE(cycle.read(listen(a, "reuseport")));
    BOOST_TEST(find_listening(*cycle, a)->fd == fd);
    BOOST_TEST(option(fd, SOL_SOCKET, SO_REUSEPORT) == 1);
}

BOOST_AUTO_TEST_CASE(a_removed_unix_socket_is_deleted)
{
    const TempDir dir;
    const std::string path = dir / "socket";
    const std::string kept = dir / "kept";
    Running cycle(listen("unix:" + path) + listen("unix:" + kept));
    BOOST_TEST(fs::exists(path));
    BOOST_TEST_REQUIRE(cycle.read(listen("unix:" + kept)));
    BOOST_TEST(!fs::exists(path));
    BOOST_TEST(fs::exists(kept));
    BOOST_TEST(cycle.said("warn") == "[warn] deleting socket " + path + "\n");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(logs)

BOOST_AUTO_TEST_CASE(a_file_that_was_renamed_is_opened_again_under_its_name)
{
    const KeepStderr kept;
    const Running cycle;
    log_error(log_err, cycle->log, 0, "one");
    fs::rename(cycle.dir() / "error.log", cycle.dir() / "error.log.1");
    log_error(log_err, cycle->log, 0, "two");

    const std::size_t before = open_descriptors();
    reopen_files(*cycle, static_cast<uid_t>(-1));
    log_error(log_err, cycle->log, 0, "three");
    BOOST_TEST(messages(cycle.text("error.log.1"), "error") == "[error] one\n[error] two\n");
    BOOST_TEST(messages(cycle.text("error.log"), "error") == "[error] three\n");
    BOOST_TEST(open_descriptors() == before);
    BOOST_TEST(::fcntl(cycle->new_log.file->fd, F_GETFD) == FD_CLOEXEC);
}

void note_flush(OpenFile& file, Log*)
{
    ++*static_cast<int*>(file.data);
}

BOOST_AUTO_TEST_CASE(a_file_is_flushed_before_it_is_opened_again)
{
    const KeepStderr kept;
    const Running cycle;
    int flushed = 0;
    cycle->new_log.file->flush = note_flush;
    cycle->new_log.file->data = &flushed;
    reopen_files(*cycle, static_cast<uid_t>(-1));
    BOOST_TEST(flushed == 1);
}

BOOST_AUTO_TEST_CASE(a_file_whose_flush_throws_does_not_keep_others_from_reopening)
{
    const KeepStderr kept;
    const TempDir logs;
    const Running cycle("error_log " + (logs / "a").string() + "; error_log " +
                        (logs / "b").string() + ";");
    cycle->new_log.file->flush = [](OpenFile&, Log*) { throw std::bad_alloc(); };
    const auto reopen = [&] {
        fs::remove(logs / "a");
        fs::remove(logs / "b");
        reopen_files(*cycle, static_cast<uid_t>(-1));
    };
    reopen();
    BOOST_TEST(!fs::exists(logs / "a"));
    BOOST_TEST(fs::exists(logs / "b"));

    cycle->new_log.file->flush = nullptr;
    reopen();
    BOOST_TEST(fs::exists(logs / "a"));
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_opened_again_stays_what_it_was)
{
    const KeepStderr kept;
    const TempDir logs;
    fs::create_directory(logs / "sub");
    const std::string name = logs / "sub/a";
    const Running cycle("error_log " + name + ";");
    fs::rename(logs / "sub", logs / "moved");

    const int fd = cycle->new_log.file->fd;
    reopen_files(*cycle, static_cast<uid_t>(-1));
    BOOST_TEST(cycle->new_log.file->fd == fd);
    BOOST_TEST(messages(read_file(logs / "moved/a"), "emerg") ==
               "[emerg] open() \"" + name + "\" failed (2: No such file or directory)\n");
}

BOOST_AUTO_TEST_CASE(a_reopened_file_becomes_its_users_who_may_read_and_write,
                     *boost::unit_test::precondition(is_root))
{
    const KeepStderr kept;
    const Running cycle;
    constexpr uid_t user = 12345;
    const std::string name = cycle.dir() / "error.log";
    ::chmod(name.c_str(), 0044);
    reopen_files(*cycle, user);

    struct stat info {};
    BOOST_TEST(::stat(name.c_str(), &info) == 0);
    BOOST_TEST(info.st_uid == user);
    BOOST_TEST((info.st_mode & 0777) == 0644U);
    BOOST_TEST(cycle.said("emerg") == "");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(what_a_reload_takes_over)

BOOST_AUTO_TEST_CASE(the_lock_file_cannot_change)
{
    Running cycle("lock_file l;");
    const std::string lock_file = cycle.dir() / "l.accept";
    BOOST_TEST(cycle->lock_file == lock_file);
    BOOST_TEST_REQUIRE(cycle.read("lock_file l;"));
    BOOST_TEST(cycle.said("emerg") == "");
    BOOST_TEST_REQUIRE(cycle.read("lock_file other;"));
    BOOST_TEST(cycle->lock_file == lock_file);
    BOOST_TEST(cycle.said("emerg") == "[emerg] \"lock_file\" could not be changed, ignored\n");
}

BOOST_AUTO_TEST_CASE(paths_and_the_g_option_stay)
{
    Running cycle;
    cycle->conf_param = "worker_priority 7;";
    const std::string prefix = cycle->prefix;
    BOOST_TEST_REQUIRE(cycle.read(""));
    BOOST_TEST(cycle->prefix == prefix);
    BOOST_TEST(cycle->conf_prefix == prefix);
    BOOST_TEST(cycle->conf_file == prefix + "nginx.conf");
    BOOST_TEST(cycle->error_log == "error.log");
    BOOST_TEST(get_conf<CoreConf>(cycle->conf_ctx)->priority == 7);
}

BOOST_AUTO_TEST_CASE(an_index_of_a_module_stays)
{
    Running cycle;
    const std::size_t index = event_core_module.ctx_index;
    BOOST_TEST_REQUIRE(cycle.read(""));
    BOOST_TEST(event_core_module.ctx_index == index);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(old_cycles_without_a_master)

BOOST_AUTO_TEST_CASE(one_without_connections_is_destroyed_by_the_next_cleaning)
{
    Worker cycle;
    const std::size_t before = open_descriptors();
    BOOST_TEST_REQUIRE(cycle.read(""));
    BOOST_TEST(old_cycles.size() == 1U);
    BOOST_TEST(cycle->old_cycle == old_cycles.front());
    BOOST_TEST(open_descriptors() == before + 1);

    expire(clean_interval - 1);
    BOOST_TEST(old_cycles.size() == 1U);
    expire(1);
    BOOST_TEST(old_cycles.empty());
    BOOST_TEST(cycle->old_cycle == nullptr);
    BOOST_TEST(open_descriptors() == before);
    BOOST_TEST(event_timer_rbtree.empty());
}

BOOST_AUTO_TEST_CASE(one_with_a_connection_waits_for_it)
{
    Worker cycle;
    Connection* const c = get_connection(::dup(STDIN_FILENO), cycle->log);
    BOOST_TEST_REQUIRE(c);
    BOOST_TEST_REQUIRE(cycle.read(""));
    BOOST_TEST_REQUIRE(cycle.read(""));
    BOOST_TEST(old_cycles.size() == 2U);

    expire(clean_interval);
    BOOST_TEST(old_cycles.size() == 1U);
    BOOST_TEST(event_no_timers_left(), "it does not keep a worker from exiting");

    const std::size_t free_before = cycle->free_connection_n;
    close_connection(*c);
    BOOST_TEST(cycle->free_connection_n == free_before);
    expire(clean_interval);
    BOOST_TEST(old_cycles.empty());
}

BOOST_AUTO_TEST_CASE(its_connections_go_on_logging_to_its_log)
{
    Worker cycle("error_log old.log info;");
    Connection* const c = get_connection(::dup(STDIN_FILENO), cycle->log);
    BOOST_TEST_REQUIRE(cycle.read("error_log new.log info;"));
    log_error(log_err, c->log, 0, "of the old");
    log_error(log_err, cycle->log, 0, "of the new");
    BOOST_TEST(messages(cycle.text("old.log"), "error") == "[error] of the old\n");
    BOOST_TEST(messages(cycle.text("new.log"), "error") == "[error] of the new\n");
    close_connection(*c);
}

BOOST_AUTO_TEST_CASE(with_a_master_the_old_cycle_is_destroyed_at_once)
{
    process = Process::master;
    Running cycle;
    const std::size_t before = open_descriptors();
    BOOST_TEST_REQUIRE(cycle.read(""));
    BOOST_TEST(old_cycles.empty());
    BOOST_TEST(cycle->old_cycle == nullptr);
    BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_shutdown_timer)

/// The results for the connections that it asked.
std::string asked;

void note(Event& rev) noexcept
{
    const Connection& c = *static_cast<Connection*>(rev.data);
    asked += c.close && c.error ? "closed " : "called ";
}

Connection* add(const Cycle& cycle)
{
    Connection* const c = get_connection(::dup(STDIN_FILENO), cycle.log);
    BOOST_TEST_REQUIRE(c);
    c->read->handler = note;
    return c;
}

BOOST_AUTO_TEST_CASE(it_closes_remaining_connections_after_its_timeout)
{
    const Worker cycle("worker_shutdown_timeout 5s;");
    asked.clear();
    add(*cycle);
    add(*cycle);
    set_shutdown_timer(*cycle);
    BOOST_TEST(event_no_timers_left(), "it does not keep a worker from exiting");
    expire(4999);
    BOOST_TEST(asked == "");
    expire(1);
    BOOST_TEST(asked == "closed closed ");
}

BOOST_AUTO_TEST_CASE(it_does_not_close_listeners_channels_and_resolvers)
{
    const Worker cycle("worker_shutdown_timeout 1s;");
    asked.clear();
    add(*cycle)->read->accept = 1;
    add(*cycle)->read->channel = 1;
    add(*cycle)->read->resolver = 1;
    set_shutdown_timer(*cycle);
    expire(1000);
    BOOST_TEST(asked == "");
}

BOOST_AUTO_TEST_CASE(it_reaches_the_connections_of_old_cycles)
{
    Worker cycle("worker_shutdown_timeout 1s;");
    asked.clear();
    add(*cycle);
    BOOST_TEST_REQUIRE(cycle.read("worker_shutdown_timeout 1s;"));
    set_shutdown_timer(*cycle);
    expire(1000);
    BOOST_TEST(asked == "closed ");
}

BOOST_AUTO_TEST_CASE(without_a_timeout_there_is_no_timer)
{
    const Worker cycle;
    set_shutdown_timer(*cycle);
    BOOST_TEST(event_timer_rbtree.empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(shared_memory)

BOOST_FIXTURE_TEST_CASE(a_zone_is_declared_once_and_found_by_its_name, Reader)
{
    const char tag = 0;
    ShmZone* const zone = shared_memory_add(cf, "a", 8192, &tag);
    BOOST_TEST_REQUIRE(zone);
    BOOST_TEST(zone->shm.name == "a");
    BOOST_TEST(zone->shm.size == 8192U);
    BOOST_TEST(zone->tag == &tag);
    BOOST_TEST(zone->shm.addr == nullptr);
    BOOST_TEST(!zone->noreuse);

    BOOST_TEST(shared_memory_add(cf, "a", 8192, &tag) == zone);
    BOOST_TEST(shared_memory_add(cf, "a", 0, &tag) == zone);
    BOOST_TEST(shared_memory_add(cf, "b", 8192, &tag) != zone);
    BOOST_TEST(cycle->shared_memory.size() == 2U);
    BOOST_TEST(messages(log.text) == "");
}

BOOST_FIXTURE_TEST_CASE(the_size_of_a_zone_may_be_declared_later, Reader)
{
    ShmZone* const zone = shared_memory_add(cf, "a", 0, nullptr);
    BOOST_TEST_REQUIRE(zone);
    BOOST_TEST(shared_memory_add(cf, "a", 8192, nullptr) == zone);
    BOOST_TEST(zone->shm.size == 8192U);
    BOOST_TEST(shared_memory_add(cf, "a", 4096, nullptr) == nullptr);
}

BOOST_AUTO_TEST_CASE(declarations_that_do_not_agree_are_refused)
{
    const Zones directive;
    Reader reader({&errlog_module});
    BOOST_TEST(!reader.parse("test_zone a 8192; test_zone a 4096;"));
    BOOST_TEST(reader.said() ==
               "[emerg] the size 4096 of shared memory zone \"a\" conflicts with already "
               "declared size 8192 in nginx.conf:1\n");
    BOOST_TEST(!reader.parse("test_zone b 8192; test_zone b 8192 other;"));
    BOOST_TEST(reader.said() ==
               "[emerg] the shared memory zone \"b\" is already declared for a different "
               "use in nginx.conf:1\n");
}

BOOST_AUTO_TEST_CASE(a_zone_has_a_pool_in_its_memory_before_it_is_initialised)
{
    const Zoned z("test_zone a 65536;");
    BOOST_TEST(static_cast<void*>(z.zone().pool) == z.zone().shm.addr);
    BOOST_TEST(z.zone().shm.log == z.cycle->log);
    BOOST_TEST(z.zone().pool->alloc(1000) != nullptr);
    BOOST_TEST_REQUIRE(Zones::inits.size() == 1U);
    BOOST_TEST(Zones::inits[0].addr == z.zone().shm.addr);
    BOOST_TEST(Zones::inits[0].old_data == nullptr);
}

BOOST_AUTO_TEST_CASE(a_child_and_its_parent_have_the_same_zone)
{
    const Zoned z("test_zone a 65536;");
    SlabPool& pool = *z.zone().pool;
    const Forked child = in_child([&](int) {
        ngx::pid = ::getpid();
        pool.data = pool.alloc(100);
        *static_cast<int*>(pool.data) = 42;
    });
    BOOST_TEST(child.exited_with(0));
    BOOST_TEST_REQUIRE(pool.data);
    BOOST_TEST(*static_cast<int*>(pool.data) == 42);
}

BOOST_AUTO_TEST_CASE(a_reload_finds_the_zone_as_it_was)
{
    Zoned z("test_zone b 4096; test_zone a 65536;");
    const ShmZone& a = z.cycle->shared_memory.back();
    int* const number = static_cast<int*>(a.pool->alloc(sizeof(int)));
    *number = 42;
    const void* const addr = a.shm.addr;
    const void* const old_data = a.data;

    BOOST_TEST_REQUIRE(z.cycle.read("test_zone a 65536; test_zone c 4096;"));
    BOOST_TEST(z.zone().shm.addr == addr);
    BOOST_TEST(static_cast<void*>(z.zone().pool) == addr);
    BOOST_TEST(*number == 42);
    BOOST_TEST(z.zone().shm.log == z.cycle->log);
    BOOST_TEST_REQUIRE(Zones::inits.size() == 4U);
    BOOST_TEST(Zones::inits[2].addr == addr);
    BOOST_TEST(Zones::inits[2].old_data == old_data);
    BOOST_TEST(Zones::inits[3].old_data == nullptr);
}

BOOST_AUTO_TEST_CASE(a_zone_with_another_size_or_module_gets_new_memory)
{
    for (const std::string changed :
         {"test_zone a 8192;", "test_zone a 4096 other;", "test_zone a 4096 noreuse;"}) {
        Zoned z("test_zone a 4096;");
        const void* const addr = z.zone().shm.addr;
        BOOST_TEST_REQUIRE(z.cycle.read(changed));
        BOOST_TEST(z.zone().shm.addr != addr, changed);
        BOOST_TEST(static_cast<void*>(z.zone().pool) == z.zone().shm.addr);
        BOOST_TEST_REQUIRE(Zones::inits.size() == 2U);
        BOOST_TEST(Zones::inits[1].old_data == nullptr);
    }
}

BOOST_AUTO_TEST_CASE(a_zone_that_is_never_used_again_is_new_in_every_cycle)
{
    Zoned z("test_zone a 4096 noreuse;");
    const void* const addr = z.zone().shm.addr;
    BOOST_TEST_REQUIRE(z.cycle.read("test_zone a 4096 noreuse;"));
    BOOST_TEST(z.zone().shm.addr != addr);
}

BOOST_AUTO_TEST_CASE(under_a_master_a_reload_frees_what_the_new_cycle_does_not_use)
{
    Zoned z("test_zone kept 4096; test_zone gone 4096;");
    const void* const kept = z.zone().shm.addr;
    const void* const gone = z.cycle->shared_memory.back().shm.addr;
    process = Process::master;
    BOOST_TEST_REQUIRE(z.cycle.read("test_zone kept 4096;"));
    BOOST_TEST(z.zone().shm.addr == kept);
    BOOST_TEST(is_mapped(kept));
    BOOST_TEST(!is_mapped(gone));
    BOOST_TEST(z.cycle.said("alert") == "");
}

BOOST_AUTO_TEST_CASE(without_a_master_memory_is_freed_with_its_last_cycle)
{
    Zoned z("test_zone kept 4096; test_zone gone 4096;", Start::worker);
    const void* const kept = z.zone().shm.addr;
    const void* const gone = z.cycle->shared_memory.back().shm.addr;
    Connection* const c = get_connection(::dup(STDIN_FILENO), z.cycle->log);
    BOOST_TEST_REQUIRE(c);
    BOOST_TEST_REQUIRE(z.cycle.read("test_zone kept 4096; test_zone gone 4096;"));
    BOOST_TEST_REQUIRE(z.cycle.read("test_zone kept 4096;"));

    expire(clean_interval);
    BOOST_TEST(old_cycles.size() == 1U);
    BOOST_TEST(is_mapped(gone));
    close_connection(*c);
    expire(clean_interval);
    BOOST_TEST(old_cycles.empty());
    BOOST_TEST(!is_mapped(gone));
    BOOST_TEST(is_mapped(kept));
    BOOST_TEST(z.cycle.said("alert") == "");
}

BOOST_AUTO_TEST_CASE(a_reload_that_fails_frees_the_new_memory_and_leaves_the_old)
{
    Zoned z("test_zone a 4096;");
    const void* const addr = z.zone().shm.addr;
    BOOST_TEST(!z.cycle.read("test_zone a 4096; test_zone new 4096; test_zone bad 4096 fail;"));
    BOOST_TEST_REQUIRE(Zones::inits.size() == 3U);
    BOOST_TEST(Zones::inits[1].addr == addr);
    BOOST_TEST(is_mapped(addr));
    BOOST_TEST(!is_mapped(Zones::inits[2].addr));
    BOOST_TEST(z.zone().data == Zones::inits[0].data);
    BOOST_TEST(z.cycle.said("alert") == "");
}

BOOST_AUTO_TEST_CASE(a_zone_needs_a_size_and_room_for_a_pool)
{
    Zoned z("");
    BOOST_TEST(!z.cycle.read("test_zone a 0;"));
    BOOST_TEST(!z.cycle.read("test_zone a 4095;"));
    BOOST_TEST(z.cycle.said("emerg") == "[emerg] zero size shared memory zone \"a\"\n"
                                        "[emerg] too small size shared memory zone \"a\"\n");
    BOOST_TEST(Zones::inits.empty());
}

BOOST_AUTO_TEST_CASE(a_failed_allocation_is_an_error_of_the_configuration)
{
    Zoned z("");
    BOOST_TEST(!z.cycle.read("test_zone a 4611686018427387904;"));
    BOOST_TEST(z.cycle.said("alert") == "[alert] mmap(MAP_ANON|MAP_SHARED, 4611686018427387904) "
                                        "failed (12: Cannot allocate memory)\n");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(sockets_of_another_process)

/// Adds a socket that listens on the address to the sockets that the cycle inherits.
int hand_over(const Cycle& cycle, const std::string& address)
{
    Addr addr;
    BOOST_TEST_REQUIRE((parse_addr_port(addr, address) == Rc::ok));
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    BOOST_TEST_REQUIRE(::bind(fd, &addr.sockaddr.any, addr.socklen) == 0);
    BOOST_TEST_REQUIRE(::listen(fd, 10) == 0);

    Listening& ls = const_cast<Cycle&>(cycle).listening.emplace_back();
    ls.fd = fd;
    ls.inherited = 1;
    return fd;
}

BOOST_FIXTURE_TEST_CASE(a_listener_takes_over_the_socket_of_its_address, Listens)
{
    Running cycle;
    const int fd = hand_over(*cycle, a);
    cycle->listening.back().activated = 1;
    set_inherited_sockets(*cycle);

    BOOST_TEST_REQUIRE(cycle.read(listen(b) + listen(a, "backlog=7")));
    const Listening& ls = *find_listening(*cycle, a);
    BOOST_TEST(ls.fd == fd);
    BOOST_CHECK(ls.inherited);
    BOOST_CHECK(ls.activated);
    BOOST_CHECK(!ls.open);
    BOOST_TEST(backlog_of(fd) == 7U);
    BOOST_TEST(accepts(a));
    BOOST_CHECK(!find_listening(*cycle, b)->inherited);
    BOOST_TEST(cycle.said("emerg") == "");
}

BOOST_FIXTURE_TEST_CASE(the_file_of_an_unused_socket_from_systemd_stays, Listens)
{
    const TempDir sockets;
    const std::string path = sockets / "socket";
    Running cycle(listen("unix:" + path));
    cycle->listening.back().activated = 1;
    const int fd = cycle->listening.back().fd;
    BOOST_TEST_REQUIRE(cycle.read(listen(a)));
    BOOST_TEST(::fcntl(fd, F_GETFD) == -1);
    BOOST_TEST(fs::exists(path));
    BOOST_TEST(cycle.said("warn") == "");
}

BOOST_FIXTURE_TEST_CASE(a_socket_without_a_listener_is_closed, Listens)
{
    Running cycle;
    hand_over(*cycle, a);
    set_inherited_sockets(*cycle);
    BOOST_TEST_REQUIRE(cycle.read(listen(b)));
    BOOST_TEST(!accepts(a));
    BOOST_TEST(accepts(b));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
