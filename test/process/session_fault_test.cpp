// System calls that fail while clients are served: each session ends with a log line or continues,
// and its resources are released.

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <optional>
#include <ostream>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "auto_config.hpp"
#include "test/process/client.hpp"
#include "test/process/faults.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

using std::chrono::milliseconds;

/// The service that a client uses.
enum class Service { echo, text, proxy, file, file_aio, file_threads, udp, udp_proxy };
using enum Service;

/// The effect on the client of the failing call.
enum class Then {
    ends,     // its session ends; datagrams get no answer
    goes_on,  // it is served normally
    waits,    // it waits until the fault ends, and is then served
    untried,
};
using enum Then;

struct Row {
    const char* call;
    int err;
    Service service;
    Then once;
    Then for_ever;
    const char* said;  // the text before "failed" in the log; empty if nothing is logged
    const char* why;   // the reason for which the call fails
    int pass = 0;      // number of calls before the failing one
};

std::ostream& operator<<(std::ostream& out, const Row& row)
{
    return out << row.call << ' ' << ::strerrorname_np(row.err) << " at service "
               << static_cast<int>(row.service) << " after " << row.pass << " (" << row.why << ")";
}

// connect(2). If connecting to the first peer of the upstream fails, the second is tried.
const std::vector<Row> connecting = {
    {"connect", ECONNREFUSED, proxy, goes_on, ends, "connect() to", "nobody listens"},
    {"connect", ETIMEDOUT, proxy, goes_on, ends, "connect() to", "no answer"},
    {"connect", ENETUNREACH, proxy, goes_on, ends, "connect() to", "no route"},
    {"connect", EHOSTUNREACH, proxy, goes_on, ends, "connect() to", "no neighbour"},
    {"connect", EACCES, proxy, goes_on, ends, "connect() to", "a firewall, or no broadcast"},
    {"connect", EPERM, proxy, goes_on, ends, "connect() to", "a firewall"},
    {"connect", EADDRNOTAVAIL, proxy, goes_on, ends, "connect() to", "all ports are in use"},
    {"connect", EADDRINUSE, proxy, goes_on, ends, "connect() to", "the address is in use"},
    {"connect", EAGAIN, proxy, goes_on, ends, "connect() to", "no port, or a full route cache"},
    {"connect", EINTR, proxy, goes_on, ends, "connect() to", "a signal"},
    {"connect", ENETUNREACH, udp_proxy, goes_on, ends, "connect() to", "no route"},
    {"connect", EPERM, udp_proxy, goes_on, ends, "connect() to", "a firewall"},
    {"connect", EAGAIN, udp_proxy, goes_on, ends, "connect() to", "all ports are in use"},

    // socket(2)
    {"socket", EMFILE, proxy, ends, ends, "socket()", "the process has its descriptors"},
    {"socket", ENFILE, proxy, ends, ends, "socket()", "the system has its files"},
    {"socket", ENOBUFS, proxy, ends, ends, "socket()", "no memory"},
    {"socket", ENOMEM, proxy, ends, ends, "socket()", "no memory"},
    {"socket", EACCES, proxy, ends, ends, "socket()", "not permitted"},
    {"socket", EMFILE, udp_proxy, ends, ends, "socket()", "the process has its descriptors"},

    // setsockopt(2): for the client; for the upstream, which has another peer
    {"setsockopt", ENOMEM, echo, ends, ends, "setsockopt(TCP_NODELAY)", "no memory"},
    {"setsockopt", ENOBUFS, proxy, ends, ends, "setsockopt(TCP_NODELAY)", "no memory"},
    {"setsockopt", ENOBUFS, proxy, goes_on, ends, "setsockopt(TCP_NODELAY)", "no memory", 1},
};

