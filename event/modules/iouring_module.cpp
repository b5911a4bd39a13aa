#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <new>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <liburing.h>

#include "core/buf.hpp"
#include "core/conf_slot.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/log_limit.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_core_module.hpp"
#include "event/event_dispatch.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "event/modules/iouring_arrivals.hpp"
#include "event/modules/iouring_buffers.hpp"
#include "event/modules/iouring_sends.hpp"
#include "os/unix/iovec.hpp"
#include "os/unix/os.hpp"
#include "os/unix/process_cycle.hpp"
#include "os/unix/recv_ready.hpp"

namespace ngx {

extern Module iouring_module;

/// Waits with io_uring: a poll request for each active event. The changes of a turn, its wait and
/// the timeout of the wait are one system call, io_uring_enter(). With "iouring_io completion" the
/// kernel also accepts, receives and sends: io has functions that take connections and data that
/// have arrived, and that keep data to send until the next wait. docs/iouring.md explains it.
/// The ring belongs to the process that created it; only the loop's thread uses it, except notify.
///
/// nginx has no such module.
namespace {

/// The values of iouring_io.
enum class IouringIo { readiness, completion };

struct IouringConf {
    static constexpr Module* module = &iouring_module;

    std::optional<std::int64_t> entries{};
    std::optional<IouringIo> io{};
    std::optional<bool> fallback{};
    std::optional<Bufs> buffers{};
};

/// A kind of request. nop asks for nothing: its completion reports data that has arrived before.
enum class Request : std::uint8_t { none, poll, receive, nop, send, arrival };

/// The index of no requests of a listener.
constexpr std::uint16_t no_arrivals = 0xffff;

/// A request and the event that it belongs to. The index of a watch is the user data of its
/// request. An event that is deleted leaves its watch at once, but a watch is used again only when
/// the kernel has reported the end of its request, so that no completion is taken for a later one.
///
/// A connection whose data the kernel receives keeps its watch, with the data, from the first call
/// of io.recv that has found no more data until the connection is closed.
struct Watch {
    Event* ev = nullptr;  // null: deleted
    int fd = -1;
    std::uint32_t events = 0;     // of poll(2)
    std::uint32_t next_free = 0;  // in the list of free watches
    bool multishot = false;       // reports edges, and stays; else it is renewed after each report
    bool queued = false;          // in `changes`
    bool cancelled = false;       // the kernel has been asked to end the request
    Request armed = Request::none;  // what the kernel has

    bool receives = false;  // the owner reads with io.recv
    bool polls = false;     // but a poll request comes first
    bool refused = false;   // the kernel cannot receive from this descriptor
    bool wakes = false;     // something that was not reported is here
    bool bulk = false;      // more than a buffer was read since the last report
    bool more = false;      // the socket may have data behind that of the buffer
    bool eof = false;       // the data has ended
    bool sends = false;     // something that io.send has taken was not sent
    std::uint16_t id = 0;   // of the buffer
    IouringSends::Id send = IouringSends::none;
    std::uint32_t left = 0;                // bytes of the buffer that were not read
    Err err = 0;                           // a request has failed, and the owner has not been told
    bool rests = false;                    // the socket was full: what was not sent waits for room
    bool shuts = false;                    // shutdown() follows when all is sent
    std::uint16_t arrivals = no_arrivals;  // the requests of this listener
    const char* data = nullptr;            // in the buffer; null: none is held

    [[nodiscard]] bool has_ended() const noexcept { return eof || err != 0; }
};

static_assert(sizeof(Watch) <= 56, "docs/iouring.md names its size");

/// The members of an io_uring_cqe that are needed.
struct Completion {
    std::uint64_t data;
    int res;
    std::uint32_t flags;

    [[nodiscard]] bool goes_on() const noexcept { return (flags & IORING_CQE_F_MORE) != 0; }
};

constexpr std::uint32_t no_watch = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t cancel_data = no_watch;  // user data of a request to cancel another

/// Parts of the user data of requests that send, and of those that close what was sent to. The rest
/// is the index of the send.
constexpr std::uint64_t send_mark = std::uint64_t{1} << 32;
constexpr std::uint64_t close_mark = std::uint64_t{1} << 33;

/// Part of the user data of requests of listeners. The rest is the index of the listener's requests
/// and that of the request.
constexpr std::uint64_t arrival_mark = std::uint64_t{1} << 34;

/// The user data of requests to set TCP_NODELAY.
constexpr std::uint64_t nodelay_data = std::uint64_t{1} << 35;

/// A command of IORING_OP_URING_CMD that liburing 2.3 does not know. It is in Linux 6.7.
///
/// Linux: SOCKET_URING_OP_SETSOCKOPT
constexpr std::uint32_t setsockopt_command = 3;

/// The kernel sends the rest of the data of a closed connection for at most this time.
constexpr __kernel_timespec linger_time = {.tv_sec = 60, .tv_nsec = 0};

/// A send that the kernel continues after a close needs three requests at once.
constexpr unsigned min_entries = 4;

/// The number of watches in addition to those of the connections.
constexpr std::size_t other_watches = 1024;

/// The kernel's limit of the completion queue.
constexpr std::size_t max_completions = 65536;

constexpr Msec cancel_timeout = 1000;

struct {
    const EventModule* fallback = nullptr;  // the event method in use if io_uring is refused

    io_uring ring{};
    bool open = false;
    pid_t owner = 0;  // the process that created the ring
    unsigned entries = 0;
    std::size_t connections = 0;  // for which the completion queue has room

    std::vector<Watch> watches{};
    std::uint32_t free_watches = no_watch;
    std::vector<std::uint32_t> changes{};  // watches whose request has to be made or cancelled
    IouringBuffers buffers{};              // open only with completion
    Bufs buffers_conf{};                   // for another ring
    std::size_t armed = 0;                 // requests that the kernel has
    unsigned cancels = 0;                  // requests to cancel that were queued for this wait

    IouringSends sends{};                        // open only with completion
    std::vector<IouringSends::Id> send_queue{};  // the sends of this turn
    std::size_t pushed = 0;                      // the first of them: in the submission queue
    std::size_t lingering = 0;                   // sends of closed connections that the kernel has
    IouringSends::Id closing = IouringSends::none;  // of the connection that is closed now

    std::vector<std::unique_ptr<IouringArrivals>> arrivals{};  // null: the index is not in use
    std::unique_ptr<IouringArrivals> lost_arrivals{};          // of rings that were lost
    std::size_t arriving = 0;                                  // requests that the kernel has
    bool sets_options = false;         // the kernel sets options of sockets by requests
    std::vector<int> without_delay{};  // descriptors whose option is set by the next submission

    int notify_fd = -1;
    std::atomic<EventHandler> notify_handler = nullptr;  // written by any thread
    std::uint32_t notifications = 0;
    Event notify_event{};
    Connection notify_conn{};

