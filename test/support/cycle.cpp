#include "test/support/cycle.hpp"

#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <unistd.h>

#include "core/embed.hpp"
#include "core/module.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_turn.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"

namespace ngx::test {

namespace {

void collect(Log& log, unsigned, char* buf, std::size_t len)
{
    static_cast<std::string*>(log.wdata)->append(buf, len);
}

/// Keeps descriptor 2. init_cycle() redirects it to the error log, but the output of the test
/// framework and of the sanitizers must be visible and must not be mixed with log lines.
class KeptStderr {
public:
    KeptStderr() : saved_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) {}
    KeptStderr(const KeptStderr&) = delete;
    KeptStderr& operator=(const KeptStderr&) = delete;
    ~KeptStderr() { ::dup2(saved_.get(), STDERR_FILENO); }

private:
    Fd saved_;
};

/// Makes the initialisation that a program makes once, before its first cycle.
void start_once(Log* log)
{
    static const bool started = [&] {
        use_stderr = false;
        time_init();
        pid = ::getpid();
        log_pid = pid;
        preinit_modules();
        return os_init(log) == Rc::ok;
    }();
    if (!started) {
        throw std::runtime_error("os_init() failed");
    }
}

void init_process(Cycle& cycle)
{
    if (init_process_modules(cycle) != Rc::ok) {
        throw std::runtime_error("init_process of a module failed");
    }
}

}  // namespace

TestCycle::TestCycle(std::string_view conf, Start start) : start_(start)
{
    log_.log_level = log_debug_all;
    log_.writer = collect;
    log_.wdata = &first_lines_;
    start_once(&log_);
    write_conf(conf);

    Cycle* before = create_cycle(&log_);
    ngx_cycle = before;
    before->prefix = dir_.path().string() + "/";
    before->conf_prefix = before->prefix;
    before->conf_file = (dir_ / "nginx.conf").string();
    before->error_log = "error.log";

    {
        const KeptStderr kept;
        cycle_ = init_cycle(before);
    }
    if (!cycle_) {
        destroy_cycle_pools(before);
        ngx_cycle = nullptr;
        return;
    }
    ngx_cycle = cycle_;
    if (process == Process::signaller) {
        // The new cycle has not replaced the previous one.
        destroy_cycle_pools(before);
        cycle_->old_cycle = nullptr;
    }
    if (start == Start::worker) {
        init_process(*cycle_);
    }
}

TestCycle::~TestCycle()
{
    if (cycle_) {
        stop_cycle(*cycle_);
    }
}

std::string TestCycle::log() const
{
    const std::filesystem::path file = dir_ / "error.log";
    return first_lines_ + (std::filesystem::exists(file) ? read_file(file) : "");
}

bool TestCycle::reload(std::string_view conf)
{
    write_conf(conf);
    const KeptStderr kept;
    Cycle* cycle = init_cycle(cycle_);
    if (!cycle) {
        return false;
    }
    cycle_ = cycle;
    ngx_cycle = cycle;
    if (start_ == Start::worker) {
        init_process(*cycle);
    }
    return true;
}

void TestCycle::turn() noexcept
{
    process_events_and_timers(*cycle_);
}

void TestCycle::write_conf(std::string_view conf) const
{
    const bool has_log = conf.find("error_log") != conf.npos;
    write_file(dir_ / "nginx.conf",
               (has_log ? "" : "error_log error.log debug; ") + std::string(conf));
}

}  // namespace ngx::test