// accept(2): an error of one connection ends it; an error of the system also makes the others wait.
const std::vector<Row> accepting = {
    {"accept4", EMFILE, echo, goes_on, waits, "accept4()", "the process has its descriptors"},
    {"accept4", ENFILE, echo, goes_on, waits, "accept4()", "the system has its files"},
    {"accept4", ENOMEM, echo, goes_on, waits, "accept4()", "no memory"},
    {"accept4", ENOBUFS, echo, goes_on, waits, "accept4()", "no memory for sockets"},
    {"accept4", ECONNABORTED, echo, ends, ends, "accept4()", "the client has gone"},
    {"accept4", EPERM, echo, ends, ends, "accept4()", "a firewall"},
    {"accept4", EPROTO, echo, ends, ends, "accept4()", "a protocol error"},
    {"accept4", ENETDOWN, echo, ends, ends, "accept4()", "an error of the network"},
    {"accept4", EHOSTUNREACH, echo, ends, ends, "accept4()", "an error of the network"},
    {"accept4", EINTR, echo, goes_on, untried, "accept4()", "a signal"},

    // recvmsg(2), for the listener of datagrams
    {"recvmsg", ENOMEM, udp, goes_on, waits, "recvmsg()", "no memory"},
    {"recvmsg", ENOBUFS, udp, goes_on, waits, "recvmsg()", "no memory for sockets"},
    {"recvmsg", EINTR, udp, goes_on, untried, "recvmsg()", "a signal"},
    {"recvmsg", EAGAIN, udp, goes_on, untried, "", "a checksum that is wrong"},
};