    LogLimit poll_failed{};
} state;

extern const EventModule iouring_module_ctx;

int iouring_accept(Connection& lc, SockaddrUnion& sa, socklen_t& socklen) noexcept;
int iouring_nodelay(Connection& c) noexcept;
ssize_t iouring_recvmsg(Connection& lc, msghdr& msg) noexcept;
ssize_t iouring_sendmsg(Connection& c, const msghdr& msg, int flags) noexcept;
ssize_t iouring_udp_send(Connection& c, const char* buf, std::size_t size) noexcept;
ssize_t iouring_recv(Connection& c, char* buf, std::size_t size) noexcept;
ssize_t iouring_recv_chain(Connection& c, Chain* in, off_t limit) noexcept;
ssize_t iouring_send(Connection& c, const char* buf, std::size_t size) noexcept;
Chain* iouring_send_chain(Connection& c, Chain* in, off_t limit);
int iouring_shutdown(Connection& c, int how) noexcept;
int iouring_close(int fd) noexcept;
void finish_sends() noexcept;
bool take_completion(Completion& completion) noexcept;

constexpr std::uint32_t read_events = POLLIN | POLLRDHUP;
constexpr std::uint32_t write_events = POLLOUT;

/// The flags of a ring, the best first. A kernel refuses flags that it does not know: deferred task
/// work is in Linux 6.1, a single issuer in 6.0, cooperative task work in 5.19.
constexpr unsigned ring_flags[] = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN,
    0,
};

/// The features that the kernel must have: completions that are never dropped, and a timeout of the
/// wait. Tags of resources are not used; they came with multishot poll, in Linux 5.13.
constexpr unsigned needed_features =
    IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS;

/// Makes the submissions visible to the kernel. Returns their number.
unsigned flush_submissions() noexcept
{
    assert(state.open);
    io_uring_sq& sq = state.ring.sq;
    for (; sq.sqe_head != sq.sqe_tail; sq.sqe_head++) {
        if (sq.array) {
            sq.array[sq.sqe_head & *sq.kring_mask] = sq.sqe_head & *sq.kring_mask;
        }
    }
    io_uring_smp_store_release(sq.ktail, sq.sqe_tail);
    return sq.sqe_tail - io_uring_smp_load_acquire(sq.khead);
}

/// Submits what is queued and waits up to `timer` ms for `wait_n` completions. Returns the number
/// of submissions that the kernel took, or a negative errno; -ETIME if the time is over.
///
/// The function of liburing that also submits and waits cannot be used: after a signal it waits
/// again if there were submissions.
int enter(unsigned submit, unsigned wait_n, Msec timer) noexcept
{
    __kernel_timespec ts{};
    ts.tv_sec = static_cast<std::int64_t>(timer / 1000);
    ts.tv_nsec = static_cast<std::int64_t>(timer % 1000 * 1'000'000);

    io_uring_getevents_arg arg{};
    arg.sigmask_sz = _NSIG / 8;
    if (timer != timer_infinite) {
        arg.ts = reinterpret_cast<std::uintptr_t>(&ts);
    }
    const int rc = ::io_uring_enter2(static_cast<unsigned>(state.ring.ring_fd), submit, wait_n,
                                     IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                     reinterpret_cast<sigset_t*>(&arg), sizeof(arg));
    if (rc != -EBADR) {
        finish_sends();
    }
    if (io_uring_sq_ready(&state.ring) == 0) {
        state.without_delay.clear();
    }
    return rc;
}

/// Submits what is queued without a wait, so that the submission queue has room again. Returns
/// false if the kernel took nothing; the rest is then submitted later.
bool submit() noexcept
{
    return enter(flush_submissions(), 0, 0) > 0;
}

/// The buffers stay: the memory may be released when all requests have ended.
void close_ring() noexcept
{
    if (state.open) {
        ::io_uring_queue_exit(&state.ring);
        state.open = false;
    }
}

/// Creates the ring. Returns 0 or an errno: EOPNOTSUPP for a kernel that is too old.
Err open_ring(unsigned entries, std::size_t connections) noexcept
{
    int rc = -EINVAL;
    for (const unsigned flags : ring_flags) {
        io_uring_params params{};
        params.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
        // Both events of each connection can be reported at once.
        params.cq_entries = static_cast<unsigned>(
            std::min(2 * std::max<std::size_t>(entries, connections), max_completions));
        rc = ::io_uring_queue_init_params(
            state.buffers_conf.num != 0 ? std::max(entries, min_entries) : entries, &state.ring,
            &params);
        if (rc != -EINVAL) {
            break;
        }
    }
    if (rc != 0) {
        return -rc;
    }
    state.open = true;
    if ((state.ring.features & needed_features) != needed_features) {
        close_ring();
        return EOPNOTSUPP;
    }
    // A filter of system calls may permit one call and refuse another.
    rc = enter(0, 0, 0);
    if (rc < 0 && rc != -EINTR && rc != -ETIME) {
        close_ring();
        return -rc;
    }
    state.owner = ::getpid();
    return 0;
}

/// Creates the ring, and with completion its buffers. Without the buffers io_uring only waits: a
/// kernel before Linux 5.19 has none. Returns 0 or an errno.
Err open_ring_and_buffers() noexcept
{
    assert(!state.buffers.is_open());
    if (const Err err = open_ring(state.entries, state.connections); err != 0) {
        return err;
    }
    if (state.buffers_conf.num == 0) {
        return 0;
    }
    const Err err = state.buffers.open(state.ring, static_cast<unsigned>(state.buffers_conf.num),
                                       state.buffers_conf.size);
    if (err == EINVAL || err == EOPNOTSUPP) {
        return 0;
    }
    if (err != 0) {
        close_ring();
    }
    return err;
}

std::string locked_memory_limit()
{
    rlimit limit{};
    (void)::getrlimit(RLIMIT_MEMLOCK, &limit);
    return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : fmt::format("{} bytes", limit.rlim_cur);
}

/// Returns why the kernel refuses io_uring, and the remedy.
std::string why_refused(Err err)
{
    int disabled = 0;
    switch (err) {
    case EPERM:
        std::ifstream("/proc/sys/kernel/io_uring_disabled") >> disabled;
        if (disabled == 0) {
            return "a filter of system calls, for example a container's, forbids it: allow "
                   "io_uring_setup, io_uring_enter and io_uring_register";
        }
        return fmt::format("the sysctl kernel.io_uring_disabled is {}: set it to 0{}", disabled,
                           disabled == 1 ? ", or the worker's group in kernel.io_uring_group" : "");
    case ENOSYS:
        return "the kernel, or a sandbox, has none: use Linux 5.13 or later";
    case EINVAL:
    case EOPNOTSUPP:
        return "the kernel is too old: use Linux 5.13 or later";
    case ENOMEM:
        return fmt::format("the limit of locked memory (RLIMIT_MEMLOCK, {}) or the memory of the "
                           "cgroup is too small: raise it, or lower \"iouring_entries\" or "
                           "\"iouring_buffers\"",
                           locked_memory_limit());
    case EMFILE:
    case ENFILE:
        return "no descriptor is free: raise \"worker_rlimit_nofile\" or the system's limit";
    default:
        return "the cause is the error at the end of this line";
    }
}

/// Reports that io_uring cannot be used.
void log_refused(unsigned level, Log* log, Err err, std::string_view consequence)
{
    log_error(level, log, err, "event method \"iouring\": io_uring is refused, {}; {}",
              why_refused(err), consequence);
}

constexpr std::string_view without_fallback =
    "another event method, or \"iouring_fallback on\", needs no io_uring";

/// Returns the context of epoll, or null if this build does not have it.
const EventModule* find_epoll(const Cycle& cycle) noexcept
{
    for (const Module* module : modules_of(cycle)) {
        if (module->type == ModuleType::event) {
            const EventModule& ctx = event_ctx(*module);
            if (ctx.name == "epoll") {
                return &ctx;
            }
        }
    }
    return nullptr;
}

/// Takes what a ring needs from the configuration.
void use_conf(const IouringConf& iucf, const Cycle& cycle) noexcept
{
    state.entries = static_cast<unsigned>(*iucf.entries);
    state.connections = cycle.connection_n;
    state.buffers_conf = *iucf.io == IouringIo::completion ? *iucf.buffers : Bufs{};
}

/// Tries at the start, in the first process, and under -t, whether the kernel permits io_uring, so
/// that a configuration that cannot work is refused before workers start. The current cycle, whose
/// hooks are called again after a failed reload, needs no ring here.
Rc iouring_init_module(Cycle& cycle)
{
    const IouringConf& iucf = *event_get_conf<IouringConf>(cycle.conf_ctx);
    if (&event_method(cycle) != &iouring_module_ctx || *iucf.fallback || state.open ||
        &cycle == ngx_cycle) {
        return Rc::ok;
    }
    use_conf(iucf, cycle);
    if (const Err err = open_ring_and_buffers(); err != 0) {
        log_refused(log_emerg, cycle.log, err, without_fallback);
        return Rc::error;
    }
    close_ring();
    state.buffers.close();
    return Rc::ok;
}

/// Logs what the kernel has, once for all workers.
void log_features(Log* log)
{
    const auto flag = [](unsigned bit, const char* text) {
        return (state.ring.flags & bit) != 0 ? text : "";
    };
    log_error(log_notice, log, 0,
              "io_uring: {} submissions, {} completions, multishot poll{}{}{}{}{}{}{}",
              *state.ring.sq.kring_entries, *state.ring.cq.kring_entries,
              flag(IORING_SETUP_SINGLE_ISSUER, ", single issuer"),
              flag(IORING_SETUP_DEFER_TASKRUN, ", deferred task work"),
              flag(IORING_SETUP_COOP_TASKRUN, ", cooperative task work"),
              flag(IORING_SETUP_SUBMIT_ALL, ", submission goes on after an error"),
              (state.ring.features & IORING_FEAT_CQE_SKIP) != 0 ? ", skipped completions" : "",
              state.buffers.is_open() ? ", provided buffers, sends" : "",
              state.sets_options ? ", socket options" : "");
    if (state.buffers_conf.num != 0 && !state.buffers.is_open()) {
        log_error(log_warn, log, 0,
                  "\"iouring_io completion\" needs provided buffers, which are in Linux 5.19: "
                  "\"iouring_io readiness\" is used instead");
    }
}

void close_fd(int& fd, std::string_view what, Log* log) noexcept
{
    if (fd != -1 && ::close(fd) == -1) {
        log_error(log_alert, log, errno, "{}close() failed", what);
    }
    fd = -1;
}

/// The eventfd is watched for edges, so each write is reported, and it is read only before its
/// counter would overflow.
void iouring_notify_handler(Event& ev) noexcept
{
    if (++state.notifications == std::numeric_limits<std::uint32_t>::max()) {
        state.notifications = 0;
        std::uint64_t count = 0;
        if (::read(state.notify_fd, &count, sizeof(count)) != sizeof(count)) {
            log_error(log_alert, ev.log, errno, "read() eventfd {} failed", state.notify_fd);
        }
    }
    state.notify_handler.load(std::memory_order_relaxed)(ev);
}

Rc iouring_notify_init(Log* log)
{
    state.notify_fd = ::eventfd(0, EFD_CLOEXEC);
    if (state.notify_fd == -1) {
        log_error(log_emerg, log, errno, "eventfd() failed");
        return Rc::error;
    }
    log_debug(log_debug_event, log, 0, "notify eventfd: {}", state.notify_fd);

    Event& ev = state.notify_event;
    Connection& c = state.notify_conn;
    ev.handler = iouring_notify_handler;
    ev.log = log;
    ev.data = &c;
    c.fd = state.notify_fd;
    c.read = &ev;
    c.log = log;
    return iouring_module_ctx.actions.add(ev, read_event, clear_event);
}

/// done remains this module's, so that it forgets the choice.
Rc start_fallback(Cycle& cycle, Msec timer)
{
    const Rc rc = state.fallback->actions.init(cycle, timer);
    event_actions.done = iouring_module_ctx.actions.done;
    return rc;
}

/// Uses epoll instead, as iouring_fallback permits.
Rc init_fallback(Cycle& cycle, Msec timer, Err err)
{
    if (ngx_worker == 0) {
        log_refused(log_warn, cycle.log, err, "epoll is used instead");
    }
    state.fallback = find_epoll(cycle);
    return start_fallback(cycle, timer);
}

/// Without a master a reload keeps the ring and its buffers.
void warn_of_changes(const IouringConf& iucf, Log* log)
{
    const auto warn = [&](std::string_view directive, std::string_view value) {
        log_error(log_warn, log, 0,
                  "without a master process \"{}\" stays {} until the server is started again",
                  directive, value);
    };
    if (state.entries != static_cast<unsigned>(*iucf.entries)) {
        warn("iouring_entries", fmt::format("{}", state.entries));
    }
    const bool completes = state.buffers_conf.num != 0;
    const Bufs& bufs = *iucf.buffers;
    if (completes != (*iucf.io == IouringIo::completion)) {
        warn("iouring_io", completes ? "completion" : "readiness");
    } else if (completes &&
               (bufs.num != state.buffers_conf.num || bufs.size != state.buffers_conf.size)) {
        warn("iouring_buffers",
             fmt::format("{} {}", state.buffers_conf.num, state.buffers_conf.size));
    }
}

/// Makes a request of this entry that sets TCP_NODELAY.
void prepare_nodelay(io_uring_sqe* sqe, int fd) noexcept
{
    static constexpr int on = 1;
    static constexpr std::uint32_t option[] = {IPPROTO_TCP, TCP_NODELAY};
    *sqe = {};
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = fd;
    sqe->cmd_op = setsockopt_command;
    std::memcpy(&sqe->addr, option, sizeof(option));
    sqe->file_index = sizeof(on);  // the length of the value
    sqe->addr3 = reinterpret_cast<std::uintptr_t>(&on);
}

/// Asks the new ring whether the kernel sets options of sockets.
bool probe_setsockopt() noexcept
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    io_uring_sqe* const sqe = fd != -1 ? ::io_uring_get_sqe(&state.ring) : nullptr;
    bool is_set = false;
    if (sqe) {
        prepare_nodelay(sqe, fd);
        sqe->user_data = cancel_data;
        (void)enter(flush_submissions(), 1, cancel_timeout);
        Completion completion;
        is_set = take_completion(completion) && completion.res == 0;
    }
    if (fd != -1) {
        ::close(fd);
    }
    return is_set;
}

