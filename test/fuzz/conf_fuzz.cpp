/// \file
/// The input is an nginx.conf: words, directives, blocks, and the defaults of unset values. The
/// target opens, binds, resolves and writes nothing. An included file is the input itself if it is
/// called nginx.conf; all others are missing. A refused text must log exactly one error. An
/// accepted text must log none and is dumped completely.

#include "test/fuzz/fuzz.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/times.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process.hpp"

namespace ngx::test {

namespace {

/// Limits how often a text may include itself.
constexpr int max_files = 8;

struct {
    bool reading = false;  // the calls below replace the system's
    int fd = -1;           // the descriptor of the text
    int files = 0;         // opened so far
    int errors = 0;        // logged so far
    Log log{};
    Cycle* before = nullptr;
} state;

[[noreturn]] void broken(const char* promise)
{
    std::fprintf(stderr, "conf_fuzz: %s\n", promise);
    std::abort();
}

/// Counts errors. An accept filter is also logged at level emerg, but is ignored and not an error.
/// The message starts after "TIME [emerg] PID#PID: ", before any part of the input.
void count_errors(Log&, unsigned level, char* buf, std::size_t len)
{
    const std::string_view line(buf, len);
    const std::string_view message = line.substr(line.find(": ") + 2);
    state.errors += level <= log_crit && !message.starts_with("accept filters \"");
}

/// Makes the program's initialisation before its first cycle, without its files.
void start()
{
    state.log = {.log_level = log_debug_all, .writer = count_errors};
    use_stderr = false;
    dump_config = true;
    process = Process::signaller;  // only reads its configuration

    time_init();
    if (os_init(&state.log) != Rc::ok) {
        broken("the system cannot be asked");
    }
    preinit_modules();
    state.fd = ::memfd_create("nginx.conf", MFD_CLOEXEC);
    if (state.fd == -1) {
        broken("memfd_create() failed");
    }

    state.before = create_cycle(&state.log);
    state.before->prefix = "/prefix/";
    state.before->conf_prefix = "/conf/";
    state.before->conf_file = "/conf/nginx.conf";
    state.before->error_log = "error.log";
    ngx_cycle = state.before;
}

void set_text(std::string_view text)
{
    const auto size = static_cast<off_t>(text.size());
    if (::ftruncate(state.fd, 0) == -1 || ::pwrite(state.fd, text.data(), text.size(), 0) != size) {
        broken("the text cannot be written to memory");
    }
}

/// Reads the text of a file and of the option -g.
bool read_conf(std::string_view text, std::string_view param)
{
    set_text(text);
    state.before->conf_param = std::string(param);
    state.files = 0;
    state.errors = 0;

    state.reading = true;
    Cycle* const cycle = init_cycle(state.before);
    state.reading = false;

    if (!cycle) {
        if (state.errors != 1) {
            broken("a text was refused with more or less than one error");
        }
        return false;
    }
    if (state.errors != 0) {
        broken("a text was taken with an error");
    }
    if (cycle->config_dump.front().buffer != text) {
        broken("a text was taken and not dumped whole");
    }
    destroy_cycle_pools(cycle);
    return true;
}

/// Returns whether a range of ports may be so long that its listeners take seconds, as in nginx.
bool has_long_range(std::string_view text)
{
    constexpr std::size_t digits = 4;
    for (std::size_t dash = text.find('-'); dash != text.npos; dash = text.find('-', dash + 1)) {
        if (text.find_first_not_of("0123456789", dash + 1) - dash > digits) {
            return true;
        }
    }
    return false;
}

int open_file(std::string_view path)
{
    if (!path.ends_with("/nginx.conf") || state.files == max_files) {
        errno = ENOENT;
        return -1;
    }
    state.files++;
    return ::fcntl(state.fd, F_DUPFD_CLOEXEC, 0);
}

}  // namespace

bool reads(std::string_view text)
{
    if (!state.before) {
        start();
    }
    return read_conf(text, "");
}

}  // namespace ngx::test

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (ngx::test::has_long_range(text)) {
        return 0;
    }
    ngx::test::reads(text);
    ngx::test::read_conf("events {}", text);
    return 0;
}

// The linker redirects the server's calls of these functions to here: see meson.build. While a text
// is read, none of them calls the system.

using ngx::test::open_file;
using ngx::test::state;

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the linker requires these names

int __real_open(const char* path, int flags, mode_t mode);
int __real_open64(const char* path, int flags, mode_t mode);
int __real_glob(const char* pattern, int flags, int (*on_error)(const char*, int), glob_t* to);
int __real_glob64(const char* pattern, int flags, int (*on_error)(const char*, int), glob_t* to);
int __real_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                       addrinfo** found);
passwd* __real_getpwnam(const char* name);
group* __real_getgrnam(const char* name);

int __wrap_open(const char* path, int flags, mode_t mode)
{
    return state.reading ? open_file(path) : __real_open(path, flags, mode);
}

int __wrap_open64(const char* path, int flags, mode_t mode)
{
    return state.reading ? open_file(path) : __real_open64(path, flags, mode);
}

int __wrap_glob(const char* pattern, int flags, int (*on_error)(const char*, int), glob_t* to)
{
    return state.reading ? GLOB_NOMATCH : __real_glob(pattern, flags, on_error, to);
}

int __wrap_glob64(const char* pattern, int flags, int (*on_error)(const char*, int), glob_t* to)
{
    return state.reading ? GLOB_NOMATCH : __real_glob64(pattern, flags, on_error, to);
}

/// Replaces getaddrinfo(). While a configuration is read, the only host is localhost.
int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                       addrinfo** found)
{
    if (!state.reading) {
        return __real_getaddrinfo(host, service, hints, found);
    }
    if (std::string_view(host) != "localhost") {
        return EAI_NONAME;
    }
    addrinfo numeric = *hints;
    numeric.ai_flags = AI_NUMERICHOST;
    return __real_getaddrinfo("127.0.0.1", service, &numeric, found);
}

/// Replaces getpwnam(), which finds one user, `nobody`, while a configuration is read.
passwd* __wrap_getpwnam(const char* name)
{
    static passwd nobody{.pw_name = nullptr,
                         .pw_passwd = nullptr,
                         .pw_uid = 65534,
                         .pw_gid = 65534,
                         .pw_gecos = nullptr,
                         .pw_dir = nullptr,
                         .pw_shell = nullptr};
    if (!state.reading) {
        return __real_getpwnam(name);
    }
    return std::string_view(name) == "nobody" ? &nobody : nullptr;
}

/// Replaces getgrnam(), which finds one group, `nogroup`, while a configuration is read.
group* __wrap_getgrnam(const char* name)
{
    static group nogroup{
        .gr_name = nullptr, .gr_passwd = nullptr, .gr_gid = 65534, .gr_mem = nullptr};
    if (!state.reading) {
        return __real_getgrnam(name);
    }
    return std::string_view(name) == "nogroup" ? &nogroup : nullptr;
}

// NOLINTEND(bugprone-reserved-identifier)

}  // extern "C"