const std::vector<Row> moving = {
    // recv(2). In a proxied session: the calls for the client, the upstream and the echo.
    {"recv", ECONNRESET, echo, ends, ends, "recv()", "the client resets"},
    {"recv", ETIMEDOUT, echo, ends, ends, "recv()", "keepalive has found nobody"},
    {"recv", EHOSTUNREACH, echo, ends, ends, "recv()", "an error of the network"},
    {"recv", ENOMEM, echo, ends, ends, "recv()", "no memory"},
    {"recv", ENOTCONN, echo, ends, ends, "recv()", "the client resets"},
    {"recv", EINTR, echo, goes_on, untried, "", "a signal"},
    {"recv", EAGAIN, echo, waits, untried, "", "there is nothing yet"},
    {"recv", ECONNRESET, proxy, ends, ends, "recv()", "a peer resets"},
    {"recv", ECONNRESET, proxy, ends, ends, "recv()", "a peer resets", 1},
    {"recv", ETIMEDOUT, proxy, ends, ends, "recv()", "keepalive has found nobody"},
    {"recv", ENOMEM, proxy, ends, ends, "recv()", "no memory"},
    {"recv", EINTR, proxy, goes_on, untried, "", "a signal"},
    {"recv", ECONNREFUSED, udp_proxy, ends, ends, "recv()", "the upstream does not listen"},
    {"recv", ENOMEM, udp_proxy, ends, ends, "recv()", "no memory"},
    {"recv", EINTR, udp_proxy, goes_on, untried, "", "a signal"},

    // send(2)
    {"send", EPIPE, echo, ends, ends, "send()", "the client has closed"},
    {"send", ECONNRESET, echo, ends, ends, "send()", "the client resets"},
    {"send", ENOBUFS, echo, ends, ends, "send()", "the queue of an interface is full"},
    {"send", ENOMEM, echo, ends, ends, "send()", "no memory"},
    {"send", EACCES, echo, ends, ends, "send()", "a firewall"},
    {"send", EINTR, echo, goes_on, untried, "", "a signal"},
    {"send", EAGAIN, echo, goes_on, untried, "", "no room"},
    {"send", EPIPE, proxy, ends, ends, "send()", "a peer has closed"},
    {"send", ECONNRESET, proxy, ends, ends, "send()", "a peer resets", 1},
    {"send", ECONNRESET, proxy, ends, untried, "send()", "a peer resets", 2},
    {"send", ENOMEM, proxy, ends, ends, "send()", "no memory"},
    {"send", EINTR, proxy, goes_on, untried, "", "a signal"},

    // sendmsg(2). For a proxied datagram: the calls of the proxy, the echo and the proxy again.
    {"sendmsg", EPERM, udp, ends, ends, "sendmsg()", "a firewall"},
    {"sendmsg", ENETUNREACH, udp, ends, ends, "sendmsg()", "no route"},
    {"sendmsg", EHOSTUNREACH, udp, ends, ends, "sendmsg()", "no neighbour"},
    {"sendmsg", ECONNREFUSED, udp, ends, ends, "sendmsg()", "the client does not listen"},
    {"sendmsg", EMSGSIZE, udp, ends, ends, "sendmsg()", "the path takes no such size"},
    {"sendmsg", ENOBUFS, udp, ends, ends, "sendmsg()", "the queue of an interface is full"},
    {"sendmsg", ENOMEM, udp, ends, ends, "sendmsg()", "no memory"},
    {"sendmsg", EINTR, udp, goes_on, untried, "", "a signal"},
    {"sendmsg", EAGAIN, udp, ends, ends, "", "no room: the datagram is lost"},
    {"sendmsg", ECONNREFUSED, udp_proxy, ends, ends, "sendmsg()", "nobody listens"},
    {"sendmsg", EPERM, udp_proxy, ends, untried, "sendmsg()", "a firewall", 1},
    {"sendmsg", EPERM, udp_proxy, ends, untried, "sendmsg()", "a firewall", 2},
    {"sendmsg", EAGAIN, udp_proxy, goes_on, waits, "", "no room", 2},

    // writev(2)
    {"writev", EPIPE, text, ends, ends, "writev()", "the client has closed"},
    {"writev", ECONNRESET, text, ends, ends, "writev()", "the client resets"},
    {"writev", ENOMEM, text, ends, ends, "writev()", "no memory"},
    {"writev", ENOBUFS, text, ends, ends, "writev()", "the queue of an interface is full"},
    {"writev", ETIMEDOUT, text, ends, ends, "writev()", "nothing was acknowledged"},
    {"writev", EINTR, text, goes_on, untried, "", "a signal"},
    {"writev", EAGAIN, text, goes_on, untried, "", "no room"},

    // sendfile(2)
    {"sendfile", EPIPE, file, ends, ends, "sendfile()", "the client has closed"},
    {"sendfile", ECONNRESET, file, ends, ends, "sendfile()", "the client resets"},
    {"sendfile", EIO, file, ends, ends, "sendfile()", "the disk"},
    {"sendfile", ENOMEM, file, ends, ends, "sendfile()", "no memory"},
    {"sendfile", EINVAL, file, ends, ends, "sendfile()", "the file cannot be mapped"},
    {"sendfile", EINTR, file, goes_on, untried, "", "a signal"},
    {"sendfile", EAGAIN, file, goes_on, untried, "", "no room"},
    {"sendfile", EPIPE, file_threads, ends, ends, "sendfile()", "the client has closed"},
    {"sendfile", EIO, file_threads, ends, ends, "sendfile()", "the disk"},
    {"sendfile", EINTR, file_threads, goes_on, untried, "", "a signal"},
    {"sendfile", EAGAIN, file_threads, goes_on, untried, "", "no room"},

    // io_submit(2), io_getevents(2)
    {"io_submit", EAGAIN, file_aio, goes_on, goes_on, "", "worker_aio_requests are under way"},
    {"io_submit", EINVAL, file_aio, ends, ends, "io_submit(", "the file system cannot"},
    {"io_submit", EBADF, file_aio, ends, ends, "io_submit(", "a bad descriptor"},
    {"io_getevents", EINTR, file_aio, goes_on, untried, "", "a signal"},
    {"io_getevents", EINVAL, file_aio, goes_on, waits, "io_getevents()", "a bad context"},
    {"io_getevents", EFAULT, file_aio, goes_on, waits, "io_getevents()", "bad memory"},
};