/// Creates the ring in the process that uses it: a worker never has the ring of its master.
Rc iouring_init(Cycle& cycle, Msec timer)
{
    const IouringConf& iucf = *event_get_conf<IouringConf>(cycle.conf_ctx);
    if (state.fallback) {
        return start_fallback(cycle, timer);
    }
    const bool is_new = !state.open;
    if (is_new) {
        use_conf(iucf, cycle);
        const Err err = open_ring_and_buffers();
        if (err != 0 && *iucf.fallback) {
            return init_fallback(cycle, timer, err);
        }
        if (err != 0) {
            log_refused(log_emerg, cycle.log, err, without_fallback);
            return Rc::error;
        }
    } else {
        warn_of_changes(iucf, cycle.log);
    }
    // Reserves all the memory, so that the loop does not allocate.
    const std::size_t watches = state.watches.size() + 2 * cycle.connection_n + other_watches;
    state.watches.reserve(watches);
    state.changes.reserve(watches);
    if (state.buffers.is_open() && !state.sends.is_open()) {
        const auto number = static_cast<std::size_t>(state.buffers_conf.num);
        state.sends.open(number, state.buffers_conf.size);
        state.send_queue.reserve(number);
        state.without_delay.reserve(*state.ring.sq.kring_entries);
    }

    bool has_notify = state.notify_fd != -1;
    if (is_new) {
        state.sets_options = state.buffers.is_open() && probe_setsockopt();
        has_notify = iouring_notify_init(cycle.log) == Rc::ok;
        if (ngx_worker == 0) {
            log_features(cycle.log);
        }
    }
    state.notify_event.log = cycle.log;
    state.notify_conn.log = cycle.log;

    use_epoll_rdhup = true;
    io = os_io;
    if (state.buffers.is_open()) {
        io.accept = iouring_accept;
        io.nodelay = iouring_nodelay;
        io.recvmsg = iouring_recvmsg;
        io.sendmsg = iouring_sendmsg;
        io.udp_send = iouring_udp_send;
        io.recv = iouring_recv;
        io.recv_chain = iouring_recv_chain;
        io.send = iouring_send;
        io.send_chain = iouring_send_chain;
        io.shutdown = iouring_shutdown;
        io.close = iouring_close;
    }
    event_actions = iouring_module_ctx.actions;
    if (!has_notify) {
        event_actions.notify = nullptr;
    }
    event_flags = use_clear_event | use_greedy_event | use_epoll_event;
    return Rc::ok;
}

/// Makes the next push_changes() look at the watch.
void queue_change(std::uint32_t index) noexcept
{
    assert(index < state.watches.size());
    Watch& watch = state.watches[index];
    if (!watch.queued) {
        watch.queued = true;
        state.changes.push_back(index);
    }
}

void release_watch(std::uint32_t index) noexcept
{
    assert(!state.watches[index].ev && !state.watches[index].data);
    assert(state.watches[index].armed == Request::none);
    state.watches[index] = {.next_free = state.free_watches};
    state.free_watches = index;
}

/// Returns the index of an unused watch; no_watch after logging if memory ran out.
std::uint32_t get_watch(Log* log) noexcept
try {
    const std::uint32_t index = state.free_watches;
    if (index != no_watch) {
        state.free_watches = state.watches[index].next_free;
        return index;
    }
    state.changes.reserve(state.watches.capacity());
    state.watches.emplace_back();
    return static_cast<std::uint32_t>(state.watches.size() - 1);
} catch (const std::bad_alloc&) {
    log_error(log_emerg, log, 0, "no memory for another event");
    return no_watch;
}

void give_buffer(Watch& watch) noexcept
{
    if (watch.data) {
        watch.data = nullptr;
        state.buffers.give(watch.id);
    }
}

/// Closes the connection that a request has got, if it has. A datagram is lost.
void discard_arrival(const IouringArrivals& arrivals, int res) noexcept
{
    if (!arrivals.has_datagrams() && res >= 0) {
        close_fd(res, "", ngx_cycle->log);
    }
}

void release_arrivals(std::size_t id) noexcept
{
    if (state.arrivals[id]->armed() == 0) {
        state.arrivals[id].reset();
    }
}

/// Separates the requests from their listener. They are released when they have ended.
void detach_arrivals(std::size_t id) noexcept
{
    IouringArrivals& arrivals = *state.arrivals[id];
    while (arrivals.has_result()) {
        discard_arrival(arrivals, arrivals.take().res);
    }
    arrivals.detach();
    release_arrivals(id);
}

/// Separates the watch from its event. What has arrived and was not read is lost, as the data in a
/// socket is that is closed. What was to be sent is sent, if iouring_close() is called next.
void detach_watch(std::uint32_t index) noexcept
{
    Watch& watch = state.watches[index];
    give_buffer(watch);
    if (std::exchange(watch.sends, false)) {
        state.sends[watch.send].ev = nullptr;
        state.closing = watch.send;
    }
    if (watch.arrivals != no_arrivals) {
        detach_arrivals(std::exchange(watch.arrivals, no_arrivals));
    }
    watch.ev = nullptr;
    queue_change(index);
}

/// Returns the request that the watch needs now. The kernel receives for a connection only while
/// all that has arrived was read, so that a connection holds no more than one buffer, and the peer
/// of an owner that does not read finds the socket full.
Request wanted_request(const Watch& watch) noexcept
{
    if (!watch.ev || (!watch.ev->active && !watch.rests)) {
        return Request::none;
    }
    if (watch.arrivals != no_arrivals) {
        return Request::none;  // push_arrivals() makes the requests
    }
    if (!watch.receives) {
        return Request::poll;
    }
    const bool stored = watch.data || watch.has_ended();
    if (watch.wakes || (stored && !watch.multishot)) {
        return Request::nop;
    }
    return stored || watch.polls ? Request::poll : Request::receive;
}

/// Returns the events that a request to poll is for. After the end of the data only an error or a
/// hang-up is new.
std::uint32_t polled_events(const Watch& watch) noexcept
{
    return watch.has_ended() ? 0 : watch.events;
}

/// Returns an entry of the submission queue; null if it is full and the kernel does not take it.
io_uring_sqe* get_submission() noexcept
{
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&state.ring);
    if (sqe) {
        return sqe;
    }
    (void)submit();
    return ::io_uring_get_sqe(&state.ring);
}

/// Makes room for `n` entries in the submission queue. Returns false if the kernel does not take
/// those in front.
bool make_room(unsigned n) noexcept
{
    assert(n <= *state.ring.sq.kring_entries);
    return io_uring_sq_space_left(&state.ring) >= n ||
           (submit() && io_uring_sq_space_left(&state.ring) >= n);
}

