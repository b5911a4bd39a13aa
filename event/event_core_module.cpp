#include "event/event_core_module.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <bit>
#include <cassert>
#include <cerrno>
#include <fstream>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <fmt/format.h>

#include "auto_build.hpp"
#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/inet.hpp"
#include "core/log_limit.hpp"
#include "core/palloc.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "event/event_observer.hpp"
#include "event/event_turn.hpp"
#include "event/event_udp.hpp"
#include "os/unix/cgroup.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process_state.hpp"
#include "os/unix/shmem.hpp"

namespace ngx {

namespace {

constexpr std::int64_t default_connections = 512;

bool timer_alarm_set = false;  // the timer of SIGALRM is running

/// The variables that the workers share, each on its own cache lines.
struct SharedCounters {
    alignas(128) ShmtxSh accept_mutex;
    alignas(128) Atomic connection_counter;
    alignas(128) Atomic stat_accepted;
    alignas(128) Atomic stat_handled;
    alignas(128) Atomic stat_requests;
    alignas(128) Atomic stat_active;
    alignas(128) Atomic stat_reading;
    alignas(128) Atomic stat_writing;
    alignas(128) Atomic stat_waiting;
};

Rc share_counters(Cycle& cycle)
{
    assert(!accept_mutex_ptr);
    Shm shm{.size = sizeof(SharedCounters), .name = "ngxx_shared_zone", .log = cycle.log};
    if (shm_alloc(shm) != Rc::ok) {
        return Rc::error;
    }
    auto* shared = ::new (shm.addr) SharedCounters{};

    accept_mutex_ptr = &shared->accept_mutex.lock;
    accept_mutex.spin = shmtx_only_try;
    shmtx_create(accept_mutex, shared->accept_mutex);

    connection_counter = &shared->connection_counter;
    connection_counter->store(1);
    log_debug(log_debug_event, cycle.log, 0, "counter: {}, {}", fmt::ptr(connection_counter),
              connection_counter->load());

    stat_accepted = &shared->stat_accepted;
    stat_handled = &shared->stat_handled;
    stat_requests = &shared->stat_requests;
    stat_active = &shared->stat_active;
    stat_reading = &shared->stat_reading;
    stat_writing = &shared->stat_writing;
    stat_waiting = &shared->stat_waiting;
    return Rc::ok;
}

void check_file_limit(const Cycle& cycle, const CoreConf& ccf, const EventConf& ecf)
{
    rlimit rlmt{};
    if (::getrlimit(RLIMIT_NOFILE, &rlmt) == -1) {
        log_error(log_alert, cycle.log, errno, "getrlimit(RLIMIT_NOFILE) failed, ignored");
        return;
    }

    const auto connections = static_cast<rlim_t>(*ecf.connections);
    const auto wanted = static_cast<rlim_t>(ccf.rlimit_nofile.value_or(0));
    if (connections > rlmt.rlim_cur && connections > wanted) {
        log_error(log_warn, cycle.log, 0,
                  "{} worker_connections exceed open file resource limit: {}", connections,
                  ccf.rlimit_nofile ? wanted : rlmt.rlim_cur);
    }
}

/// Returns the system's limit of open files for all processes; 0 if unknown.
std::uint64_t system_file_limit()
{
    std::uint64_t n = 0;
    std::ifstream("/proc/sys/fs/file-max") >> n;
    return n;
}

/// Warns at the start if the system has not enough files or memory for all connections. nginx has
/// no such check.
void check_totals(const Cycle& cycle, const CoreConf& ccf, const EventConf& ecf)
{
    constexpr std::uint64_t size = sizeof(Connection) + 2 * sizeof(Event) + connection_pool_size;
    constexpr std::uint64_t mega = 1024 * 1024;

    const auto workers = static_cast<std::uint64_t>(*ccf.master ? *ccf.worker_processes : 1);
    const std::uint64_t connections = workers * static_cast<std::uint64_t>(*ecf.connections);
    const std::uint64_t files = system_file_limit();
    const Share memory = memory_share();
    const auto bytes = static_cast<std::uint64_t>(memory.n);

    if ((files != 0 && connections > files) || connections > bytes / size) {
        log_error(log_warn, cycle.log, 0,
                  "{} worker processes with {} worker_connections each may need {} files of {} and "
                  "{} MB memory of {}{}{}",
                  workers, *ecf.connections, connections, files, connections * size / mega,
                  bytes / mega, memory.limited_by.empty() ? "" : ", which is ", memory.limited_by);
    }
}

/// Allocates the connections and their events, and puts all into the free list in address order.
void init_connections(Cycle& cycle)
{
    assert(!cycle.connections);
    assert(cycle.connection_n > 0);
    const std::size_t n = cycle.connection_n;
    cycle.connections = std::make_unique<Connection[]>(n);
    cycle.read_events = std::make_unique<Event[]>(n);
    cycle.write_events = std::make_unique<Event[]>(n);

    Connection* next = nullptr;
    for (std::size_t i = n; i-- > 0;) {
        Connection& c = cycle.connections[i];
        c.read = &cycle.read_events[i];
        c.write = &cycle.write_events[i];
        c.read->closed = 1;
        c.read->instance = 1;
        c.write->closed = 1;
        c.data = next;
        next = &c;
    }
    cycle.free_connections = next;
    cycle.free_connection_n = n;
}

/// nginx: ngx_event_module_init()
Rc event_module_init(Cycle& cycle)
{
    const CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    const EventConf& ecf = *event_get_conf<EventConf>(cycle.conf_ctx);

    if (!test_config && process <= Process::master) {
        log_error(log_notice, cycle.log, 0, "using the \"{}\" event method", ecf.name);
    }
    if (!cycle.connections && cycle.old_cycle && cycle.old_cycle->connections) {
        init_connections(cycle);  // this process's, while a reload can still be rejected
    }
    timer_resolution = *ccf.timer_resolution;
    check_file_limit(cycle, ccf, ecf);
    if (!test_config) {
        check_totals(cycle, ccf, ecf);
    }

    if (!*ccf.master || accept_mutex_ptr) {
        return Rc::ok;
    }
    return share_counters(cycle);
}

/// Handles SIGALRM: under timer_resolution the time is updated when this signal arrives, not in
/// each turn.
///
/// nginx: ngx_timer_signal_handler()
void timer_signal_handler(int)
{
    event_timer_alarm = 1;
    log_debug(log_debug_event, ngx_cycle->log, 0, "timer signal");
}

/// Starts the timer that sends SIGALRM every timer_resolution ms, or stops it after a reload that
/// does not use timer_resolution.
Rc init_timer_alarm(Cycle& cycle)
{
    const bool wanted = timer_resolution != 0 && (event_flags & use_timer_event) == 0;
    if (!wanted && !timer_alarm_set) {
        return Rc::ok;
    }

    struct sigaction sa {};
    sa.sa_handler = timer_signal_handler;
    sigemptyset(&sa.sa_mask);
    if (::sigaction(SIGALRM, &sa, nullptr) == -1) {
        log_error(log_alert, cycle.log, errno, "sigaction(SIGALRM) failed");
        return Rc::error;
    }

    itimerval itv{};
    if (wanted) {
        itv.it_interval.tv_sec = static_cast<time_t>(timer_resolution / 1000);
        itv.it_interval.tv_usec = static_cast<suseconds_t>(timer_resolution % 1000 * 1000);
        itv.it_value = itv.it_interval;
    }
    if (::setitimer(ITIMER_REAL, &itv, nullptr) == -1) {
        log_error(log_alert, cycle.log, errno, "setitimer() failed");
    }
    timer_alarm_set = wanted;
    return Rc::ok;
}

/// Allocates the table of connections by descriptor, for pollers that get only descriptors from the
/// kernel. A reload without a master copies the entries of the old cycle.
///
/// Differs from nginx: the table has room for the descriptors that are to be expected, and
/// get_connection() makes it larger for a higher one. nginx clears an entry for each descriptor
/// that RLIMIT_NOFILE allows, 8 GB if that is 2^30. The cost is a copy of the table when it grows.
void init_files(Cycle& cycle)
{
    constexpr std::size_t other_files = 1024;  // descriptors that are not connections

    if (cycle.old_cycle) {
        cycle.files_storage = cycle.old_cycle->files_storage;
    }
    resize_files(cycle, std::max(cycle.files_storage.size(), cycle.connection_n + other_files));
}

/// After a reload without a master, moves the reusable connections of the old cycle to the new one,
/// because this process still has them.
void inherit_reusable_connections(Cycle& cycle) noexcept
{
    assert(cycle.reusable_connections_queue.empty());
    Cycle* const old = cycle.old_cycle;
    if (!old) {
        return;
    }
    cycle.reusable_connections_queue.splice(cycle.reusable_connections_queue.begin(),
                                            old->reusable_connections_queue);
    cycle.reusable_connections_n = std::exchange(old->reusable_connections_n, 0);
}

/// Adds the listener to the poller: always with reuseport; not yet under the accept mutex; with
/// EPOLLEXCLUSIVE if several workers share the socket, so that only some of them wake up.
Rc watch_listening(const CoreConf& ccf, const Listening& ls, Event& rev)
{
    assert(rev.accept && !rev.active);
    if (ls.reuseport) {
        return event_actions.add(rev, read_event, 0);
    }
    if (use_accept_mutex) {
        return Rc::ok;
    }
    if ((event_flags & use_epoll_event) != 0 && *ccf.master && *ccf.worker_processes > 1) {
        use_exclusive_accept = true;
        return event_actions.add(rev, read_event, exclusive_event);
    }
    return event_actions.add(rev, read_event, 0);
}

/// Sets the table of the listener's clients. After a reload without a master it is the old
/// listener's.
void init_datagram_listening(const Cycle& cycle, Listening& ls)
{
    ls.udp_connections = ls.previous && cycle.old_cycle ? ls.previous->udp_connections : nullptr;
    if (!ls.udp_connections) {
        ls.udp_connections = std::make_shared<UdpConnections>();
    }
}

Rc init_listening(Cycle& cycle, const CoreConf& ccf, Listening& ls)
{
    assert(ls.fd != invalid_socket);
    assert(!ls.connection);
    if (ls.previous && cycle.old_cycle) {
        detach_listening(*ls.previous);
    }

    Connection* c = get_connection(ls.fd, cycle.log);
    if (!c) {
        return Rc::error;
    }
    c->type = ls.type;
    c->log = &ls.log;
    c->listening = &ls;
    ls.connection = c;

    Event& rev = *c->read;
    rev.log = c->log;
    rev.accept = 1;
    rev.deferred_accept = ls.deferred_accept;
    rev.handler = event_accept;
    if (ls.type == SOCK_DGRAM) {
        init_datagram_listening(cycle, ls);
        rev.handler = event_recvmsg;
    }
    return watch_listening(ccf, ls, rev);
}

/// nginx: ngx_event_process_init()
Rc event_process_init(Cycle& cycle)
{
    set_loop_thread();
    const CoreConf& ccf = *get_conf<CoreConf>(cycle.conf_ctx);
    const EventConf& ecf = *event_get_conf<EventConf>(cycle.conf_ctx);

    use_accept_mutex = *ccf.master && *ccf.worker_processes > 1 && *ecf.accept_mutex;
    accept_mutex_held = false;
    accept_mutex_delay = *ecf.accept_mutex_delay;
    use_exclusive_accept = false;
    log_limits_reset();

    if (event_method(cycle).actions.init(cycle, timer_resolution) != Rc::ok) {
        return Rc::error;
    }
    assert(event_actions.add && event_actions.del && event_actions.process_events);
    assert((event_flags & (use_clear_event | use_level_event)) != 0);
    event_observe_poller();
    if (init_timer_alarm(cycle) != Rc::ok) {
        return Rc::error;
    }
    if ((event_flags & use_fd_event) != 0) {
        init_files(cycle);
    }
    if (!cycle.connections) {
        init_connections(cycle);
    }
    inherit_reusable_connections(cycle);
    init_udp_ports(cycle);

    for (Listening& ls : cycle.listening) {
        if (ls.ignore || (ls.reuseport && ls.worker != ngx_worker)) {
            continue;
        }
        if (init_listening(cycle, ccf, ls) != Rc::ok) {
            return Rc::error;
        }
    }
    return Rc::ok;
}

/// nginx: ngx_event_connections()
const char* event_connections(Conf& cf, const Command&, void* conf)
{
    EventConf& ecf = *static_cast<EventConf*>(conf);
    if (ecf.connections) {
        return "is duplicate";
    }

    ecf.connections = atoi(cf.args[1]);
    if (!ecf.connections) {
        conf_log_error(log_emerg, cf, 0, "invalid number \"{}\"", cf.args[1]);
        return conf_error;
    }
    cf.cycle->connection_n = static_cast<std::size_t>(*ecf.connections);
    return conf_ok;
}

/// Returns the reason why a reload may not switch to this event method; empty if it may. Matters
/// only without a master: then the process keeps its connections.
std::string refused_method(const Cycle& cycle, const EventConf& ecf)
{
    if (process != Process::single || is_init_cycle(*cycle.old_cycle)) {
        return {};
    }
    const EventConf& old_ecf = *event_get_conf<EventConf>(cycle.old_cycle->conf_ctx);
    if (old_ecf.use == ecf.use) {
        return {};
    }
    if (old_ecf.name == ecf.name) {
        return fmt::format("without a master process the file of the event type \"{}\" cannot be "
                           "replaced by a reload; stop the server and start it again",
                           ecf.name);
    }
    return fmt::format("without a master process the event type cannot be changed by a reload: "
                       "\"{}\" is asked for, \"{}\" is in use; stop the server and start it again",
                       ecf.name, old_ecf.name);
}

/// Returns the methods that `use` accepts: "epoll, poll, select".
///
/// Differs from nginx: nginx does not list them.
std::string method_names(const Cycle& cycle)
{
    std::string names;
    for (const Module* module : modules_of(cycle)) {
        if (module->type == ModuleType::event && module != &event_core_module) {
            names += names.empty() ? "" : ", ";
            names += event_ctx(*module).name;
        }
    }
    return names;
}

/// nginx: ngx_event_use()
const char* event_use(Conf& cf, const Command&, void* conf)
{
    EventConf& ecf = *static_cast<EventConf*>(conf);
    if (ecf.use) {
        return "is duplicate";
    }

    for (const Module* module : modules_of(*cf.cycle)) {
        if (module->type != ModuleType::event || event_ctx(*module).name != cf.args[1]) {
            continue;
        }
        ecf.use = module->ctx_index;
        ecf.name = event_ctx(*module).name;
        ecf.use_file = cf.pool->pstrdup(cf.conf_file->name);
        ecf.use_line = cf.conf_file->line;

        if (const std::string why = refused_method(*cf.cycle, ecf); !why.empty()) {
            conf_log_error(log_emerg, cf, 0, "{}", why);
            return conf_error;
        }
        return conf_ok;
    }

    conf_log_error(log_emerg, cf, 0, "invalid event type \"{}\" (there are {})", cf.args[1],
                   method_names(*cf.cycle));
    return conf_error;
}

/// Resolves a host name and adds each of its addresses as a network with a single address.
const char* add_debug_host(Conf& cf, EventConf& ecf)
{
    Url u{.host = cf.args[1]};
    if (inet_resolve_host(*cf.pool, u) != Rc::ok) {
        conf_log_error(log_emerg, cf, 0, "{} in debug_connection \"{}\"", u.err, u.host);
        return conf_error;
    }

    for (const Addr& addr : u.addrs) {
        const SockaddrText text(&addr.sockaddr.any, addr.socklen, false);
        (void)ptocidr(text.view(), ecf.debug_connection.emplace_back());
    }
    return conf_ok;
}

/// nginx: ngx_event_debug_connection()
const char* event_debug_connection(Conf& cf, const Command&, void* conf)
{
    EventConf& ecf = *static_cast<EventConf*>(conf);

    if (!have_debug) {
        conf_log_error(log_warn, cf, 0,
                       "\"debug_connection\" is ignored, you need to rebuild {} with the "
                       "with_debug option to enable it",
                       server_name);
        return conf_ok;
    }

    if (cf.args[1] == "unix:") {
        ecf.debug_connection.push_back({.family = AF_UNIX});
        return conf_ok;
    }

    Cidr cidr;
    switch (ptocidr(cf.args[1], cidr)) {
    case Rc::done:
        conf_log_error(log_warn, cf, 0, "low address bits of {} are meaningless", cf.args[1]);
        [[fallthrough]];
    case Rc::ok:
        ecf.debug_connection.push_back(cidr);
        return conf_ok;
    default:
        return add_debug_host(cf, ecf);
    }
}

std::string show_event_use(const void* conf)
{
    return std::string(static_cast<const EventConf*>(conf)->name);
}

std::string show_network(const Cidr& cidr)
{
    if (cidr.family == AF_UNIX) {
        return "unix:";
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (cidr.family == AF_INET) {
        ::inet_ntop(AF_INET, &cidr.addr, text.data(), text.size());
        return fmt::format("{}/{}", text.data(), std::popcount(cidr.mask.s_addr));
    }
    ::inet_ntop(AF_INET6, &cidr.addr6, text.data(), text.size());
    int bits = 0;
    for (const std::uint8_t byte : cidr.mask6.s6_addr) {
        bits += std::popcount(byte);
    }
    return fmt::format("{}/{}", text.data(), bits);
}

std::string show_debug_connection(const void* conf)
{
    std::string text;
    for (const Cidr& cidr : static_cast<const EventConf*>(conf)->debug_connection) {
        text += text.empty() ? "" : " ";
        text += show_network(cidr);
    }
    return text;
}

/// nginx: ngx_event_core_create_conf()
void* event_core_create_conf(Cycle& cycle)
{
    return cycle.pool->create<EventConf>();
}

/// Returns the default poller: the first in the table that works on this system. The table has the
/// best poller first.
const Module* default_event_module(const Cycle& cycle)
{
    const Module* found = nullptr;
    for (const Module* module : modules_of(cycle)) {
        if (module->type != ModuleType::event || module == &event_core_module) {
            continue;
        }
        found = found ? found : module;
        if (event_ctx(*module).name != "epoll") {
            return module;
        }

        // Errors other than ENOSYS do not mean that epoll is missing; init will report them.
        const int fd = ::epoll_create1(EPOLL_CLOEXEC);
        if (fd != -1) {
            ::close(fd);
            return module;
        }
        if (errno != ENOSYS) {
            return module;
        }
    }
    return found;
}

/// nginx: ngx_event_core_init_conf()
const char* event_core_init_conf(Cycle& cycle, void* conf)
{
    EventConf& ecf = *static_cast<EventConf*>(conf);

    const Module* module = default_event_module(cycle);
    if (!module) {
        conf_log_error(log_emerg, cycle.log, {}, 0, "no events module found");
        return conf_error;
    }

    conf_init_value(ecf.connections, default_connections);
    cycle.connection_n = static_cast<std::size_t>(*ecf.connections);

    if (!ecf.use) {
        ecf.use = module->ctx_index;
        ecf.name = event_ctx(*module).name;
        if (const std::string why = refused_method(cycle, ecf); !why.empty()) {
            conf_log_error(log_emerg, cycle.log, {}, 0, "{}", why);
            return conf_error;
        }
    }
    conf_init_value(ecf.multi_accept, false);
    conf_init_value(ecf.accept_mutex, event_method(cycle).needs_accept_mutex);
    conf_init_value(ecf.accept_mutex_delay, Msec{500});
    return conf_ok;
}

constexpr Command event_core_commands[] = {
    {
        .name = "worker_connections",
        .type = event_conf | conf_take1,
        .set = event_connections,
        .show = conf_show_slot<&EventConf::connections>,
    },
    {
        .name = "use",
        .type = event_conf | conf_take1,
        .set = event_use,
        .show = show_event_use,
    },
    {
        .name = "multi_accept",
        .type = event_conf | conf_flag,
        .set = conf_set_flag_slot<&EventConf::multi_accept>,
        .show = conf_show_slot<&EventConf::multi_accept>,
    },
    {
        .name = "accept_mutex",
        .type = event_conf | conf_flag,
        .set = conf_set_flag_slot<&EventConf::accept_mutex>,
        .show = conf_show_slot<&EventConf::accept_mutex>,
    },
    {
        .name = "accept_mutex_delay",
        .type = event_conf | conf_take1,
        .set = conf_set_msec_slot<&EventConf::accept_mutex_delay>,
        .show = conf_show_slot<&EventConf::accept_mutex_delay>,
    },
    {
        .name = "debug_connection",
        .type = event_conf | conf_take1,
        .set = event_debug_connection,
        .show = show_debug_connection,
    },
};

constexpr EventModule event_core_module_ctx = {
    .name = "event_core",
    .create_conf = event_core_create_conf,
    .init_conf = event_core_init_conf,
};

}  // namespace

const EventModule& event_method(const Cycle& cycle) noexcept
{
    const std::size_t use = *event_get_conf<EventConf>(cycle.conf_ctx)->use;
    const auto is_it = [use](const Module* module) {
        return module->type == ModuleType::event && module->ctx_index == use;
    };
    return event_ctx(**std::ranges::find_if(modules_of(cycle), is_it));
}

constinit Module event_core_module = {
    .ctx = &event_core_module_ctx,
    .commands = event_core_commands,
    .type = ModuleType::event,
    .init_module = event_module_init,
    .init_process = event_process_init,
};

}  // namespace ngx