// epoll_ctl(2): a client is added if it has not sent data yet, the upstream before connect().
const std::vector<Row> watching = {
    {"epoll_ctl", ENOMEM, echo, ends, ends, "epoll_ctl(", "no memory"},
    {"epoll_ctl", ENOSPC, echo, ends, ends, "epoll_ctl(", "max_user_watches are in use"},
    {"epoll_ctl", EPERM, echo, ends, ends, "epoll_ctl(", "the file cannot be watched"},
    {"epoll_ctl", ENOMEM, proxy, ends, ends, "epoll_ctl(", "no memory"},
    {"epoll_ctl", ENOSPC, proxy, ends, ends, "epoll_ctl(", "max_user_watches are in use", 1},
    {"epoll_ctl", ENOSPC, proxy, ends, untried, "epoll_ctl(", "max_user_watches are in use", 2},
    {"epoll_ctl", ENOSPC, udp_proxy, ends, ends, "epoll_ctl(", "max_user_watches are in use"},

    // epoll_wait(2), io_uring_enter(2), poll(2), select(2)
    {"epoll_wait", EINTR, echo, goes_on, untried, "epoll_wait()", "a signal"},
    {"epoll_wait", EINVAL, echo, goes_on, untried, "epoll_wait()", "no epoll descriptor"},
    {"epoll_wait", EBADF, echo, goes_on, untried, "epoll_wait()", "no descriptor"},
    {"io_uring_enter", EINTR, echo, goes_on, untried, "io_uring_enter()", "a signal"},
    {"io_uring_enter", EAGAIN, echo, goes_on, untried, "io_uring_enter()", "no memory"},
    {"io_uring_enter", EBUSY, echo, goes_on, untried, "io_uring_enter()", "too many completions"},
    {"io_uring_enter", EBADR, echo, goes_on, untried, "io_uring_enter()", "lost completions"},
    {"io_uring_enter", EBADF, echo, goes_on, untried, "io_uring_enter()", "no descriptor"},
    {"io_uring_enter", EFAULT, echo, goes_on, untried, "io_uring_enter()", "bad memory"},
    {"io_uring_enter", EINVAL, echo, goes_on, untried, "io_uring_enter()", "unknown flags"},
    {"poll", EINTR, echo, goes_on, untried, "poll()", "a signal"},
    {"poll", EINVAL, echo, goes_on, untried, "poll()", "more than RLIMIT_NOFILE"},
    {"poll", ENOMEM, echo, goes_on, untried, "poll()", "no memory"},
    {"select", EINTR, echo, goes_on, untried, "select()", "a signal"},
    {"select", EBADF, echo, goes_on, untried, "select()", "one has been closed"},
    {"select", ENOMEM, echo, goes_on, untried, "select()", "no memory"},
};

bool is_datagram(Service service)
{
    return service == udp || service == udp_proxy;
}

/// Returns whether the event method makes the call.
bool concerns_method(const Row& row)
{
    const std::string_view call = row.call;
    const std::string& method = setup().method;
    if (call == "poll" || call == "select") {
        return call == method;
    }
    if (call == "io_uring_enter") {
        return method == "iouring";
    }
    // The kernel signals room only after the buffer was full, which it is not here.
    if (method == "rtsig" && row.err == EAGAIN && std::string_view(row.why) == "no room") {
        return false;
    }
    const bool of_epoll =
        call.starts_with("epoll_") || row.service == file_aio || row.service == file_threads;
    return !of_epoll || method == "epoll";
}

/// A server with all services, in which calls can be made to fail.
class Services {
public:
    explicit Services(const std::optional<Fault>& at_start = {})
    {
        write_file(dir_ / "file", file_text_);
        if (at_start) {
            faults_.arm(*at_start);
        }
        server_.emplace(conf(), 1024, faults_.env());
        server_->allow("fcntl(O_DIRECT)");
    }

    [[nodiscard]] Server& server() { return *server_; }
    [[nodiscard]] Faults& faults() { return faults_; }
    [[nodiscard]] std::uint16_t port(Service service) const
    {
        return is_datagram(service) ? udp_ports_.at(service == udp ? 0 : 1)
                                    : ports_.at(static_cast<std::size_t>(service));
    }
    [[nodiscard]] std::string answer(Service service) const
    {
        switch (service) {
        case text:
            return "hello";
        case file:
        case file_aio:
        case file_threads:
            return file_text_;
        default:
            return std::string(question);
        }
    }