void push_request(io_uring_sqe* sqe, std::uint32_t index, Request request) noexcept
{
    Watch& watch = state.watches[index];
    switch (request) {
    case Request::receive:
        ::io_uring_prep_recv(sqe, watch.fd, nullptr, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = IouringBuffers::group;
        sqe->ioprio = watch.more ? 0 : IORING_RECVSEND_POLL_FIRST;
        break;
    case Request::nop:
        ::io_uring_prep_nop(sqe);
        watch.wakes = false;
        break;
    default:
        ::io_uring_prep_poll_add(sqe, watch.fd, polled_events(watch));
        if (watch.multishot) {
            sqe->len = IORING_POLL_ADD_MULTI;
        }
        break;
    }
    sqe->user_data = index;
    watch.armed = request;
    state.armed++;
}

void push_cancel(io_uring_sqe* sqe, std::uint32_t index) noexcept
{
    ::io_uring_prep_cancel64(sqe, index, 0);
    if ((state.ring.features & IORING_FEAT_CQE_SKIP) != 0) {
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    sqe->user_data = cancel_data;
    state.watches[index].cancelled = true;
    state.cancels++;
}

/// Gives the event of a watch whose request is to poll another watch, for another request, so that
/// that one need not wait for the end of this one. Returns false if there is no memory.
bool move_event(std::uint32_t index) noexcept
{
    const std::uint32_t next = get_watch(state.watches[index].ev->log);
    if (next == no_watch) {
        return false;
    }
    Watch& from = state.watches[index];
    Watch& to = state.watches[next];
    to = from;
    to.armed = Request::none;
    to.queued = false;
    to.ev->index = next;
    to.cancelled = false;
    from.ev = nullptr;
    from.data = nullptr;
    from.sends = false;
    queue_change(index);
    queue_change(next);
    return true;
}

std::uint64_t arrival_data(std::size_t id, std::size_t i) noexcept
{
    return arrival_mark | id * IouringArrivals::number | i;
}

/// Queues the requests that a listener does not have. Returns false if the submission queue is full
/// and the kernel does not take it.
bool push_arrivals(const Watch& watch) noexcept
{
    IouringArrivals& arrivals = *state.arrivals[watch.arrivals];
    for (std::size_t i = 0; i < IouringArrivals::number; i++) {
        if (!arrivals.is_free(i)) {
            continue;
        }
        io_uring_sqe* const sqe = get_submission();
        if (!sqe) {
            return false;
        }
        arrivals.arm(i);
        state.arriving++;
        IouringArrival& one = arrivals[i];
        if (arrivals.has_datagrams()) {
            ::io_uring_prep_recvmsg(sqe, watch.fd, &one.msg, 0);
        } else {
            ::io_uring_prep_accept(sqe, watch.fd, &one.sa.any, &one.len, SOCK_NONBLOCK);
        }
        sqe->user_data = arrival_data(watch.arrivals, i);
    }
    return true;
}

/// Queues requests to cancel those of a listener that the kernel has.
void cancel_arrivals(std::size_t id) noexcept
{
    IouringArrivals& arrivals = *state.arrivals[id];
    for (std::size_t i = 0; i < IouringArrivals::number; i++) {
        if (!arrivals.is_waiting(i) || arrivals[i].cancelled || !make_room(1)) {
            continue;
        }
        io_uring_sqe* const sqe = ::io_uring_get_sqe(&state.ring);
        ::io_uring_prep_cancel64(sqe, arrival_data(id, i), 0);
        sqe->user_data = cancel_data;
        arrivals[i].cancelled = true;
    }
}

/// Queues the request that a watch needs, or the cancellation of the one that it has. Returns false
/// if the submission queue is full and the kernel does not take it.
bool push_change(std::uint32_t index) noexcept
{
    const Request wanted = wanted_request(state.watches[index]);
    if (wanted != Request::none && wanted != Request::poll &&
        state.watches[index].armed == Request::poll && !state.watches[index].cancelled) {
        (void)move_event(index);  // else the new request follows the end of the old one
    }
    Watch& watch = state.watches[index];
    if (watch.arrivals != no_arrivals && watch.ev->active && !push_arrivals(watch)) {
        return false;
    }
    if (watch.armed == wanted || watch.armed == Request::nop || watch.cancelled) {
        watch.queued = false;
        if (!watch.ev && watch.armed == Request::none) {
            release_watch(index);
        }
        return true;
    }
    io_uring_sqe* const sqe = get_submission();
    if (!sqe) {
        return false;
    }
    if (watch.armed != Request::none) {
        push_cancel(sqe, index);
    } else {
        push_request(sqe, index, wanted);
    }
    watch.queued = false;
    return true;
}

/// Queues the requests for all changes since the last wait.
void push_changes() noexcept
{
    state.cancels = 0;
    std::size_t done = 0;
    while (done < state.changes.size() && push_change(state.changes[done])) {
        done++;
    }
    state.changes.erase(state.changes.begin(),
                        state.changes.begin() + static_cast<std::ptrdiff_t>(done));
}

/// Queues a request that closes the descriptor of a send, behind the request in front.
void push_close(IouringSends::Id id) noexcept
{
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&state.ring);
    ::io_uring_prep_close(sqe, state.sends[id].fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = close_mark | id;
    state.sends[id].linked = true;
}

/// Queues the request of a send. It never waits for room in the socket, so it has ended when the
/// kernel has taken it, and it has a completion only if it has not sent all. In that case the
/// request to close that is linked to it is cancelled. Returns false if the kernel does not take
/// the submissions in front of it.
bool push_send(IouringSends::Id id) noexcept
{
    if (!make_room(2)) {
        return false;
    }
    IouringSend& send = state.sends[id];
    assert(send.state == SendState::queued);
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&state.ring);
    if (send.datagram) {
        ::io_uring_prep_sendmsg(sqe, send.fd, &state.sends.message(id).msg, MSG_DONTWAIT);
    } else {
        ::io_uring_prep_send(sqe, send.fd, state.sends.data(id), send.end - send.begin,
                             MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
    }
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS | (send.closes ? IOSQE_IO_LINK : 0U);
    sqe->user_data = send_mark | id;
    if (send.closes) {
        push_close(id);
    }
    send.state = SendState::pushed;
    state.sends.lend(id);
    return true;
}

/// Queues the requests of all sends since the last wait.
void push_sends() noexcept
{
    while (state.pushed < state.send_queue.size() && push_send(state.send_queue[state.pushed])) {
        state.pushed++;
    }
}

/// Submits what was to be sent, without a wait.
void flush_sends() noexcept
{
    push_sends();
    (void)submit();
}

/// Returns the watch of the write event of a send; null if its connection is closed.
Watch* watch_of(const IouringSend& send) noexcept
{
    if (!send.ev) {
        return nullptr;
    }
    Watch& watch = state.watches[send.ev->index];
    assert(watch.ev == send.ev);
    return &watch;
}

void end_send(IouringSends::Id id) noexcept
{
    IouringSend& send = state.sends[id];
    if (Watch* const watch = watch_of(send)) {
        watch->sends = false;
        watch->rests = false;
        if (std::exchange(watch->shuts, false)) {
            (void)::shutdown(send.fd, SHUT_WR);
        }
    } else if (send.closes && !send.linked) {
        close_fd(send.fd, "", ngx_cycle->log);
    }
    state.sends.put(id);
}

/// Removes the sends whose requests were made from the queue.
void drop_pushed() noexcept
{
    state.send_queue.erase(state.send_queue.begin(),
                           state.send_queue.begin() + static_cast<std::ptrdiff_t>(state.pushed));
    state.pushed = 0;
}

/// Calls `f` for each completion in the queue, which all stay there.
template <typename F>
void for_each_completion(F f) noexcept
{
    const io_uring_cq& cq = state.ring.cq;
    const unsigned head = *cq.khead;
    for (unsigned i = 0; i < io_uring_cq_ready(&state.ring); i++) {
        f(cq.cqes[(head + i) & *cq.kring_mask]);
    }
}

/// Ends the sends that the kernel has taken, except those with a completion. While the completion
/// queue overflows, a completion may be invisible, so that all of them have to wait.
void finish_sends() noexcept
{
    if (state.pushed == 0 || io_uring_sq_ready(&state.ring) != 0 ||
        (*state.ring.sq.kflags & IORING_SQ_CQ_OVERFLOW) != 0) {
        return;
    }
    for_each_completion([](const io_uring_cqe& cqe) {
        const auto id = static_cast<IouringSends::Id>(cqe.user_data);
        if ((cqe.user_data & send_mark) != 0 && state.sends[id].state == SendState::pushed) {
            state.sends[id].state = SendState::failed;
        }
    });
    for (std::size_t i = 0; i < state.pushed; i++) {
        const IouringSends::Id id = state.send_queue[i];
        state.sends.take_back(id);
        if (state.sends[id].state == SendState::pushed) {
            end_send(id);
        }
    }
    drop_pushed();
}

/// Sends what a closed connection has left over because the socket was full: the kernel waits for
/// room, and closes the descriptor when all is sent, or after linger_time.
void linger(IouringSends::Id id) noexcept
{
    IouringSend& send = state.sends[id];
    if (!make_room(3)) {
        send.linked = false;
        end_send(id);
        return;
    }
    io_uring_sqe* sqe = ::io_uring_get_sqe(&state.ring);
    ::io_uring_prep_send(sqe, send.fd, state.sends.data(id), send.end - send.begin,
                         MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_IO_HARDLINK;
    sqe->user_data = send_mark | id;

    sqe = ::io_uring_get_sqe(&state.ring);
    ::io_uring_prep_link_timeout(sqe, const_cast<__kernel_timespec*>(&linger_time), 0);
    sqe->flags |= IOSQE_IO_HARDLINK;
    sqe->user_data = cancel_data;

    push_close(id);
    send.state = SendState::lingering;
    state.lingering++;
}

/// Sends a datagram again, for which the socket had no room: the kernel waits for room.
void send_again(IouringSends::Id id) noexcept
{
    if (!make_room(1)) {
        end_send(id);
        return;
    }
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&state.ring);
    ::io_uring_prep_sendmsg(sqe, state.sends[id].fd, &state.sends.message(id).msg, 0);
    sqe->user_data = send_mark | id;
    state.sends[id].state = SendState::lingering;
    state.lingering++;
}

/// Handles the completion of a datagram that was not sent, or that has lingered. Its session may
/// have ended.
void settle_datagram(IouringSends::Id id, int res) noexcept
{
    const bool lingered = state.sends[id].state == SendState::lingering;
    state.lingering -= lingered;
    if (res == -EAGAIN && !lingered) {
        send_again(id);
        return;
    }
    if (res < 0 && res != -ECANCELED) {
        log_error(log_err, ngx_cycle->log, -res, "sendmsg() to {} failed",
                  state.sends.message(id).peer().view());
    }
    end_send(id);
}

/// Handles the completion of a send that has not sent all, or that has lingered. Returns the event
/// to report; null if there is none.
Event* settle_send(const Completion& completion) noexcept
{
    const auto id = static_cast<IouringSends::Id>(completion.data);
    IouringSend& send = state.sends[id];
    if (send.datagram) {
        settle_datagram(id, completion.res);
        return nullptr;
    }
    if (send.state == SendState::lingering) {
        state.sends.put(id);
        state.lingering--;
        return nullptr;
    }
    assert(send.state == SendState::failed);
    send.linked = false;
    Watch* const watch = watch_of(send);
    if (completion.res < 0 && completion.res != -EAGAIN && completion.res != -EINTR) {
        Event* const ev = send.ev;
        if (watch) {
            watch->err = -completion.res;
        }
        end_send(id);
        return ev && ev->active ? ev : nullptr;
    }
    send.begin += static_cast<std::uint32_t>(std::max(completion.res, 0));
    send.state = SendState::waiting;
    if (watch) {
        watch->rests = true;
        send.ev->ready = 0;
        queue_change(static_cast<std::uint32_t>(send.ev->index));
    } else if (send.closes) {
        linger(id);
    } else {
        end_send(id);
    }
    return nullptr;
}

/// Sends what was left over, when the socket has room. Returns whether all was sent, or failed.
bool send_rest(Watch& watch) noexcept
{
    IouringSend& send = state.sends[watch.send];
    assert(send.state == SendState::waiting);
    const ssize_t n = ::send(send.fd, state.sends.data(watch.send), send.end - send.begin,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n == -1) {
        watch.err = errno;
    } else if (send.begin += static_cast<std::uint32_t>(n); send.begin < send.end) {
        return false;
    }
    watch.ev->ready = 1;
    end_send(watch.send);
    return true;
}

/// Removes the next completion from the queue. Returns false if there is none.
bool take_completion(Completion& completion) noexcept
{
    assert(state.open);
    if (io_uring_cq_ready(&state.ring) == 0) {
        return false;
    }
    const io_uring_cq& cq = state.ring.cq;
    const io_uring_cqe& cqe = cq.cqes[*cq.khead & *cq.kring_mask];
    completion = {.data = cqe.user_data, .res = cqe.res, .flags = cqe.flags};
    io_uring_cq_advance(&state.ring, 1);
    return true;
}

/// Stores what a request to receive has got. Returns whether its owner has to be told.
bool store(Watch& watch, const Completion& completion) noexcept
{
    if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
        const auto id = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
        if (!watch.ev || completion.res <= 0) {
            state.buffers.give(id);
        } else {
            assert(!watch.data);
            watch.id = id;
            watch.left = static_cast<std::uint32_t>(completion.res);
            watch.data = state.buffers.take(id, watch.left);
            watch.bulk = watch.left == state.buffers.buffer_size();
            watch.more = watch.bulk || (completion.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
        }
    }
    switch (completion.res) {
    case 0:
        watch.eof = true;
        return true;
    case -ECANCELED:
    case -EINTR:
        return false;
    case -ENOBUFS:  // the owner reads from the socket when the poll request has found data
    case -EAGAIN:
        watch.polls = true;
        return false;
    case -EINVAL:
    case -EOPNOTSUPP:
    case -ENOTSOCK:
        watch.refused = true;
        watch.polls = true;
        return false;
    default:
        watch.err = completion.res < 0 ? -completion.res : 0;
        return true;
    }
}

/// A request of which a completion was taken.
struct Settled {
    Event* ev;  // null: it was deleted, or nothing has to be reported
    Request request;
};

/// Keeps what a request has got, if its listener is watched.
void end_arrival(IouringArrivals& arrivals, std::size_t i, int res) noexcept
{
    arrivals.end(i);
    const Event* const ev = arrivals.event();
    if (!ev) {
        discard_arrival(arrivals, res);
    } else if (res >= 0 || (ev->active && res != -ECANCELED && res != -EINTR)) {
        arrivals.store(i, res);
    }
}

/// Handles the completion of a request of a listener, whose result may be known already.
Settled settle_arrival(const Completion& completion) noexcept
{
    const auto data = static_cast<std::uint32_t>(completion.data);
    const std::size_t id = data / IouringArrivals::number;
    const std::size_t i = data % IouringArrivals::number;
    IouringArrivals& arrivals = *state.arrivals[id];
    const bool is_new = arrivals.is_waiting(i);
    if (is_new) {
        end_arrival(arrivals, i, completion.res);
    }
    arrivals.disarm(i);
    state.arriving--;
    Event* const ev = arrivals.event();
    if (!ev) {
        release_arrivals(id);
        return {nullptr, Request::arrival};
    }
    queue_change(static_cast<std::uint32_t>(ev->index));
    return {is_new && arrivals.has_result() ? ev : nullptr, Request::arrival};
}

/// Ends the requests of a listener that is not active any more, and reads their results.
void end_arrivals(std::size_t id) noexcept
{
    IouringArrivals& arrivals = *state.arrivals[id];
    cancel_arrivals(id);
    int rc = enter(flush_submissions(), 0, 0);
    for (;;) {
        for_each_completion([&](const io_uring_cqe& cqe) {
            const std::size_t i = cqe.user_data % IouringArrivals::number;
            if (cqe.user_data == arrival_data(id, i) && arrivals.is_waiting(i)) {
                end_arrival(arrivals, i, cqe.res);
            }
        });
        if (!arrivals.is_waiting() || (rc < 0 && rc != -EINTR)) {
            return;
        }
        rc = enter(flush_submissions(), io_uring_cq_ready(&state.ring) + 1, cancel_timeout);
    }
}

/// Stops the requests of a listener, and passes what these have got to its handler, because another
/// process would not get it.
void serve_arrivals(Event& ev) noexcept
{
    const std::size_t id = state.watches[ev.index].arrivals;
    IouringArrivals& arrivals = *state.arrivals[id];
    end_arrivals(id);
    while (arrivals.has_result()) {
        ev.handler(ev);
    }
}

/// Ends the part of a completion that concerns the request: one without more to come has ended, and
/// is made again if its event is still active.
Settled settle(const Completion& completion) noexcept
{
    if (completion.data == cancel_data) {
        return {nullptr, Request::none};
    }
    if ((completion.data & close_mark) != 0) {
        // A close that a failed send has cancelled is made again by settle_send().
        if (completion.res < 0 && completion.res != -ECANCELED) {
            log_error(log_alert, ngx_cycle->log, -completion.res, "close() failed");
        }
        return {nullptr, Request::none};
    }
    if ((completion.data & send_mark) != 0) {
        return {settle_send(completion), Request::send};
    }
    if ((completion.data & arrival_mark) != 0) {
        return settle_arrival(completion);
    }
    if (completion.data == nodelay_data) {
        log_error(log_alert, ngx_cycle->log, -completion.res, "setsockopt(TCP_NODELAY) failed");
        return {nullptr, Request::none};
    }
    const auto index = static_cast<std::uint32_t>(completion.data);
    assert(index < state.watches.size());
    Watch& watch = state.watches[index];
    const Request request = watch.armed;
    assert(request != Request::none);
    bool tells = completion.res >= 0 || !watch.cancelled;
    if (request == Request::receive) {
        assert(!completion.goes_on());
        tells = store(watch, completion);
    } else if (request == Request::nop) {
        tells = watch.data || watch.has_ended();
    }
    const bool waits = watch.ev && (watch.ev->active || watch.rests);
    const Settled settled = {waits && tells ? watch.ev : nullptr, request};
    if (completion.goes_on()) {
        return settled;
    }
    watch.armed = Request::none;
    watch.cancelled = false;
    state.armed--;
    if (watch.ev) {
        queue_change(index);
    } else if (!watch.queued) {
        release_watch(index);
    }
    return settled;
}

/// Queues requests to cancel what the kernel still sends for closed connections.
void cancel_lingering() noexcept
{
    for (std::size_t i = 0; i < state.sends.number(); i++) {
        const auto id = static_cast<IouringSends::Id>(i);
        if (state.sends[id].state != SendState::lingering) {
            continue;
        }
        if (!make_room(1)) {
            return;
        }
        io_uring_sqe* const sqe = ::io_uring_get_sqe(&state.ring);
        ::io_uring_prep_cancel64(sqe, send_mark | id, 0);
        sqe->user_data = cancel_data;
    }
}

/// Cancels all requests and waits for their ends: the kernel would otherwise keep the descriptors
/// open for some time after the end of the ring.
void cancel_all() noexcept
{
    flush_sends();
    for (std::uint32_t i = 0; i < state.watches.size(); i++) {
        if (state.watches[i].ev) {
            detach_watch(i);
        }
    }
    int rc = 0;
    while (rc >= 0 || rc == -EINTR) {
        push_changes();
        cancel_lingering();
        for (std::size_t id = 0; id < state.arrivals.size(); id++) {
            if (state.arrivals[id]) {
                cancel_arrivals(id);
            }
        }
        if (state.armed == 0 && state.lingering == 0 && state.arriving == 0) {
            return;
        }
        rc = enter(flush_submissions(), 1, cancel_timeout);
        Completion completion;
        while (take_completion(completion)) {
            (void)settle(completion);
        }
    }
}

bool owns_ring() noexcept
{
    return state.open && state.owner == ::getpid();
}

/// Ends all requests before the process ends: the kernel releases the rings of a process some time
/// after its end, and until then the server's ports would stay open.
void iouring_exit_process(Cycle&)
{
    if (!owns_ring()) {
        return;
    }
    for (const Watch& watch : state.watches) {
        if (watch.ev) {
            watch.ev->active = 0;
        }
    }
    cancel_all();
}

/// Forgets the requests of listeners of a ring that was closed.
void abandon_arrivals() noexcept
{
    for (std::unique_ptr<IouringArrivals>& arrivals : state.arrivals) {
        if (arrivals && arrivals->armed() != 0) {
            IouringArrivals::lose(std::move(arrivals), state.lost_arrivals);
        }
    }
    state.arrivals.clear();
    state.arriving = 0;
}

/// A process that was forked from the one with the ring must not use it, and only releases its
/// memory and descriptors.
void iouring_done(Cycle& cycle)
{
    if (state.fallback) {
        std::exchange(state.fallback, nullptr)->actions.done(cycle);
        return;
    }
    if (owns_ring()) {
        cancel_all();
    }
    close_ring();
    state.buffers.close();
    state.sends.close();
    state.send_queue.clear();
    state.pushed = 0;
    state.lingering = 0;
    state.closing = IouringSends::none;
    abandon_arrivals();
    state.without_delay.clear();
    close_fd(state.notify_fd, "eventfd ", cycle.log);
    state.watches = {};
    state.changes = {};
    state.free_watches = no_watch;
    state.armed = 0;
    state.notifications = 0;
    state.notify_event.active = 0;
}

/// Returns the watch of an event, also of one that is not active but keeps its watch; null if it
/// has none.
Watch* find_watch(const Event& ev) noexcept
{
    if (ev.index >= state.watches.size() || state.watches[ev.index].ev != &ev) {
        return nullptr;
    }
    return &state.watches[ev.index];
}

/// Gives the event a watch for the descriptor. Returns null after logging if memory ran out.
Watch* new_watch(Event& ev, int fd, std::uint32_t events) noexcept
{
    const std::uint32_t index = get_watch(ev.log);
    if (index == no_watch) {
        return nullptr;
    }
    Watch& watch = state.watches[index];
    watch.ev = &ev;
    watch.fd = fd;
    watch.events = events;
    ev.index = index;
    return &watch;
}

/// Returns the watch that an event keeps, if it is for this descriptor. A request to poll that has
/// not ended yet would report only what is new: it is replaced. Returns null if there is none.
Watch* kept_watch(const Event& ev, int fd) noexcept
{
    const Watch* const watch = find_watch(ev);
    if (!watch) {
        return nullptr;
    }
    const auto index = static_cast<std::uint32_t>(ev.index);
    if (watch->fd != fd || (watch->armed == Request::poll && !move_event(index))) {
        detach_watch(index);
        return nullptr;
    }
    return find_watch(ev);
}

/// The request is made with the others of this turn. Only clear_event asks for edges: any other
/// event is reported by a request that ends with its report, and is made again in the next turn.
///
/// exclusive_event is ignored: io_uring gives an exclusive wake-up also to a worker that is busy or
/// about to exit, where the connection would wait until the next one arrives. The cost is that each
/// connection wakes every waiting worker, unless its listener has reuseport or the accept mutex is
/// on.
Rc iouring_add_event(Event& ev, EventType event, unsigned flags) noexcept
{
    const Connection& c = connection_of(ev);
    const std::uint32_t events = event == read_event ? read_events : write_events;
    log_debug(log_debug_event, ev.log, 0, "iouring add event: fd:{} ev:{:08X}", c.fd,
              events | flags);

    assert(!ev.active && (event == write_event) == (ev.write != 0));
    assert(c.fd != invalid_socket);
    Watch* watch = kept_watch(ev, c.fd);
    if (!watch) {
        watch = new_watch(ev, c.fd, events);
    }
    if (!watch) {
        return Rc::error;
    }
    watch->multishot = (flags & clear_event) != 0;
    watch->wakes = watch->receives && (watch->data || watch->has_ended());
    queue_change(static_cast<std::uint32_t>(ev.index));
    ev.active = 1;
    return Rc::ok;
}

/// The request holds the file open until it has ended, which is at the next wait. A listener that
/// is not only paused is released at once, because no process would accept its clients.
///
/// With completion a read event that is not closed next keeps its watch: data may have arrived that
/// its owner reads later.
Rc iouring_del_event(Event& ev, EventType, unsigned flags) noexcept
{
    const Watch* const watch = find_watch(ev);
    assert(watch || !ev.active);
    if (!watch) {
        return Rc::ok;
    }
    log_debug(log_debug_event, ev.log, 0, "iouring del event: fd:{}", watch->fd);

    const auto index = static_cast<std::uint32_t>(ev.index);
    ev.active = 0;
    if (ev.accept) {
        flush_sends();  // the descriptor is closed next
    }
    if (watch->arrivals != no_arrivals) {
        serve_arrivals(ev);
        detach_watch(index);
    } else if ((watch->receives || watch->sends || watch->err != 0) && (flags & close_event) == 0) {
        queue_change(index);
    } else {
        detach_watch(index);
    }
    if (ev.accept && (flags & disable_event) == 0) {
        push_changes();
        (void)submit();
    }
    return Rc::ok;
}

Rc iouring_add_connection(Connection& c) noexcept
{
    assert(!c.read->active && !c.write->active);
    if (iouring_add_event(*c.read, read_event, clear_event) != Rc::ok) {
        return Rc::error;
    }
    if (iouring_add_event(*c.write, write_event, clear_event) != Rc::ok) {
        (void)iouring_del_event(*c.read, read_event, 0);
        return Rc::error;
    }
    return Rc::ok;
}

Rc iouring_del_connection(Connection& c, unsigned flags) noexcept
{
    (void)iouring_del_event(*c.read, read_event, flags);
    return iouring_del_event(*c.write, write_event, flags);
}

Rc iouring_notify(EventHandler handler) noexcept
{
    assert(handler && state.notify_fd != -1);
    constexpr std::uint64_t inc = 1;
    state.notify_handler.store(handler, std::memory_order_relaxed);

    if (::write(state.notify_fd, &inc, sizeof(inc)) != sizeof(inc)) {
        log_error(log_alert, state.notify_event.log, errno, "write() to eventfd {} failed",
                  state.notify_fd);
        return Rc::error;
    }
    return Rc::ok;
}

/// Handles a request that the kernel did not accept, or could not continue. The event is removed. A
/// listener is watched again later; another owner meets the error in its own call.
void watch_failed(Event& ev, Err err, unsigned flags) noexcept
{
    const auto index = static_cast<std::uint32_t>(ev.index);
    assert(find_watch(ev));
    log_limited(state.poll_failed, log_alert, ev.log, err, "io_uring poll of fd:{} failed",
                state.watches[index].fd);
    detach_watch(index);
    ev.active = 0;
    if (!ev.accept) {
        ev.available = ev.write ? 0 : -1;
        dispatch_event(ev, flags);
    } else if (!ev.timer_set()) {
        add_timer(ev, accept_mutex_delay);
    }
}

/// Reports what a request to poll has found. Returns false if the event does not wait for it: the
/// kernel also tells a request for room in the socket that the peer has ended its data.
bool report_polled(Event& ev, int found, unsigned flags) noexcept
{
    assert(find_watch(ev));
    Watch& watch = state.watches[ev.index];
    const std::uint32_t wanted = polled_events(watch);
    log_debug(log_debug_event, ev.log, 0, "iouring: fd:{} ev:{:04X}", watch.fd, found);

    // An error counts as ready: the handler gets it from its own call.
    const auto events = static_cast<std::uint32_t>(found);
    if ((events & (wanted | POLLERR | POLLHUP | POLLNVAL)) == 0) {
        return false;
    }
    watch.bulk = false;
    if (watch.rests && (!send_rest(watch) || !ev.active)) {
        return false;
    }
    if (ev.write) {
        ev.complete = 1;  // tells sendfile() in a thread that there is room now
    } else {
        ev.pending_eof = ev.pending_eof || (events & POLLRDHUP) != 0;
        ev.available = -1;
    }
    dispatch_event(ev, flags);
    return true;
}

/// Reports what has arrived.
void report_received(Event& ev, unsigned flags) noexcept
{
    const Watch& watch = *find_watch(ev);
    log_debug(log_debug_event, ev.log, 0, "iouring: fd:{} received:{} eof:{:d} err:{}", watch.fd,
              watch.data ? watch.left : 0, watch.eof, watch.err);
    ev.pending_eof = ev.pending_eof || watch.has_ended();
    ev.available = -1;
    dispatch_event(ev, flags);
}

/// Handles up to `n` completions. Each is removed from the queue before its handler runs, because
/// the handler may submit. Returns whether any event was reported.
bool dispatch_completions(int n, unsigned flags, Log* log) noexcept
{
    bool found = false;
    Completion completion;
    for (; n > 0 && take_completion(completion); n--) {
        const Settled settled = settle(completion);
        if (!settled.ev) {
            log_debug(log_debug_event, log, 0, "iouring: nothing to report of {:X} {}",
                      completion.data, completion.res);
        } else if (settled.request == Request::send) {
            dispatch_event(*settled.ev, flags);
            found = true;
        } else if (settled.request == Request::arrival) {
            log_debug(log_debug_event, settled.ev->log, 0, "iouring: fd:{} arrived:{}",
                      connection_of(*settled.ev).fd, completion.res);
            dispatch_event(*settled.ev, flags);
            found = true;
        } else if (settled.request != Request::poll) {
            report_received(*settled.ev, flags);
            found = true;
        } else if (completion.res < 0) {
            watch_failed(*settled.ev, -completion.res, flags);
            found = true;
        } else {
            found = report_polled(*settled.ev, completion.res, flags) || found;
        }
    }
    return found;
}

/// Ends a connection whose data may be lost with the ring: its owner reads an error.
void fail_received(Watch& watch) noexcept
{
    if (watch.ev && (watch.data || watch.armed == Request::receive)) {
        watch.err = EIO;
        watch.wakes = true;
    }
    watch.data = nullptr;
}

/// Ends the sends of a lost ring, of which it is unknown how much was sent: the next send of their
/// owners fails. A descriptor that the kernel was to close may be closed and in use again, so it is
/// left.
void fail_sends() noexcept
{
    for (std::size_t i = 0; i < state.sends.number(); i++) {
        const auto id = static_cast<IouringSends::Id>(i);
        const IouringSend& send = state.sends[id];
        if (send.state != SendState::pushed && send.state != SendState::failed) {
            continue;
        }
        if (Watch* const watch = watch_of(send)) {
            watch->err = EIO;
        }
        state.sends.take_back(id);
        end_send(id);
    }
    drop_pushed();
}

/// Closes the ring after the kernel has lost completions, for which it had no memory. The next wait
/// creates it again, makes all requests again, and so reports what is ready now.
void abandon_ring() noexcept
{
    close_ring();
    state.buffers.abandon();
    fail_sends();
    abandon_arrivals();
    state.without_delay.clear();
    state.armed = 0;
    state.lingering = 0;
    for (std::uint32_t i = 0; i < state.watches.size(); i++) {
        Watch& watch = state.watches[i];
        fail_received(watch);
        watch.arrivals = no_arrivals;
        if (watch.ev || watch.armed != Request::none) {
            watch.armed = Request::none;
            watch.cancelled = false;
            queue_change(i);
        }
    }
}

/// Returns the number of completions to handle now, 0 if the time is over, or -1 with errno.
///
/// Each cancelled request ends with a completion, and the wait must not end with these alone:
/// therefore it is for one more.
int wait_completions(Msec timer, Msec begin) noexcept
{
    assert(state.entries != 0);
    if (!state.open) {
        if (const Err err = open_ring_and_buffers(); err != 0) {
            errno = err;
            return -1;
        }
    }
    push_changes();
    push_sends();
    const unsigned submissions = flush_submissions();
    const bool waits = timer != 0 && io_uring_cq_ready(&state.ring) == 0;
    const int rc = enter(submissions, waits ? 1 + state.cancels : 0, timer);
    if (rc == -EBADR) {
        abandon_ring();
        errno = EBADR;
        return -1;
    }
    if (const unsigned ready = io_uring_cq_ready(&state.ring); ready != 0) {
        return static_cast<int>(std::min(ready, state.entries));
    }
    if (rc < 0 && rc != -ETIME) {
        errno = -rc;
        return -1;
    }
    if (!waits || rc == -ETIME) {
        return 0;
    }
    if (static_cast<unsigned>(rc) < submissions) {
        errno = EAGAIN;  // the kernel has no memory for the others
        return -1;
    }
    // If there were submissions, the kernel returns their number, and does not tell whether a
    // signal or the timeout has ended the wait.
    if (timer != timer_infinite && !event_timer_alarm && monotonic_time() - begin >= timer) {
        return 0;
    }
    errno = EINTR;
    return -1;
}

/// Waits again for the rest of the time if the completions were only about deleted events.
Rc iouring_process_events(Cycle& cycle, Msec timer, unsigned flags) noexcept
{
    assert(in_loop_thread());
    log_debug(log_debug_event, cycle.log, 0, "iouring timer: {}", timer);

    const Msec start = monotonic_time();
    Msec begin = start;
    Msec left = timer;
    for (;;) {
        const int events = wait_completions(left, begin);
        const Rc rc = after_wait(cycle, events, left, flags, "io_uring_enter");
        if (events <= 0 || dispatch_completions(events, flags, cycle.log) || left == 0) {
            return rc;
        }
        if (timer != timer_infinite) {
            begin = monotonic_time();
            left = timer - std::min(timer, begin - start);
        }
    }
}

/// Returns whether no other worker has the listener. Otherwise a connection would wait for this
/// worker, which may be busy, although another is idle.
bool listens_alone(const Connection& lc) noexcept
{
    const CoreConf& ccf = *get_conf<CoreConf>(ngx_cycle->conf_ctx);
    return !use_accept_mutex &&
           (lc.listening->reuseport || !*ccf.master || *ccf.worker_processes <= 1);
}

/// Makes requests for a listener from now on. Without memory it is polled as before.
void request_arrivals(Watch& watch, bool datagrams) noexcept
try {
    const auto unused = std::ranges::find_if(state.arrivals, [](const auto& p) { return !p; });
    const auto id = static_cast<std::size_t>(unused - state.arrivals.begin());
    if (id >= no_arrivals) {
        return;
    }
    if (unused == state.arrivals.end()) {
        state.arrivals.emplace_back();
    }
    state.arrivals[id] = std::make_unique<IouringArrivals>(*watch.ev, datagrams);
    watch.arrivals = static_cast<std::uint16_t>(id);
    queue_change(static_cast<std::uint32_t>(watch.ev->index));
} catch (const std::bad_alloc&) {
    log_error(log_err, watch.ev->log, 0, "no memory for requests of a listener");
}

/// Takes what a request of a listener has got: `copy` copies it, and `call` asks the socket. The
/// first one is got by a call, which tells that the owner of the listener uses io, and under
/// multi_accept so is what the requests of this turn have left.
template <typename Copy, typename Call>
ssize_t take_arrival(const Connection& lc, Copy copy, Call call) noexcept
{
    assert(in_loop_thread());
    Watch* const watch = find_watch(*lc.read);
    if (!watch || watch->arrivals == no_arrivals) {
        const ssize_t rc = call();
        if (watch && lc.read->active && rc != -1 && listens_alone(lc)) {
            request_arrivals(*watch, lc.type == SOCK_DGRAM);
        }
        return rc;
    }
    IouringArrivals& arrivals = *state.arrivals[watch->arrivals];
    if (!arrivals.has_result() && !arrivals.is_waiting()) {
        return call();
    }
    if (!arrivals.has_result()) {
        errno = EAGAIN;
        return -1;
    }
    queue_change(static_cast<std::uint32_t>(lc.read->index));
    const IouringArrival& one = arrivals.take();
    if (one.res < 0) {
        errno = -one.res;
        return -1;
    }
    copy(one);
    return one.res;
}

/// Takes a connection that the kernel has accepted.
int iouring_accept(Connection& lc, SockaddrUnion& sa, socklen_t& socklen) noexcept
{
    const auto copy = [&](const IouringArrival& one) {
        sa = one.sa;
        socklen = one.len;
    };
    return static_cast<int>(
        take_arrival(lc, copy, [&] { return ssize_t{os_io.accept(lc, sa, socklen)}; }));
}

/// Takes a datagram that the kernel has received.
ssize_t iouring_recvmsg(Connection& lc, msghdr& msg) noexcept
{
    const auto copy = [&](const IouringArrival& one) {
        assert(msg.msg_iovlen == 1 && msg.msg_iov->iov_len >= IouringArrivals::max_datagram);
        std::memcpy(msg.msg_iov->iov_base, one.iov.iov_base, static_cast<std::size_t>(one.res));
        msg.msg_namelen = std::min(msg.msg_namelen, one.msg.msg_namelen);
        std::memcpy(msg.msg_name, &one.sa, msg.msg_namelen);
        msg.msg_controllen = std::min(msg.msg_controllen, one.msg.msg_controllen);
        if (msg.msg_controllen != 0) {
            std::memcpy(msg.msg_control, one.control.data(), msg.msg_controllen);
        }
        msg.msg_flags = one.msg.msg_flags;
    };
    return take_arrival(lc, copy, [&] { return os_io.recvmsg(lc, msg); });
}

/// Sets the option with the next submission, before anything is sent.
int iouring_nodelay(Connection& c) noexcept
{
    io_uring_sqe* const sqe = state.sets_options ? get_submission() : nullptr;
    if (!sqe) {
        return os_io.nodelay(c);
    }
    prepare_nodelay(sqe, c.fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = nodelay_data;
    state.without_delay.push_back(c.fd);
    return 0;
}

/// Copies data of the held buffer, up to `size` bytes. Returns their number.
std::size_t copy_received(Watch& watch, char* buf, std::size_t size) noexcept
{
    assert(watch.data);
    const std::size_t n = std::min<std::size_t>(size, watch.left);
    std::memcpy(buf, watch.data, n);
    watch.data += n;
    watch.left -= static_cast<std::uint32_t>(n);
    return n;
}

/// Updates the read event after a copy from the held buffer, and gives an empty buffer back. If the
/// socket has more, the next call reads it from there.
void after_copy(Connection& c, Watch& watch, std::size_t n) noexcept
{
    Event& rev = *c.read;
    log_debug(log_debug_event, c.log, 0, "iouring recv: fd:{} {}, left:{}", c.fd, n, watch.left);
    rev.available = -1;
    if (watch.left != 0) {
        return;
    }
    give_buffer(watch);
    if (!watch.more && !rev.pending_eof) {
        rev.ready = 0;
        rev.available = 0;
    }
    queue_change(static_cast<std::uint32_t>(rev.index));
}

/// Learns from a call that has read from the socket how the kernel should continue. An owner that
/// has got less than it asked for reads all that arrives, with io.recv: from now on the kernel
/// receives for it. An owner that looks at its data (MSG_PEEK) or reads the descriptor itself never
/// asks for more than it has seen, so its data stays in the socket. While more than a buffer
/// arrives at a time, poll requests go on, because such data needs no copy.
void learn(Connection& c, Watch* watch, ssize_t n, std::size_t size) noexcept
{
    const auto got = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    const bool all = n == io_again || (n > 0 && got < size);
    if (watch) {
        watch->bulk = watch->bulk || got >= state.buffers.buffer_size();
        watch->eof = watch->eof || (watch->receives && n == 0);
    }
    if (!all || c.type != SOCK_STREAM || !state.buffers.is_open()) {
        return;
    }
    if (!watch) {
        watch = new_watch(*c.read, c.fd, read_events);
        if (!watch) {
            return;
        }
        watch->multishot = true;
    }
    if (!watch->multishot || watch->refused) {
        return;
    }
    watch->receives = true;
    watch->polls = watch->bulk;
    watch->more = false;
    if (watch->armed != wanted_request(*watch)) {
        queue_change(static_cast<std::uint32_t>(c.read->index));
    }
}

/// Receives as io.recv: what has arrived in a buffer, else from the socket, unless a request is
/// outstanding, which will get what arrives. `copy` copies from the held buffer and returns the
/// number of bytes, `read` reads from the socket.
template <typename Copy, typename Read>
ssize_t receive(Connection& c, std::size_t size, Copy copy, Read read) noexcept
{
    assert(in_loop_thread());
    assert(c.fd != invalid_socket);
    Event& rev = *c.read;
    Watch* const watch = find_watch(rev);
    if (watch && watch->data) {
        const std::size_t n = copy(*watch);
        after_copy(c, *watch, n);
        return static_cast<ssize_t>(n);
    }
    if (watch && watch->err != 0) {
        watch->eof = true;
        return recv_failed(c, std::exchange(watch->err, 0), "recv() failed");
    }
    if (watch && watch->eof) {
        rev.ready = 0;
        rev.eof = 1;
        return 0;
    }
    if (watch && watch->armed == Request::receive) {
        rev.ready = 0;
        return io_again;
    }
    const ssize_t n = read();
    learn(c, watch, n, size);
    return n;
}

/// nginx: ngx_unix_recv()
ssize_t iouring_recv(Connection& c, char* buf, std::size_t size) noexcept
{
    return receive(
        c, size, [&](Watch& watch) { return copy_received(watch, buf, size); },
        [&] { return os_io.recv(c, buf, size); });
}

/// Returns the free space in the buffers of a chain, up to `limit` bytes (0: no limit).
std::size_t room_of(const Chain* in, std::size_t limit) noexcept
{
    std::size_t room = 0;
    for (; in && (limit == 0 || room < limit); in = in->next) {
        room += static_cast<std::size_t>(in->buf->end - in->buf->last);
    }
    return limit != 0 ? std::min(room, limit) : room;
}

/// nginx: ngx_readv_chain()
ssize_t iouring_recv_chain(Connection& c, Chain* in, off_t limit) noexcept
{
    const std::size_t room = room_of(in, static_cast<std::size_t>(limit));
    const auto copy = [&](Watch& watch) {
        std::size_t n = 0;
        for (const Chain* link = in; link && watch.left != 0 && n < room; link = link->next) {
            const Buf& b = *link->buf;
            const auto size = static_cast<std::size_t>(b.end - b.last);
            n += copy_received(watch, b.last, std::min(size, room - n));
        }
        return n;
    };
    return receive(c, room, copy, [&] { return os_io.recv_chain(c, in, limit); });
}

/// Returns the space for `size` bytes that the next submission sends; null if they do not fit, or
/// something that was taken before is not sent.
char* room_to_send(Connection& c, std::size_t size) noexcept
{
    if (c.type != SOCK_STREAM || size == 0 || size > state.sends.buffer_size()) {
        return nullptr;
    }
    Watch* watch = find_watch(*c.write);
    if (!watch) {
        watch = new_watch(*c.write, c.fd, write_events);
        if (!watch) {
            return nullptr;
        }
        watch->multishot = true;
    }
    assert(watch->fd == c.fd);
    if (watch->err != 0) {
        return nullptr;
    }
    if (watch->sends) {
        const bool queued = state.sends[watch->send].state == SendState::queued;
        return queued ? state.sends.append(watch->send, size) : nullptr;
    }
    IouringSends::Id id = state.sends.get();
    if (id == IouringSends::none) {
        flush_sends();
        id = state.sends.get();
    }
    if (id == IouringSends::none) {
        return nullptr;
    }
    state.sends[id].ev = c.write;
    state.sends[id].fd = c.fd;
    state.sends[id].state = SendState::queued;
    state.send_queue.push_back(id);
    watch->send = id;
    watch->sends = true;
    return state.sends.append(id, size);
}

/// Submits the data that was taken before, so that what follows can be sent by a call. Returns 0;
/// io_again if the socket is full; io_error after logging if a send has failed.
ssize_t send_before(Connection& c) noexcept
{
    Watch* const watch = find_watch(*c.write);
    if (!watch) {
        return 0;
    }
    if (watch->sends && state.sends[watch->send].state == SendState::queued) {
        flush_sends();
    }
    if (watch->err != 0) {
        c.write->error = 1;
        connection_error(c, std::exchange(watch->err, 0), "send() failed");
        return io_error;
    }
    if (watch->sends) {
        c.write->ready = 0;
        return io_again;
    }
    return 0;
}

/// Takes what fits into a buffer; the next wait sends it. What is larger is sent by a call.
///
/// nginx: ngx_unix_send()
ssize_t iouring_send(Connection& c, const char* buf, std::size_t size) noexcept
{
    assert(in_loop_thread());
    assert(c.fd != invalid_socket);
    if (char* const room = room_to_send(c, size)) {
        std::memcpy(room, buf, size);
        log_debug(log_debug_event, c.log, 0, "iouring send: fd:{} {}", c.fd, size);
        c.sent += static_cast<off_t>(size);
        return static_cast<ssize_t>(size);
    }
    const ssize_t rc = send_before(c);
    return rc != 0 ? rc : os_io.send(c, buf, size);
}

/// Takes a chain as iouring_send() does.
///
/// nginx: ngx_linux_sendfile_chain()
Chain* iouring_send_chain(Connection& c, Chain* in, off_t limit)
{
    assert(in_loop_thread());
    assert(c.fd != invalid_socket);
    if (!c.write->ready) {
        return in;
    }
    const std::size_t more_than_fits = state.sends.buffer_size() + 1;
    const std::size_t max =
        limit == 0 ? more_than_fits : std::min(static_cast<std::size_t>(limit), more_than_fits);
    IoVec vec;
    const Chain* const rest = output_chain_to_iovec(vec, in, max, c.log);
    if (rest == chain_error) {
        return chain_error;
    }
    if (char* room = !rest || vec.size == max ? room_to_send(c, vec.size) : nullptr) {
        for (std::size_t i = 0; i < vec.count; i++) {
            const iovec& part = vec.iovs[i];
            std::memcpy(room, part.iov_base, part.iov_len);
            room += part.iov_len;
        }
        log_debug(log_debug_event, c.log, 0, "iouring send: fd:{} {}", c.fd, vec.size);
        c.sent += static_cast<off_t>(vec.size);
        return chain_update_sent(in, vec.size);
    }
    switch (send_before(c)) {
    case 0:
        return os_io.send_chain(c, in, limit);
    case io_again:
        return in;
    default:
        return chain_error;
    }
}

/// Submits the requests that name a descriptor, which may be that of another connection later.
void submit_requests_of(int fd) noexcept
{
    const auto sends_datagram = [&](IouringSends::Id id) {
        return state.sends[id].datagram && state.sends[id].fd == fd;
    };
    if (std::ranges::count(state.without_delay, fd) != 0 ||
        std::ranges::any_of(state.send_queue, sends_datagram)) {
        flush_sends();
    }
}

/// Returns whether a message is for several datagrams, which the kernel splits (UDP_SEGMENT). The
/// kernel may refuse them.
bool has_datagrams(const msghdr& msg) noexcept
{
    msghdr& with_control = const_cast<msghdr&>(msg);
    for (cmsghdr* cmsg = CMSG_FIRSTHDR(&with_control); cmsg;
         cmsg = CMSG_NXTHDR(&with_control, cmsg)) {
        if (cmsg->cmsg_level == SOL_UDP) {
            return true;
        }
    }
    return false;
}

/// Returns a send for a datagram of `size` bytes; none if it cannot be taken. A client's connection
/// shares the descriptor of the listener; another one learns of errors from its own calls.
IouringSends::Id get_datagram(const Connection& c, std::size_t size) noexcept
{
    if (!c.shared || size > state.sends.buffer_size() || !state.sends.open_messages()) {
        return IouringSends::none;
    }
    IouringSends::Id id = state.sends.get();
    if (id == IouringSends::none) {
        flush_sends();
        id = state.sends.get();
    }
    if (id != IouringSends::none) {
        state.sends[id].fd = c.fd;
        state.sends[id].state = SendState::queued;
        state.sends[id].datagram = true;
        state.send_queue.push_back(id);
    }
    return id;
}

/// Takes a datagram to a client; the next wait sends it.
ssize_t iouring_sendmsg(Connection& c, const msghdr& msg, int flags) noexcept
{
    assert(in_loop_thread());
    std::size_t size = 0;
    for (std::size_t i = 0; i < msg.msg_iovlen; i++) {
        size += msg.msg_iov[i].iov_len;
    }
    const IouringSends::Id id = has_datagrams(msg) ? IouringSends::none : get_datagram(c, size);
    if (id == IouringSends::none) {
        submit_requests_of(c.fd);
        return os_io.sendmsg(c, msg, flags);
    }
    char* room = state.sends.append(id, size);
    for (std::size_t i = 0; i < msg.msg_iovlen; i++) {
        std::memcpy(room, msg.msg_iov[i].iov_base, msg.msg_iov[i].iov_len);
        room += msg.msg_iov[i].iov_len;
    }
    state.sends.address(id, msg);
    return static_cast<ssize_t>(size);
}

/// Takes a datagram as iouring_sendmsg() does.
///
/// nginx: ngx_udp_unix_send()
ssize_t iouring_udp_send(Connection& c, const char* buf, std::size_t size) noexcept
{
    assert(in_loop_thread());
    const IouringSends::Id id = get_datagram(c, size);
    if (id == IouringSends::none) {
        submit_requests_of(c.fd);
        return os_io.udp_send(c, buf, size);
    }
    std::memcpy(state.sends.append(id, size), buf, size);
    msghdr msg{};
    msg.msg_name = c.sockaddr;
    msg.msg_namelen = c.socklen;
    state.sends.address(id, msg);
    log_debug(log_debug_event, c.log, 0, "iouring udp send: fd:{} {}", c.fd, size);
    c.sent += static_cast<off_t>(size);
    return static_cast<ssize_t>(size);
}

/// Shuts down the sending direction after what was taken before is sent.
///
/// nginx: ngx_shutdown_socket()
int iouring_shutdown(Connection& c, int how) noexcept
{
    Watch* const watch = find_watch(*c.write);
    if (watch && watch->sends && how == SHUT_WR) {
        flush_sends();
        if (watch->sends) {
            watch->shuts = true;
            return 0;
        }
    }
    return ::shutdown(c.fd, how);
}

/// Closes the socket, after what was taken before is sent.
///
/// nginx: ngx_close_socket()
int iouring_close(int fd) noexcept
{
    const IouringSends::Id id = std::exchange(state.closing, IouringSends::none);
    if (id == IouringSends::none || state.sends[id].fd != fd) {
        submit_requests_of(fd);
        return ::close(fd);
    }
    state.sends[id].closes = true;
    if (state.sends[id].state == SendState::waiting) {
        linger(id);
    }
    return 0;
}

void* iouring_create_conf(Cycle& cycle)
{
    return cycle.pool->create<IouringConf>();
}

const char* iouring_init_conf(Cycle& cycle, void* conf)
{
    IouringConf& iucf = *static_cast<IouringConf*>(conf);
    conf_init_value(iucf.entries, 512);
    conf_init_value(iucf.io, IouringIo::readiness);
    conf_init_value(iucf.fallback, false);
    conf_init_value(iucf.buffers, Bufs{.num = 256, .size = 4096});
    if (*iucf.fallback && !find_epoll(cycle)) {
        log_error(log_emerg, cycle.log, 0,
                  "\"iouring_fallback\" needs epoll, which this build does not have");
        return conf_error;
    }
    return conf_ok;
}

/// The kernel's limit of the submission queue.
constexpr ConfNumBounds entries_bounds = {.low = 1, .high = 32768};

constexpr ConfEnum<IouringIo> io_values[] = {
    {"readiness", IouringIo::readiness},
    {"completion", IouringIo::completion},
};

std::string show_io(const void* conf)
{
    const auto& io = static_cast<const IouringConf*>(conf)->io;
    return io == IouringIo::completion ? "completion" : "readiness";
}

/// The kernel's limit of provided buffers, and sizes that are of use.
constexpr std::int64_t max_buffers = 32768;
constexpr std::size_t min_buffer_size = 64;
constexpr std::size_t max_buffer_size = 1024 * 1024;

std::string show_buffers(const void* conf)
{
    const auto& bufs = static_cast<const IouringConf*>(conf)->buffers;
    return bufs ? fmt::format("{} {}", bufs->num, bufs->size) : "";
}

const char* set_buffers(Conf& cf, const Command& cmd, void* conf)
{
    const char* const rv = conf_set_bufs_slot<&IouringConf::buffers>(cf, cmd, conf);
    if (rv != conf_ok) {
        return rv;
    }
    const Bufs& bufs = *static_cast<IouringConf*>(conf)->buffers;
    if (bufs.num > max_buffers || bufs.size < min_buffer_size || bufs.size > max_buffer_size) {
        conf_log_error(log_emerg, cf, 0,
                       "the number must be between 1 and {}, and the size between {} and {}",
                       max_buffers, min_buffer_size, max_buffer_size);
        return conf_error;
    }
    return conf_ok;
}

constexpr Command iouring_commands[] = {
    {
        .name = "iouring_entries",
        .type = event_conf | conf_take1,
        .set = conf_set_num_slot<&IouringConf::entries, &entries_bounds>,
        .show = conf_show_slot<&IouringConf::entries>,
    },
    {
        .name = "iouring_io",
        .type = event_conf | conf_take1,
        .set = conf_set_enum_slot<&IouringConf::io, io_values>,
        .show = show_io,
    },
    {
        .name = "iouring_fallback",
        .type = event_conf | conf_flag,
        .set = conf_set_flag_slot<&IouringConf::fallback>,
        .show = conf_show_slot<&IouringConf::fallback>,
    },
    {
        .name = "iouring_buffers",
        .type = event_conf | conf_take2,
        .set = set_buffers,
        .show = show_buffers,
    },
};

constexpr EventModule iouring_module_ctx = {
    .name = "iouring",
    .create_conf = iouring_create_conf,
    .init_conf = iouring_init_conf,
    .actions =
        {
            .add = iouring_add_event,
            .del = iouring_del_event,
            .enable = iouring_add_event,
            .disable = iouring_del_event,
            .add_conn = iouring_add_connection,
            .del_conn = iouring_del_connection,
            .notify = iouring_notify,
            .process_events = iouring_process_events,
            .init = iouring_init,
            .done = iouring_done,
        },
};

}  // namespace

constinit Module iouring_module = {
    .ctx = &iouring_module_ctx,
    .commands = iouring_commands,
    .type = ModuleType::event,
    .init_module = iouring_init_module,
    .exit_process = iouring_exit_process,
};

}  // namespace ngx
