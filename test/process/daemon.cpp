#include "test/process/daemon.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <sstream>
#include <utility>

namespace ngx::test::process {

Daemon::Daemon(ServerConf conf, std::map<std::string, std::string> env)
{
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    conf.daemon = true;
    write_conf(conf.text());
    set_program(setup().binary);
    started_ = run(command(), {.cwd = dir_.path(), .env = std::move(env)});
}

Daemon::~Daemon()
{
    for (const pid_t pid : {pid(), old_pid()}) {
        if (pid != -1 && ::kill(pid, SIGTERM) == 0) {
            collect(pid);
        }
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

void Daemon::wait_for_log(std::string_view text, std::size_t times) const
{
    wait_for_text(dir_ / "error.log", text, patience(), times);
}

void Daemon::set_program(const std::filesystem::path& path) const
{
    const std::filesystem::path link = dir_ / "server.new";
    std::filesystem::create_symlink(path, link);
    std::filesystem::rename(link, dir_ / "server");
}

std::vector<std::string> Daemon::command(std::vector<std::string> more) const
{
    std::vector<std::string> argv = {dir_ / "server", "-p", dir_.path(), "-c", dir_ / "nginx.conf"};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
}

pid_t Daemon::change_binary() const
{
    const pid_t before = pid();
    ::kill(before, SIGUSR2);
    pid_t now = -1;
    wait_until("a new binary has the pid file", [&] {
        now = pid();
        return now != -1 && now != before;
    });
    return now;
}

ExitStatus Daemon::collect(pid_t pid)
{
    wait_for_end(pid);
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) {
        return {};
    }
    if (WIFSIGNALED(status)) {
        return {.code = {}, .signal = WTERMSIG(status)};
    }
    return {.code = WEXITSTATUS(status), .signal = {}};
}

pid_t Daemon::pid_in(std::string_view file) const
{
    const std::filesystem::path path = dir_ / file;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
        return -1;
    }
    try {
        std::istringstream text(read_file(path));
        pid_t pid = -1;
        text >> pid;
        return text ? pid : -1;
    } catch (const std::runtime_error&) {
        return -1;  // it was renamed in between
    }
}

}  // namespace ngx::test::process