    static constexpr std::string_view question = "question";
    static constexpr milliseconds delay{20};

private:
    [[nodiscard]] ServerConf conf() const
    {
        std::string stream = fmt::format(
            "    upstream peers {{ server {}; server {}; }}\n"
            "    upstream udp_peers {{ server {}; server {}; }}\n"
            "    proxy_half_close on; proxy_responses 1; proxy_timeout 2s;\n",
            ports_[6].at("127.0.0.1") + " max_fails=0", ports_[7].at("127.0.0.1") + " max_fails=0",
            udp_ports_[2].at("127.0.0.1") + " max_fails=0",
            udp_ports_[3].at("127.0.0.1") + " max_fails=0");
        const std::string send_file = fmt::format("send_file {}; ", (dir_ / "file").string());
        stream += server_block(ports_[0], "echo;") + server_block(ports_[1], "return hello;") +
                  server_block(ports_[2], "proxy_pass peers;") +
                  server_block(ports_[3], send_file + "sendfile on;");
        if (setup().method == "epoll") {
            stream += server_block(ports_[4], send_file + "aio on; directio 1;") +
                      server_block(ports_[5], send_file + "aio threads; sendfile on;");
        }
        stream += server_block(ports_[6], "echo; tcp_nodelay off;") +
                  server_block(ports_[7], "echo; tcp_nodelay off;");
        stream += server_block(udp_ports_[0], "echo; echo_timeout 5ms;", "udp") +
                  server_block(udp_ports_[1], "proxy_pass udp_peers; proxy_timeout 300ms;", "udp") +
                  server_block(udp_ports_[2], "echo; echo_timeout 5ms;", "udp") +
                  server_block(udp_ports_[3], "echo; echo_timeout 5ms;", "udp");
        return {.stream = stream,
                .events =
                    fmt::format("worker_connections 48; accept_mutex_delay {}ms;", delay.count())};
    }

    TempDir dir_;
    std::string file_text_ = long_text(100'000);
    std::deque<Port> ports_ = std::deque<Port>(8);
    std::deque<Port> udp_ports_ = make_udp_ports(4);
    Faults faults_{dir_ / "fault"};
    std::optional<Server> server_;

    static std::deque<Port> make_udp_ports(std::size_t n)
    {
        std::deque<Port> ports;
        for (std::size_t i = 0; i < n; i++) {
            ports.emplace_back(SOCK_DGRAM);
        }
        return ports;
    }
};

/// A client of one of the services, which has sent its request or a part of it.
class Visitor {
public:
    Visitor(const Services& services, Service service)
        : answer_(services.answer(service))
        , asks_(service == echo || service == proxy)
    {
        if (is_datagram(service)) {
            udp_.emplace(services.port(service)).send(Services::question);
            return;
        }
        tcp_.emplace(services.port(service));
        if (asks_) {
            tcp_->send(Services::question.substr(0, half));
        }
    }

    /// Sends the rest of the request. Returns whether the complete answer and the end arrive.
    [[nodiscard]] bool is_served() const
    {
        try {
            if (udp_) {
                return udp_->receive() == answer_;
            }
            if (!asks_) {
                return tcp_->until_closed() == answer_;
            }
            tcp_->send(Services::question.substr(half));
            const std::string got = tcp_->receive(answer_.size());
            tcp_->finish();
            return got == answer_ && tcp_->receive_all().empty();
        } catch (const std::exception&) {
            return false;
        }
    }

    /// Waits for the end of the session; a part of the answer may arrive before.
    [[nodiscard]] bool is_ended() const
    {
        return !tcp_ || answer_.starts_with(tcp_->until_closed());
    }

private:
    static constexpr std::size_t half = Services::question.size() / 2;

