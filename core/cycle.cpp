#include "core/cycle.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/exception.hpp"
#include "core/module.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "event/event_udp.hpp"
#include "os/unix/files.hpp"
#include "os/unix/process.hpp"

namespace ngx {

Cycle* ngx_cycle;
std::vector<Cycle*> old_cycles;
bool test_config;
bool dump_config;
bool quiet_mode;

namespace {

constexpr std::size_t cycle_pool_size = 16 * 1024;
constexpr Msec clean_interval = 30'000;

struct {
    Event cleaner_event{};
    Event shutdown_event{};
    Connection dumb{};  // for the debug lines of the timers; its descriptor is -1
} state;

/// The context of a core module.
const CoreModule& core_ctx(const Module& module) noexcept
{
    return *static_cast<const CoreModule*>(module.ctx);
}

/// Copies the paths and the command line's settings from the old cycle.
void clone_cycle(Cycle& cycle, const Cycle& old_cycle)
{
    cycle.conf_prefix = old_cycle.conf_prefix;
    cycle.prefix = old_cycle.prefix;
    cycle.error_log = old_cycle.error_log;
    cycle.conf_file = old_cycle.conf_file;
    cycle.conf_text = old_cycle.conf_text;
    cycle.conf_param = old_cycle.conf_param;
    cycle.generation = old_cycle.generation + 1;
    cycle.conf_ctx = cycle.pool->pcalloc<void*>(max_module);
}

Rc set_hostname(Cycle& cycle)
{
    std::array<char, HOST_NAME_MAX + 1> hostname{};
    if (::gethostname(hostname.data(), hostname.size() - 1) == -1) {
        conf_log_error(log_emerg, cycle.log, {}, errno, "gethostname() failed");
        return Rc::error;
    }
    cycle.hostname = hostname.data();
    std::ranges::transform(cycle.hostname, cycle.hostname.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    });
    return Rc::ok;
}

Rc create_confs(Cycle& cycle)
{
    for (const Module* module : modules_of(cycle)) {
        if (module->type != ModuleType::core || !core_ctx(*module).create_conf) {
            continue;
        }
        void* conf = core_ctx(*module).create_conf(cycle);
        if (!conf) {
            return Rc::error;
        }
        cycle.conf_ctx[module->index] = conf;
    }
    return Rc::ok;
}

/// Parses the configuration: the file, or the text that replaces it.
const char* parse_main(Conf& conf, const Cycle& cycle)
{
    if (!cycle.conf_text) {
        return conf_parse(conf, cycle.conf_file);
    }
    std::string_view name = "text";
    if (!cycle.conf_file.empty()) {
        name = cycle.conf_file;
    }
    return conf_parse_text(conf, name, *cycle.conf_text);
}

Rc parse_conf(Cycle& cycle)
{
    Conf conf;
    conf.cycle = &cycle;
    conf.pool = cycle.pool;
    conf.log = cycle.log;

    if (conf_param(conf) != conf_ok || parse_main(conf, cycle) != conf_ok) {
        return Rc::error;
    }
    if (test_config && !quiet_mode) {
        log_stderr(0, "the configuration file {} syntax is ok", cycle.conf_file);
    }
    return Rc::ok;
}

Rc init_confs(Cycle& cycle)
{
    for (const Module* module : modules_of(cycle)) {
        if (module->type != ModuleType::core || !core_ctx(*module).init_conf) {
            continue;
        }
        if (core_ctx(*module).init_conf(cycle, cycle.conf_ctx[module->index]) == conf_error) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

/// Rewrites the pid file in a reload that changes its name. At the start it is written later, after
/// daemon(), and not here.
Rc update_pidfile(Cycle& cycle)
{
    const CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    const Cycle& old_cycle = *cycle.old_cycle;

    if (test_config) {
        return create_pidfile(*ccf.pid, cycle.log);
    }
    if (is_init_cycle(old_cycle) || get_conf<CoreConf>(old_cycle.conf_ctx)->pid == ccf.pid) {
        return Rc::ok;
    }
    if (create_pidfile(*ccf.pid, cycle.log) != Rc::ok) {
        return Rc::error;
    }
    delete_pidfile(old_cycle);
    return Rc::ok;
}

Rc open_files(Cycle& cycle)
{
    for (OpenFile& file : cycle.open_files) {
        if (file.name.empty()) {
            continue;
        }
        file.fd = open_append(file.name.c_str());
        log_debug(log_debug_core, cycle.log, 0, "log: {} {} \"{}\"", fmt::ptr(&file), file.fd,
                  file.name);
        if (file.fd == invalid_file) {
            log_error(log_emerg, cycle.log, errno, "open() \"{}\" failed", file.name);
            return Rc::error;
        }
    }
    return Rc::ok;
}

/// Tells whether a zone continues in the memory of a zone of the cycle before.
bool same_memory(const ShmZone& zone, const ShmZone& old) noexcept
{
    return zone.shm.name == old.shm.name && zone.tag == old.tag && zone.shm.size == old.shm.size &&
           !zone.noreuse && old.shm.addr;
}

ShmZone* find_same_memory(std::list<ShmZone>& zones, const ShmZone& zone) noexcept
{
    const auto found =
        std::ranges::find_if(zones, [&](const ShmZone& other) { return same_memory(zone, other); });
    return found == zones.end() ? nullptr : &*found;
}

/// nginx: ngx_init_zone_pool()
Rc init_zone_pool(Cycle& cycle, ShmZone& zone)
{
    if (zone.shm.size < SlabPool::min_size) {
        log_error(log_emerg, cycle.log, 0, "{} size shared memory zone \"{}\"",
                  zone.shm.size == 0 ? "zero" : "too small", zone.shm.name);
        return Rc::error;
    }
    if (shm_alloc(zone.shm) != Rc::ok) {
        return Rc::error;
    }
    zone.pool = SlabPool::create(zone.shm.addr, zone.shm.size);
    return Rc::ok;
}

Rc create_shared_memory(Cycle& cycle)
{
    for (ShmZone& zone : cycle.shared_memory) {
        assert(!zone.shm.addr);
        zone.shm.log = cycle.log;
        void* old_data = nullptr;
        if (const ShmZone* old = find_same_memory(cycle.old_cycle->shared_memory, zone)) {
            zone.shm.addr = old->shm.addr;
            zone.pool = old->pool;
            old_data = old->data;
        } else if (init_zone_pool(cycle, zone) != Rc::ok) {
            return Rc::error;
        }
        if (zone.init && zone.init(zone, old_data) != Rc::ok) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

bool has_memory(const Cycle& cycle, const void* addr) noexcept
{
    return std::ranges::any_of(cycle.shared_memory,
                               [=](const ShmZone& zone) { return zone.shm.addr == addr; });
}

/// Frees the shared memory of a cycle, except the addresses for which `is_used(address)` is true.
template <typename IsUsed>
void free_shared_memory(Cycle& cycle, IsUsed is_used)
{
    for (ShmZone& zone : cycle.shared_memory) {
        if (zone.shm.addr && !is_used(zone.shm.addr)) {
            shm_free(zone.shm);
        }
    }
}

void close_files(Cycle& cycle, Log* log)
{
    for (OpenFile& file : cycle.open_files) {
        if (file.fd == invalid_file || file.fd == STDERR_FILENO) {
            continue;
        }
        if (::close(file.fd) == -1) {
            log_error(log_emerg, log, errno, "close() \"{}\" failed", file.name);
        }
        file.fd = invalid_file;
    }
}

bool same_socket(const Listening& a, const Listening& b) noexcept
{
    return a.type == b.type &&
           cmp_sockaddr(&a.sockaddr.any, a.socklen, &b.sockaddr.any, b.socklen, true) == Rc::ok;
}

/// Takes over an open socket from the old cycle, and records which of its options change.
void inherit_listening(Listening& nls, Listening& ls) noexcept
{
    assert(ls.fd != invalid_socket && !ls.remain);
    assert(nls.fd == invalid_socket);
    nls.fd = ls.fd;
    nls.previous = &ls;

    if (ls.protocol != nls.protocol) {
        nls.change_protocol = 1;
    } else {
        nls.inherited = ls.inherited;
        nls.activated = ls.activated;
        ls.remain = 1;
    }

    nls.listen = ls.backlog != nls.backlog;
    nls.delete_deferred = ls.deferred_accept && !nls.deferred_accept;
    nls.add_deferred = !ls.deferred_accept && nls.deferred_accept;
    nls.add_reuseport = nls.reuseport && !ls.reuseport;
}

void inherit_listening_sockets(Cycle& cycle) noexcept
{
    for (Listening& ls : cycle.old_cycle->listening) {
        ls.remain = 0;
    }
    for (Listening& nls : cycle.listening) {
        const auto matches = [&](const Listening& ls) {
            return !ls.ignore && !ls.remain && same_socket(nls, ls);
        };
        auto& old = cycle.old_cycle->listening;
        if (const auto ls = std::ranges::find_if(old, matches); ls != old.end()) {
            inherit_listening(nls, *ls);
        } else {
            nls.add_deferred = nls.deferred_accept;
        }
    }
}

void delete_unix_socket(const Listening& ls, Log* log)
{
    if (ls.sockaddr.any.sa_family != AF_UNIX || ls.activated) {
        return;
    }
    log_error(log_warn, log, 0, "deleting socket {}", ls.sockaddr.un.sun_path);
    if (::unlink(ls.sockaddr.un.sun_path) == -1) {
        log_error(log_emerg, log, errno, "unlink() {} failed", ls.sockaddr.un.sun_path);
    }
}

/// Closes the sockets on which only the old cycle listened.
void close_old_listening_sockets(Cycle& cycle)
{
    for (Listening& ls : cycle.old_cycle->listening) {
        if (ls.remain || ls.fd == invalid_socket) {
            continue;
        }
        detach_listening(ls);
        if (!close_udp_connections(ls) && ::close(ls.fd) == -1) {
            log_error(log_emerg, cycle.log, errno, "close() listening socket on {} failed",
                      ls.addr_text);
        }
        delete_unix_socket(ls, cycle.log);
    }
}

}  // namespace

bool has_connections(const Cycle& cycle) noexcept
{
    return std::ranges::any_of(
        connections_of(cycle), [](int fd) { return fd != invalid_socket; }, &Connection::fd);
}

namespace {

void free_finished_cycles() noexcept
{
    // Memory that a cycle shares with an earlier one is also that of all cycles between the two.
    const auto is_used = [](const void* addr) {
        return has_memory(*ngx_cycle, addr) ||
               std::ranges::any_of(old_cycles, [=](Cycle* c) { return has_memory(*c, addr); });
    };
    for (auto it = old_cycles.begin(); it != old_cycles.end();) {
        Cycle* const old = *it;
        if (has_connections(*old)) {
            ++it;
            continue;
        }
        it = old_cycles.erase(it);
        if (ngx_cycle->old_cycle == old) {
            ngx_cycle->old_cycle = nullptr;
        }
        free_shared_memory(*old, is_used);
        destroy_cycle_pools(old);
    }
}

/// nginx: ngx_clean_old_cycles()
void clean_old_cycles(Event& ev) noexcept
{
    log_debug(log_debug_core, ngx_cycle->log, 0, "clean old cycles");
    free_finished_cycles();

    log_debug(log_debug_core, ngx_cycle->log, 0, "old cycles left: {}", old_cycles.size());
    if (!old_cycles.empty()) {
        ev.log = ngx_cycle->log;
        add_timer(ev, clean_interval);
    }
}

/// Keeps the old cycle, with the memory that only it uses, until its connections are closed.
/// Without a master they go on in this process.
///
/// Differs from nginx: the old cycle's logs stay open until then, too, as its connections log to
/// them; nginx closes them here, and the lines go to the next file that gets their descriptors. So
/// that many reloads do not hold many logs open, each reload also frees finished cycles.
void retire_cycle(Cycle& cycle) noexcept
{
    assert(cycle.old_cycle && old_cycles.size() < old_cycles.capacity());
    free_finished_cycles();
    old_cycles.push_back(cycle.old_cycle);  // prepare_cycle() has reserved the space

    Event& ev = state.cleaner_event;
    ev.handler = clean_old_cycles;
    ev.log = cycle.log;
    ev.data = &state.dumb;
    ev.cancelable = 1;
    if (!ev.timer_set()) {
        add_timer(ev, clean_interval);
    }
}

/// Releases what a failed cycle has opened.
Cycle* roll_back(Cycle* cycle, Log* log) noexcept
{
    assert(cycle->old_cycle);
    cycle->log = log;
    if (!test_config) {
        for (Listening& ls : cycle->listening) {
            if (ls.fd != invalid_socket && ls.open && ::close(ls.fd) == -1) {
                log_error(log_emerg, log, errno, "close() {} failed", ls.addr_text);
            }
        }
    }
    const Cycle& old = *cycle->old_cycle;
    free_shared_memory(*cycle, [&](const void* addr) { return has_memory(old, addr); });
    destroy_cycle_pools(cycle);
    return nullptr;
}

/// Adds the default error log, at level error, to a cycle whose configuration names no file.
///
/// nginx: ngx_log_open_default()
void log_open_default(Cycle& cycle)
{
    if (log_get_file_log(&cycle.new_log)) {
        return;
    }

    // Logs of other kinds stay; the default file log is added to them.
    const bool has_logs = cycle.new_log.log_level != 0;
    Log* log = has_logs ? cycle.pool->create<Log>() : &cycle.new_log;

    log->log_level = log_err;
    log->file = conf_open_file(cycle, cycle.error_log);
    if (has_logs) {
        log_insert(cycle.new_log, *log);
    }
}

/// Opens the files, zones and sockets that the configuration names, and switches the cycle to its
/// own log.
Rc open_cycle(Cycle& cycle)
{
    if (update_pidfile(cycle) != Rc::ok) {
        return Rc::error;
    }
    log_open_default(cycle);
    if (open_files(cycle) != Rc::ok) {
        return Rc::error;
    }

    cycle.log = &cycle.new_log;
    cycle.pool->log = &cycle.new_log;

    if (create_shared_memory(cycle) != Rc::ok) {
        return Rc::error;
    }
    inherit_listening_sockets(cycle);
    return open_listening_sockets(cycle);
}

Rc read_conf(Cycle& cycle)
{
    clone_cycle(cycle, *cycle.old_cycle);
    if (set_hostname(cycle) != Rc::ok) {
        return Rc::error;
    }
    cycle_modules(cycle);
    if (create_confs(cycle) != Rc::ok || parse_conf(cycle) != Rc::ok) {
        return Rc::error;
    }
    return init_confs(cycle);
}

/// Performs all steps that roll_back() can undo.
Rc prepare_cycle(Cycle& cycle)
{
    if (read_conf(cycle) != Rc::ok) {
        return Rc::error;
    }
    if (process == Process::signaller) {
        return Rc::ok;
    }
    old_cycles.reserve(old_cycles.size() + 1);
    return open_cycle(cycle);
}

/// Calls init_module of every module.
///
/// Differs from nginx: an error at a reload keeps the old cycle, as any other error does; nginx's
/// master exits, and its workers continue without a master. State that modules keep outside of
/// their configuration may already belong to the new cycle, so the old cycle's hooks are called
/// once more. A hook that throws has failed.
Rc start_modules(Cycle& cycle)
{
    const auto init = [](Cycle& c) { return no_throw(c.log, [&] { return init_modules(c); }); };
    if (init(cycle) == Rc::ok) {
        return Rc::ok;
    }
    Cycle& old = *cycle.old_cycle;
    if (is_init_cycle(old)) {
        event_unlink_all();
    } else if (init(old) != Rc::ok) {
        log_error(log_alert, old.log, 0, "the modules of the old configuration go on unprepared");
    }
    return Rc::error;
}

/// Makes the new cycle the current one and releases the old one. It cannot be undone.
void commit_cycle(Cycle& cycle) noexcept
{
    assert(cycle.old_cycle);
    Cycle& old = *cycle.old_cycle;
    close_old_listening_sockets(cycle);
    if (process == Process::master || is_init_cycle(old)) {
        free_shared_memory(old, [&](const void* addr) { return has_memory(cycle, addr); });
        cycle.old_cycle = nullptr;
        destroy_cycle_pools(&old);
    } else {
        retire_cycle(cycle);
    }
}

}  // namespace

Cycle::Cycle() noexcept = default;
Cycle::~Cycle() = default;

Cycle* create_cycle(Log* log)
{
    Pool* pool = create_pool(cycle_pool_size, log);
    Cycle* cycle = pool->create<Cycle>();
    cycle->pool = pool;
    cycle->log = log;
    return cycle;
}

Cycle* init_cycle(Cycle* old_cycle) noexcept
{
    assert(old_cycle && old_cycle->log);
    time_force_update();
    time_update();

    Log* const log = old_cycle->log;
    Cycle* cycle = nullptr;
    const Rc rc = no_throw(log, [&] {
        cycle = create_cycle(log);
        cycle->old_cycle = old_cycle;
        return prepare_cycle(*cycle);
    });
    if (rc != Rc::ok) {
        return cycle ? roll_back(cycle, log) : nullptr;
    }
    if (process == Process::signaller) {
        return cycle;
    }

    if (!test_config) {
        configure_listening_sockets(*cycle);
    }
    if (!use_stderr) {
        (void)log_redirect_stderr(*cycle);
    }
    if (start_modules(*cycle) != Rc::ok) {
        if (!use_stderr) {
            (void)log_redirect_stderr(*old_cycle);
        }
        return roll_back(cycle, log);
    }
    commit_cycle(*cycle);
    return cycle;
}

void destroy_cycle_pools(Cycle* c)
{
    assert(c->pool);
    close_files(*c, c->log);
    destroy_pool(c->pool);
}

namespace {

/// Differs from nginx: the message says how to set another file, which a user who is not root needs
/// if only root may write the default one. It costs a longer message.
std::string_view pid_hint(int err) noexcept
{
    const bool is_bad_path = err == EACCES || err == ENOENT || err == EROFS;
    return is_bad_path ? " (set another by -g \"pid FILE;\" or in the configuration)" : "";
}

}  // namespace

Rc create_pidfile(std::string_view name, Log* log)
{
    if (process > Process::master) {
        return Rc::ok;
    }

    const int create = test_config ? O_CREAT : O_CREAT | O_TRUNC;
    const int fd = ::open(name.data(), O_RDWR | O_CLOEXEC | create, 0644);
    if (fd == invalid_file) {
        log_error(log_emerg, log, errno, "open() \"{}\" failed{}", name, pid_hint(errno));
        return Rc::error;
    }

    Rc rc = Rc::ok;
    if (!test_config) {
        const std::string text = fmt::format("{}\n", pid);
        if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
            log_error(log_crit, log, errno, "write() \"{}\" failed", name);
            rc = Rc::error;
        }
    }
    if (::close(fd) == -1) {
        log_error(log_alert, log, errno, "close() \"{}\" failed", name);
    }
    return rc;
}

void delete_pidfile(const Cycle& c)
{
    // While a new binary runs, the file of the first name is its own.
    const CoreConf& ccf = *get_conf<CoreConf>(c.conf_ctx);
    const std::string_view name = new_binary != 0 ? std::string_view(ccf.oldpid) : *ccf.pid;
    if (::unlink(name.data()) == -1) {
        log_error(log_alert, c.log, errno, "unlink() \"{}\" failed", name);
    }
}

ShmZone* shared_memory_add(Conf& cf, std::string_view name, std::size_t size, const void* tag)
{
    for (ShmZone& zone : cf.cycle->shared_memory) {
        if (zone.shm.name != name) {
            continue;
        }
        if (zone.tag != tag) {
            conf_log_error(log_emerg, cf, 0,
                           "the shared memory zone \"{}\" is already declared for a different use",
                           name);
            return nullptr;
        }
        if (zone.shm.size == 0) {
            zone.shm.size = size;
        }
        if (size != 0 && size != zone.shm.size) {
            conf_log_error(log_emerg, cf, 0,
                           "the size {} of shared memory zone \"{}\" conflicts with already "
                           "declared size {}",
                           size, name, zone.shm.size);
            return nullptr;
        }
        return &zone;
    }

    ShmZone& zone = cf.cycle->shared_memory.emplace_back();
    zone.shm.name = name;
    zone.shm.size = size;
    zone.tag = tag;
    return &zone;
}

int signal_process(Cycle& c, std::string_view sig)
{
    log_error(log_notice, c.log, 0, "signal process started");

    const std::string_view name = *get_conf<CoreConf>(c.conf_ctx)->pid;
    const int fd = ::open(name.data(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd == invalid_file) {
        log_error(log_err, c.log, errno, "open() \"{}\" failed", name);
        return 1;
    }

    std::array<char, 32> buf{};
    const ssize_t n = ::read(fd, buf.data(), buf.size());
    if (n == -1) {
        log_error(log_crit, c.log, errno, "read() \"{}\" failed", name);
    }
    if (::close(fd) == -1) {
        log_error(log_alert, c.log, errno, "close() \"{}\" failed", name);
    }
    if (n == -1) {
        return 1;
    }

    std::string_view text(buf.data(), static_cast<std::size_t>(n));
    text = text.substr(0, text.find_last_not_of("\r\n") + 1);
    const auto to = atoi(text);
    if (!to || *to > INT_MAX) {
        log_error(log_err, c.log, 0, "invalid PID number \"{}\" in \"{}\"", text, name);
        return 1;
    }
    return os_signal_process(c, sig, static_cast<pid_t>(*to));
}

namespace {

/// Makes the user of the workers the owner of a log file.
Rc change_owner(const OpenFile& file, uid_t user, Log* log)
{
    struct stat info {};
    if (::stat(file.name.c_str(), &info) == -1) {
        log_error(log_emerg, log, errno, "stat() \"{}\" failed", file.name);
        return Rc::error;
    }
    if (info.st_uid != user && ::chown(file.name.c_str(), user, static_cast<gid_t>(-1)) == -1) {
        log_error(log_emerg, log, errno, "chown(\"{}\", {}) failed", file.name, user);
        return Rc::error;
    }

    constexpr mode_t owner_rw = S_IRUSR | S_IWUSR;
    if ((info.st_mode & owner_rw) != owner_rw &&
        ::chmod(file.name.c_str(), info.st_mode | owner_rw) == -1) {
        log_error(log_emerg, log, errno, "chmod() \"{}\" failed", file.name);
        return Rc::error;
    }
    return Rc::ok;
}

void reopen_file(OpenFile& file, uid_t user, Log* log)
{
    if (file.flush) {
        file.flush(file, log);
    }

    const int fd = open_append(file.name.c_str());
    log_debug(log_debug_event, log, 0, "reopen file \"{}\", old:{} new:{}", file.name, file.fd, fd);
    if (fd == invalid_file) {
        log_error(log_emerg, log, errno, "open() \"{}\" failed", file.name);
        return;
    }

    const bool owned = user == static_cast<uid_t>(-1) || change_owner(file, user, log) == Rc::ok;
    if (::close(owned ? std::exchange(file.fd, fd) : fd) == -1) {
        log_error(log_emerg, log, errno, "close() \"{}\" failed", file.name);
    }
}

/// nginx: ngx_shutdown_timer_handler()
void shutdown_timer_handler(Event&) noexcept
{
    const auto shut_down = [](Cycle& c) {
        for (Connection& conn : connections_of(c)) {
            if (conn.fd == invalid_socket || !conn.read || conn.read->accept ||
                conn.read->channel || conn.read->resolver) {
                continue;
            }
            log_debug(log_debug_core, c.log, 0, "*{} shutdown timeout", conn.number);
            conn.close = 1;
            conn.error = 1;
            conn.read->handler(*conn.read);
        }
    };

    shut_down(*ngx_cycle);
    for (Cycle* old : old_cycles) {
        shut_down(*old);
    }
}

}  // namespace

void reopen_files(Cycle& c, uid_t user)
{
    for (OpenFile& file : c.open_files) {
        if (file.name.empty()) {
            continue;
        }
        (void)no_throw(c.log, [&] {  // the file's flush() may throw
            reopen_file(file, user, c.log);
            return Rc::ok;
        });
    }
    (void)log_redirect_stderr(c);
}

Rc log_redirect_stderr(Cycle& cycle)
{
    const Log* log = log_get_file_log(cycle.log);
    if (cycle.log_use_stderr || !log) {
        return Rc::ok;
    }

    const int fd = log->file->fd;
    if (fd != STDERR_FILENO && ::dup2(fd, STDERR_FILENO) == -1) {
        log_error(log_alert, cycle.log, errno, "dup2(STDERR_FILENO) failed");
        return Rc::error;
    }
    return Rc::ok;
}

void set_shutdown_timer(Cycle& c)
{
    assert(in_loop_thread());
    const CoreConf& ccf = *get_conf<CoreConf>(c.conf_ctx);
    if (*ccf.shutdown_timeout == 0) {
        return;
    }

    Event& ev = state.shutdown_event;
    ev.handler = shutdown_timer_handler;
    ev.data = &state.dumb;
    ev.log = c.log;
    ev.cancelable = 1;
    add_timer(ev, *ccf.shutdown_timeout);
}

}  // namespace ngx