    std::string answer_;
    bool asks_;
    std::optional<Client> tcp_;
    std::optional<UdpClient> udp_;
};

/// Returns the number of log lines about the fault.
std::size_t count_told(Server& server, const Row& row)
{
    const std::string err = fmt::format(" ({}: ", row.err);
    std::size_t n = 0;
    for (const std::string& line : lines_of(server.log())) {
        n += line.find(row.said) != line.npos && line.find(" failed") != line.npos &&
             line.find(err) != line.npos;
    }
    return n;
}

/// Returns whether the server logs at most one line per second about it.
bool is_limited(const Row& row)
{
    static const std::set<std::string_view> calls{
        "accept4", "epoll_wait", "io_getevents", "io_uring_enter", "poll", "recvmsg", "select"};
    return calls.contains(row.call);
}

/// Checks a client during the fault, and another one after it.
void meet(Services& services, const Row& row, bool for_ever)
{
    const Then then = for_ever ? row.for_ever : row.once;
    if (then == untried || !concerns_method(row)) {
        return;
    }
    BOOST_TEST_CONTEXT(row << (for_ever ? " for ever" : " once"))
    {
        constexpr int hits_without_a_spin = 30;
        Server& server = services.server();
        Faults& faults = services.faults();
        const std::size_t descriptors = server.descriptors();
        const bool is_told = *row.said != '\0';
        const std::size_t told = is_told && !is_limited(row) ? count_told(server, row) : 0;
        if (is_told) {
            server.allow(row.said);
        }

        faults.arm({row.call, row.err, for_ever ? always : 1, row.pass});
        std::optional<Visitor> visitor(std::in_place, services, row.service);
        if (then == ends) {
            BOOST_TEST(visitor->is_ended());
        } else if (then == goes_on) {
            BOOST_TEST(visitor->is_served());
        }
        faults.wait_for_hit();
        server.settle();
        BOOST_TEST(faults.hits() <= hits_without_a_spin);
        faults.disarm();
        if (then == waits) {
            BOOST_TEST(visitor->is_served());
        }
        visitor.reset();

        BOOST_TEST((!is_told || count_told(server, row) > told), server.log());
        BOOST_TEST(Visitor(services, row.service).is_served());
        server.wait_for_descriptors(descriptors);
    }
}

/// Returns the number of clients that the server accepts until no slot is free.
std::size_t room(Services& services)
{
    services.server().allow("worker_connections are not enough");
    std::vector<Client> clients;
    try {
        for (;;) {
            clients.emplace_back(services.port(echo));
            if (clients.back().echo("hello") != "hello") {
                break;
            }
        }
    } catch (const std::exception&) {
        // A reset instead of the end of the data.
    }
    return clients.size() - 1;
}

/// Waits until the sessions of datagrams have ended, which happens by a timeout.
void wait_for_room(Services& services, std::size_t wanted)
{
    const std::size_t descriptors = services.server().descriptors();
    wait_until(fmt::format("there is room for {} clients", wanted), [&] {
        const bool enough = room(services) == wanted;
        services.server().wait_for_descriptors(descriptors);
        return enough;
    });
}

void check_table(const std::vector<Row>& rows)
{
    constexpr milliseconds much(1000);
    Services services;
    Server& server = services.server();
    const std::size_t descriptors = server.descriptors();
    const std::size_t before = room(services);
    server.wait_for_descriptors(descriptors);

    for (const Row& row : rows) {
        meet(services, row, false);
        meet(services, row, true);
    }
    BOOST_TEST(count(server.log(), "not enough") == 1U);
    BOOST_TEST((server.cpu_time() < much));
    wait_for_room(services, before);
    BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
}

/// Returns the resident memory.
long memory_of(Server& server)
{
    std::istringstream pages(read_file(server.proc("statm")));
    long all = 0;
    long resident = 0;
    pages >> all >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

/// Connects many clients during a fault that does not end.
void crowd(Services& services, const Row& row)
{
    constexpr int clients = 200;
    for (int i = 0; i < clients; i++) {
        BOOST_TEST_REQUIRE(Visitor(services, row.service).is_ended());
    }
}

/// Checks that clients of all kinds do not make the process larger during faults. The initial size
/// depends on the number of simultaneous clients.
void check_memory(const std::vector<Row>& rows)
{
    Services services;
    Server& server = services.server();
    const std::size_t descriptors = server.descriptors();
    std::vector<long> sizes;
    for (int round = 0; round < 3; round++) {
        for (const Row& row : rows) {
            server.allow(row.said);
            BOOST_TEST_CONTEXT(row)
            {
                services.faults().arm({row.call, row.err, always, row.pass});
                crowd(services, row);
                services.faults().disarm();
                server.wait_for_descriptors(descriptors);
            }
        }
        sizes.push_back(memory_of(server));
    }
    BOOST_TEST(count(server.log(), "not enough") == 0U);
    if (!have_asan) {  // a sanitizer keeps freed memory, and finds leaks itself
        constexpr long much = 128 * 1024;
        BOOST_TEST(sizes[2] - sizes[1] < much, sizes[1] << " bytes, then " << sizes[2]);
    }
}

/// Checks that a server starts without an optional call, and that all services work.
void serves_without(const Fault& fault, const std::vector<Service>& served)
{
    Services services(fault);
    BOOST_TEST_CONTEXT(fault.call << ' ' << ::strerrorname_np(fault.err))
    {
        services.server().allow(fault.call + "() failed");
        BOOST_TEST(services.faults().hits() > 0);
        services.faults().disarm();
        for (const Service service : served) {
            BOOST_TEST(Visitor(services, service).is_served(), static_cast<int>(service));
        }
        const std::string told = fmt::format("{}() failed ({}: ", fault.call, fault.err);
        BOOST_TEST(count(services.server().log(), told) > 0U);
    }
}

/// Checks that a call that the kernel does not have is not repeated.
void does_without(const Row& row)
{
    Services services;
    services.server().allow(row.said);
    services.faults().arm({row.call, row.err, always});
    for (int i = 0; i < 3; i++) {
        BOOST_TEST(Visitor(services, row.service).is_served());
    }
    BOOST_TEST(services.faults().hits() == 1);
    BOOST_TEST(count_told(services.server(), row) == 1U);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(session_fault)

BOOST_AUTO_TEST_CASE(connections_that_cannot_be_made_are_made_elsewhere_or_end_the_session)
{
    check_table(connecting);
}

BOOST_AUTO_TEST_CASE(clients_that_cannot_be_accepted_are_closed_or_wait)
{
    check_table(accepting);
}

BOOST_AUTO_TEST_CASE(data_that_cannot_be_moved_ends_the_session)
{
    check_table(moving);
}

BOOST_AUTO_TEST_CASE(connections_that_cannot_be_watched_are_closed)
{
    check_table(watching);
}

BOOST_AUTO_TEST_CASE(clients_who_meet_faults_leave_nothing_behind)
{
    check_memory({
        {"connect", ECONNREFUSED, proxy, untried, ends, "connect() to", ""},
        {"socket", EMFILE, proxy, untried, ends, "socket()", ""},
        {"accept4", ECONNABORTED, echo, untried, ends, "accept4()", ""},
        {"recv", ECONNRESET, echo, untried, ends, "recv()", ""},
        {"send", EPIPE, proxy, untried, ends, "send()", ""},
        {"writev", ENOMEM, text, untried, ends, "writev()", ""},
        {"sendfile", EIO, file, untried, ends, "sendfile()", ""},
    });
}

BOOST_AUTO_TEST_CASE(missing_calls_of_the_kernel_are_replaced)
{
    does_without({"accept4", ENOSYS, echo, untried, untried, "accept4()", "an old kernel"});
    if (setup().method == "epoll") {
        does_without({"io_submit", ENOSYS, file_aio, untried, untried, "io_submit(", "no aio"});
    }
}

BOOST_AUTO_TEST_CASE(without_asynchronous_reads_files_are_read_directly,
                     *precondition(method_is_epoll))
{
    const std::vector<Service> served = {echo, text, proxy, file, file_aio, file_threads, udp};
    for (const int err : {EAGAIN, ENOMEM, ENOSYS}) {
        serves_without({.call = "io_setup", .err = err}, served);
    }
    // The first eventfd is the one by which threads report their completed tasks.
    for (const int err : {EMFILE, ENFILE, ENODEV, ENOMEM}) {
        serves_without({.call = "eventfd", .err = err, .pass = 1}, served);
    }
}

// Regression test: each turn logged the error, 40 megabytes per second.
BOOST_AUTO_TEST_CASE(a_server_that_cannot_wait_does_not_spin_and_can_be_ended)
{
    const std::string call = wait_call();
    for (const int signo : {SIGTERM, SIGQUIT}) {
        Services services;
        services.server().allow(call + "() failed");
        services.faults().arm({.call = call, .err = EINVAL, .times = always});
        services.server().signal(SIGUSR1);  // ends the wait
        const milliseconds cpu = services.server().cpu_time();
        const auto begin = Clock::now();
        wait_until("it has failed to wait 20 times",
                   [&] { return services.faults().hits() >= 20; });
        BOOST_TEST((Clock::now() - begin >= milliseconds(150)));
        BOOST_TEST((services.server().cpu_time() - cpu <= milliseconds(100)));
        BOOST_TEST(services.server().stop(signo).exited_with(0));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
