#include "core/connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/palloc.hpp"
#include "core/string.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_accept.hpp"
#include "event/event_counters.hpp"
#include "event/event_posted.hpp"
#include "event/event_timer.hpp"
#include "os/unix/process.hpp"
#include "os/unix/process_cycle.hpp"
#include "test/core/fixture.hpp"
#include "test/core/socket_option.hpp"
#include "test/support/client.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/forked.hpp"

namespace ngx::test {

namespace {

Addr address(std::string_view text)
{
    Addr addr;
    if (text.starts_with("unix:")) {
        addr.sockaddr.un.sun_family = AF_UNIX;
        text.substr(5).copy(addr.sockaddr.un.sun_path, sizeof(addr.sockaddr.un.sun_path) - 1);
        addr.socklen = sizeof(sockaddr_un);
    } else {
        BOOST_TEST_REQUIRE((parse_addr_port(addr, text) == Rc::ok));
    }
    return addr;
}

bool is_open(int fd)
{
    return ::fcntl(fd, F_GETFD) != -1;
}

/// A cycle that has only listeners.
struct Listeners : Reader {
    using Reader::Reader;

    ~Listeners()
    {
        process = Process::single;
        new_binary = 0;
        inherited = false;
        parent = 0;
        close_listening_sockets(*cycle);
        test_config = false;
    }

    Listening& add(std::string_view text)
    {
        const Addr addr = address(text);
        Listening& ls = *create_listening(cf, &addr.sockaddr.any, addr.socklen);
        ls.logp = &log.log;
        return ls;
    }

    bool open()
    {
        log.text.clear();
        if (open_listening_sockets(*cycle) != Rc::ok) {
            return false;
        }
        configure_listening_sockets(*cycle);
        return true;
    }

    /// Opens a socket that listens on a free port. Returns "127.0.0.1:PORT".
    std::string occupy()
    {
        occupied = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const Addr addr = address("127.0.0.1");
        BOOST_TEST(::bind(occupied.get(), &addr.sockaddr.any, addr.socklen) == 0);
        BOOST_TEST(::listen(occupied.get(), 1) == 0);
        sockaddr_in sin{};
        socklen_t len = sizeof(sin);
        ::getsockname(occupied.get(), reinterpret_cast<sockaddr*>(&sin), &len);
        return "127.0.0.1:" + std::to_string(ntohs(sin.sin_port));
    }

    /// Creates the unix socket file that a killed server leaves.
    std::string leave_behind(int type = SOCK_STREAM)
    {
        const std::string path = dir / "stale";
        const Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
        const Addr addr = address("unix:" + path);
        BOOST_TEST(::bind(fd.get(), &addr.sockaddr.any, addr.socklen) == 0);
        return path;
    }

    /// Adds a socket as one that is inherited from another process.
    Listening& inherit(int fd)
    {
        Listening& ls = cycle->listening.emplace_back();
        ls.fd = fd;
        ls.inherited = 1;
        set_inherited_sockets(*cycle);
        return ls;
    }

    /// Returns a socket that is bound to the address.
    static int bound(std::string_view text, int type = SOCK_STREAM)
    {
        const Addr addr = address(text);
        const int fd = ::socket(addr.sockaddr.any.sa_family, type | SOCK_CLOEXEC, 0);
        BOOST_TEST(::bind(fd, &addr.sockaddr.any, addr.socklen) == 0);
        return fd;
    }

    Fd occupied{};
};

/// Listeners of a configuration with workers.
struct ListenersOfWorkers : Listeners {
    ListenersOfWorkers() : Listeners({&core_module}) {}
};

/// How often the handler of each connection was called, by descriptor; and what it does.
struct {
    std::vector<int> calls{};
    int reluctant = 0;  // the number of calls that do not close
} handled;

void close_when_asked(Event& rev) noexcept
{
    Connection& c = *static_cast<Connection*>(rev.data);
    handled.calls.push_back(c.fd);
    if (handled.reluctant > 0) {
        handled.reluctant--;
        return;
    }
    if (c.close) {
        close_connection(c);
    }
}

/// A worker with this number of connections, and descriptors for them.
struct Worker : TestCycle {
    explicit Worker(std::size_t n = 16, std::string_view directives = "")
        : TestCycle(fmt::format("events {{ worker_connections {}; {} }}", n, directives))
    {
        BOOST_TEST_REQUIRE(ok(), log());
        handled = {};
    }

    Connection* get() { return get_connection(::dup(STDIN_FILENO), (*this)->log); }

    /// Acquires `n` slots; the handler of each closes it on request.
    std::vector<Connection*> take(std::size_t n)
    {
        std::vector<Connection*> result;
        for (std::size_t i = 0; i < n; i++) {
            Connection* const c = get();
            BOOST_TEST_REQUIRE(c);
            c->read->handler = close_when_asked;
            c->read->log = c->write->log = c->log;
            result.push_back(c);
        }
        return result;
    }

    [[nodiscard]] std::size_t free_n() const { return (*this)->free_connection_n; }

    /// Replaces the table of connections by descriptor, which the default method may have made.
    void set_files(std::size_t n)
    {
        (*this)->files_n = 0;
        (*this)->files_storage.clear();
        resize_files(**this, n);
    }
};

struct SmallWorker : Worker {
    SmallWorker() : Worker(4) {}
};

}  // namespace

BOOST_AUTO_TEST_SUITE(connection)

BOOST_AUTO_TEST_SUITE(listening)

BOOST_FIXTURE_TEST_CASE(a_new_listener_has_its_address_and_the_defaults, Listeners)
{
    const Listening& ls = add("127.0.0.1:80");
    BOOST_TEST(&ls == &cycle->listening.back());
    BOOST_TEST(ls.addr_text == "127.0.0.1:80");
    BOOST_TEST(ls.socklen == sizeof(sockaddr_in));
    BOOST_TEST(inet_get_port(&ls.sockaddr.any) == 80);
    BOOST_TEST(ls.fd == invalid_socket);
    BOOST_TEST(ls.type == static_cast<int>(SOCK_STREAM));
    BOOST_TEST(ls.backlog == 511);
    BOOST_TEST(ls.rcvbuf == -1);
    BOOST_TEST(ls.sndbuf == -1);
    BOOST_TEST(ls.fastopen == -1);
    BOOST_TEST(!ls.open);
    BOOST_TEST(add("[::1]:80").addr_text == "[::1]:80");
    BOOST_TEST(add("unix:/a").addr_text == "unix:/a");
    cycle->listening.clear();
}

BOOST_FIXTURE_TEST_CASE(a_listener_that_is_opened_listens_without_blocking, Listeners)
{
    const Listening& ls = add("127.0.0.1");
    BOOST_TEST_REQUIRE(open());
    BOOST_TEST((ls.open == 1));
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_ACCEPTCONN) == 1);
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_REUSEADDR) == 1);
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_REUSEPORT) == 0);
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
    BOOST_TEST(option(ls.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0);
    BOOST_TEST((::fcntl(ls.fd, F_GETFL) & O_NONBLOCK) != 0);
    BOOST_TEST(messages(log.text) == "");
}

BOOST_FIXTURE_TEST_CASE(the_options_of_a_listener_are_set_on_its_socket, Listeners)
{
    Listening& ls = add("127.0.0.1");
    ls.backlog = 3;
    ls.rcvbuf = 16 * 1024;
    ls.sndbuf = 32 * 1024;
    ls.keepalive = 1;
    ls.keepidle = 100;
    ls.keepintvl = 20;
    ls.keepcnt = 5;
    ls.fastopen = 7;
    ls.reuseport = 1;
    ls.add_deferred = 1;
    BOOST_TEST_REQUIRE(open());
    BOOST_TEST(messages(log.text) == "");

    BOOST_TEST(backlog_of(ls.fd) == 3U);
    // The kernel doubles the sizes.
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_RCVBUF) == 32 * 1024);
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_SNDBUF) == 64 * 1024);
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
    BOOST_TEST(option(ls.fd, IPPROTO_TCP, TCP_KEEPIDLE) == 100);
    BOOST_TEST(option(ls.fd, IPPROTO_TCP, TCP_KEEPINTVL) == 20);
    BOOST_TEST(option(ls.fd, IPPROTO_TCP, TCP_KEEPCNT) == 5);
    BOOST_TEST(option(ls.fd, IPPROTO_TCP, TCP_FASTOPEN) == 7);
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_REUSEPORT) == 1);
    BOOST_TEST(option(ls.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
}

BOOST_FIXTURE_TEST_CASE(an_option_may_be_changed_while_the_socket_is_open, Listeners)
{
    Listening& ls = add("127.0.0.1");
    ls.keepalive = 1;
    ls.add_deferred = 1;
    BOOST_TEST_REQUIRE(open());

    ls.keepalive = 2;
    ls.add_deferred = 0;
    ls.delete_deferred = 1;
    ls.add_reuseport = 1;
    ls.backlog = 2;
    const int fd = ls.fd;
    BOOST_TEST_REQUIRE(open());
    BOOST_TEST(ls.fd == fd);
    BOOST_TEST(option(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
    BOOST_TEST(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0);
    BOOST_TEST(option(fd, SOL_SOCKET, SO_REUSEPORT) == 1);
    BOOST_TEST(!ls.add_reuseport);
    BOOST_TEST(backlog_of(fd) == 2U);
}

BOOST_FIXTURE_TEST_CASE(an_option_that_the_kernel_refuses_is_an_alert_and_ignored, Listeners)
{
    Listening& ls = add("127.0.0.1");
    ls.keepidle = 99'999;
    ls.keepcnt = 999;
    BOOST_TEST(open());
    BOOST_TEST(messages(log.text) ==
               "[alert] setsockopt(TCP_KEEPIDLE, 99999) 127.0.0.1:0 failed, ignored "
               "(22: Invalid argument)\n"
               "[alert] setsockopt(TCP_KEEPCNT, 999) 127.0.0.1:0 failed, ignored "
               "(22: Invalid argument)\n");
}

BOOST_FIXTURE_TEST_CASE(an_ipv6_listener_takes_ipv4_unless_it_is_ipv6_only, Listeners,
                        *boost::unit_test::precondition(has_ipv6))
{
    add("::1").ipv6only = 1;
    add("::").ipv6only = 0;
    BOOST_TEST_REQUIRE(open());
    BOOST_TEST(option(cycle->listening[0].fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
    BOOST_TEST(option(cycle->listening[1].fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0);
}

BOOST_FIXTURE_TEST_CASE(a_datagram_listener_is_bound_and_does_not_listen, Listeners)
{
    Listening& ls = add("127.0.0.1");
    ls.type = SOCK_DGRAM;
    BOOST_TEST_REQUIRE(open());
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_TYPE) == static_cast<int>(SOCK_DGRAM));
    BOOST_TEST(!ls.listen);
    BOOST_TEST(messages(log.text) == "");
}

BOOST_FIXTURE_TEST_CASE(datagrams_to_a_wildcard_bring_their_local_address, Listeners)
{
    for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
        for (const bool wildcard : {true, false}) {
            Listening& ls = add("127.0.0.1");
            ls.type = type;
            ls.wildcard = wildcard;
            BOOST_TEST_REQUIRE(open());
            BOOST_TEST(option(cycle->listening.back().fd, IPPROTO_IP, IP_PKTINFO) ==
                       (type == SOCK_DGRAM && wildcard));
        }
    }
    BOOST_TEST(messages(log.text) == "");
}

BOOST_FIXTURE_TEST_CASE(datagrams_to_a_wildcard_of_ipv6_bring_their_local_address, Listeners,
                        *boost::unit_test::precondition(has_ipv6))
{
    Listening& ls = add("::");
    ls.type = SOCK_DGRAM;
    ls.wildcard = 1;
    BOOST_TEST_REQUIRE(open());
    BOOST_TEST(option(cycle->listening[0].fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) == 1);
}

BOOST_FIXTURE_TEST_CASE(every_user_may_connect_to_a_unix_listener, Listeners)
{
    const std::string path = dir / "socket";
    const Listening& ls = add("unix:" + path);
    BOOST_TEST_REQUIRE(open());
    struct stat info {};
    BOOST_TEST(::stat(path.c_str(), &info) == 0);
    BOOST_TEST((info.st_mode & 0777) == 0666U);
    BOOST_TEST(option(ls.fd, SOL_SOCKET, SO_ACCEPTCONN) == 1);
}

BOOST_FIXTURE_TEST_CASE(open_ignored_and_inherited_listeners_are_not_opened, Listeners)
{
    const Fd own(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    add("127.0.0.1").fd = ::dup(own.get());
    add("127.0.0.1").ignore = 1;
    BOOST_TEST((open_listening_sockets(*cycle) == Rc::ok));
    BOOST_TEST(option(cycle->listening[0].fd, SOL_SOCKET, SO_ACCEPTCONN) == 0);
    BOOST_TEST(!cycle->listening[0].open);
    BOOST_TEST(cycle->listening[1].fd == invalid_socket);
    cycle->listening.pop_back();
}

BOOST_FIXTURE_TEST_CASE(the_first_listener_that_fails_is_an_error_and_leaks_nothing, Listeners)
{
    const std::size_t before = open_descriptors();
    add("192.0.2.1:1");  // an address that no host has
    BOOST_TEST(!open());
    BOOST_TEST(messages(log.text) == "[emerg] bind() to 192.0.2.1:1 failed (99: Cannot assign "
                                     "requested address)\n");

    cycle->listening.clear();
    add("127.0.0.1");
    {
        FakeCall no_option(Call::setsockopt, {.err = EPERM});
        BOOST_TEST(!open());
        BOOST_TEST(messages(log.text) == "[emerg] setsockopt(SO_REUSEADDR) 127.0.0.1:0 failed "
                                         "(1: Operation not permitted)\n");
    }
    {
        FakeCall no_ioctl(Call::ioctl, {.err = EPERM});
        BOOST_TEST(!open());
        BOOST_TEST(messages(log.text) ==
                   "[emerg] ioctl(FIONBIO) 127.0.0.1:0 failed (1: Operation not permitted)\n");
    }
    BOOST_TEST(open_descriptors() == before);
    cycle->listening.clear();
}

/// The only test case that really waits: five times half a second.
BOOST_FIXTURE_TEST_CASE(an_address_in_use_is_tried_five_times, Listeners)
{
    const std::string taken = occupy();
    add("127.0.0.1");
    add(taken);
    const std::size_t before = open_descriptors();
    BOOST_TEST(!open());

    std::string wanted;
    for (int i = 0; i < 5; i++) {
        wanted += "[emerg] bind() to " + taken +
                  " failed (98: Address already in use)\n"
                  "[notice] try again to bind() after 500ms\n";
    }
    BOOST_TEST(messages(log.text) == wanted + "[emerg] still could not bind()\n");
    BOOST_TEST(open_descriptors() == before + 1);
    cycle->listening.pop_back();
}

BOOST_FIXTURE_TEST_CASE(a_test_of_the_configuration_may_find_its_addresses_in_use, Listeners)
{
    test_config = true;
    add(occupy()).reuseport = 1;
    const std::string path = dir / "socket";
    const Listening& ls = add("unix:" + path);
    BOOST_TEST((open_listening_sockets(*cycle) == Rc::ok));
    BOOST_TEST(messages(log.text) == "");
    BOOST_TEST(cycle->listening.front().fd == invalid_socket);
    BOOST_TEST(::access(path.c_str(), F_OK) == -1, "its socket is gone");

    ::close(ls.fd);
    cycle->listening.clear();
}

BOOST_FIXTURE_TEST_CASE(closing_listeners_deletes_the_files_of_unix_sockets, Listeners)
{
    const std::string path = dir / "socket";
    const std::size_t before = open_descriptors();
    add("127.0.0.1");
    add("unix:" + path);
    BOOST_TEST_REQUIRE(open());
    BOOST_TEST(open_descriptors() == before + 2);

    use_accept_mutex = accept_mutex_held = true;
    close_listening_sockets(*cycle);
    BOOST_TEST(open_descriptors() == before);
    BOOST_TEST(::access(path.c_str(), F_OK) == -1);
    for (const Listening& ls : cycle->listening) {
        BOOST_TEST(ls.fd == invalid_socket);
    }
    close_listening_sockets(*cycle);
    BOOST_TEST(!use_accept_mutex);
    BOOST_TEST(!accept_mutex_held);
    BOOST_TEST(messages(log.text) == "");
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_stops_listening_leaves_the_files_to_the_master, Listeners)
{
    const std::string path = dir / "socket";
    add("unix:" + path);
    BOOST_TEST_REQUIRE(open());
    process = Process::worker;
    close_listening_sockets(*cycle);
    BOOST_TEST(::access(path.c_str(), F_OK) == 0);
}

BOOST_FIXTURE_TEST_CASE(the_last_server_that_listens_deletes_the_files, Listeners)
{
    // Returns whether the file is removed when the server stops listening.
    const auto deleted = [this](pid_t new_one, bool is_new, pid_t started_by) {
        const std::string path = dir / "socket";
        cycle->listening.clear();
        add("unix:" + path);
        BOOST_TEST_REQUIRE(open());
        process = Process::master;
        new_binary = new_one;
        inherited = is_new;
        parent = started_by;
        close_listening_sockets(*cycle);
        BOOST_TEST(messages(log.text) == "");
        const bool gone = ::access(path.c_str(), F_OK) == -1;
        ::unlink(path.c_str());
        return gone;
    };
    BOOST_TEST(deleted(0, false, ::getppid()));
    BOOST_TEST(!deleted(12, false, ::getppid()), "the new binary goes on");
    BOOST_TEST(!deleted(0, true, ::getppid()), "the old binary is still there");
    BOOST_TEST(deleted(0, true, 0), "the old binary is gone");
}

BOOST_FIXTURE_TEST_CASE(the_file_of_a_socket_from_systemd_stays, Listeners)
{
    const std::string path = dir / "socket";
    add("unix:" + path).activated = 1;
    BOOST_TEST_REQUIRE(open());
    close_listening_sockets(*cycle);
    BOOST_TEST(::access(path.c_str(), F_OK) == 0);
}

BOOST_FIXTURE_TEST_CASE(a_unix_socket_that_was_left_behind_is_removed_with_a_warning, Listeners)
{
    for (const int left : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
        const int type = left == SOCK_DGRAM ? SOCK_DGRAM : SOCK_STREAM;
        const std::string path = leave_behind(left);
        Listening& ls = add("unix:" + path);
        ls.type = type;
        BOOST_TEST_REQUIRE(open());
        BOOST_TEST(messages(log.text) == "[warn] unix:" + path +
                                             " was left behind by a server that is gone, "
                                             "removed\n");
        const Addr addr = address("unix:" + path);
        const Fd client(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
        BOOST_TEST(::connect(client.get(), &addr.sockaddr.any, addr.socklen) == 0);
        close_listening_sockets(*cycle);
        cycle->listening.clear();
    }
}

/// A file at the address of a listener, and the object that keeps it.
struct InTheWay {
    std::string path;
    Fd holder{};
    Fd other{};
};

/// The kinds of files that may exist at the address of a unix socket, except a socket of a dead
/// server.
struct FilesInTheWay : Listeners {
    std::string path(std::string_view name) const { return dir / name; }

    InTheWay socket(std::string_view name, int type, int backlog = 0)
    {
        InTheWay way{path(name), Fd(bound("unix:" + path(name), type))};
        BOOST_TEST((backlog == 0 || ::listen(way.holder.get(), backlog) == 0));
        return way;
    }

    InTheWay connected(std::string_view name, int type, const InTheWay& to)
    {
        InTheWay way = socket(name, type);
        const Addr addr = address("unix:" + to.path);
        BOOST_TEST(::connect(way.holder.get(), &addr.sockaddr.any, addr.socklen) == 0);
        return way;
    }

    /// A listener whose queue is full.
    InTheWay full(std::string_view name)
    {
        InTheWay way = socket(name, SOCK_STREAM);
        BOOST_TEST(::listen(way.holder.get(), 0) == 0);
        way.other = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const Addr addr = address("unix:" + way.path);
        BOOST_TEST(::connect(way.other.get(), &addr.sockaddr.any, addr.socklen) == 0);
        return way;
    }

    std::vector<InTheWay> all()
    {
        std::vector<InTheWay> ways;
        write_file(path("file"), "text");
        ::mkfifo(path("fifo").c_str(), 0600);
        ::mkdir(path("directory").c_str(), 0700);
        ::symlink("file", path("link").c_str());
        ::symlink("nothing", path("dangling").c_str());
        ::symlink(leave_behind().c_str(), path("link_to_stale").c_str());
        for (const char* name :
             {"file", "fifo", "directory", "link", "dangling", "link_to_stale"}) {
            ways.push_back({path(name)});
        }
        ways.push_back(socket("stream", SOCK_STREAM, 1));
        ways.push_back(socket("seqpacket", SOCK_SEQPACKET, 1));
        ways.push_back(socket("datagram", SOCK_DGRAM));
        ways.push_back(full("full"));
        ways.push_back(socket("stream_bound", SOCK_STREAM));
        ways.push_back(socket("seqpacket_bound", SOCK_SEQPACKET));
        ways.push_back(connected("stream_client", SOCK_STREAM, ways[6]));
        ways.push_back(connected("seqpacket_client", SOCK_SEQPACKET, ways[7]));
        ways.push_back(connected("datagram_client", SOCK_DGRAM, ways[8]));
        return ways;
    }
};

BOOST_FIXTURE_TEST_CASE(a_file_or_a_socket_in_use_is_not_removed, FilesInTheWay)
{
    for (const InTheWay& way : all()) {
        for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
            struct stat before {};
            struct stat after {};
            BOOST_TEST(::lstat(way.path.c_str(), &before) == 0);
            log.text.clear();
            add("unix:" + way.path).type = type;
            add("192.0.2.1:1");  // an address that no host has, so that it is not tried again
            BOOST_TEST(!open());
            BOOST_TEST(messages(log.text).starts_with("[emerg] bind() to unix:" + way.path +
                                                      " failed (98: Address already in use)\n"),
                       log.text);
            BOOST_TEST(::lstat(way.path.c_str(), &after) == 0, way.path);
            BOOST_TEST(before.st_ino == after.st_ino, way.path);
            cycle->listening.clear();
        }
    }
    BOOST_TEST(read_file(dir / "file") == "text");
}

BOOST_FIXTURE_TEST_CASE(a_socket_that_was_bound_in_time_may_listen_later, FilesInTheWay)
{
    const InTheWay early = socket("early", SOCK_STREAM);
    add("unix:" + early.path);
    add("192.0.2.1:1");
    BOOST_TEST(!open());
    BOOST_TEST(::listen(early.holder.get(), 1) == 0);
    const Addr addr = address("unix:" + early.path);
    const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    BOOST_TEST(::connect(client.get(), &addr.sockaddr.any, addr.socklen) == 0);
}

BOOST_FIXTURE_TEST_CASE(a_test_of_the_configuration_removes_nothing, Listeners)
{
    const std::string path = leave_behind();
    test_config = true;
    add("unix:" + path);
    BOOST_TEST((open_listening_sockets(*cycle) == Rc::ok));
    BOOST_TEST(::access(path.c_str(), F_OK) == 0);
    BOOST_TEST(messages(log.text) == "");
}

BOOST_FIXTURE_TEST_CASE(with_reuseport_each_worker_has_a_listener_on_the_same_port,
                        ListenersOfWorkers)
{
    BOOST_TEST_REQUIRE(parse("worker_processes 4;"));
    const std::string text = "127.0.0.1:" + std::to_string(free_port());
    Listening& first = add(text);
    first.reuseport = 1;
    first.backlog = 5;
    clone_listening(*cycle, first);
    BOOST_TEST_REQUIRE(cycle->listening.size() == 4U);
    BOOST_TEST_REQUIRE(open());
    for (std::size_t i = 0; i < 4; i++) {
        const Listening& ls = cycle->listening[i];
        BOOST_TEST(ls.worker == i);
        BOOST_TEST(ls.addr_text == text);
        BOOST_TEST(backlog_of(ls.fd) == 5U);
        BOOST_TEST((i == 0 || ls.fd != cycle->listening[i - 1].fd));
    }
}

BOOST_FIXTURE_TEST_CASE(other_listeners_and_the_copies_themselves_are_not_copied,
                        ListenersOfWorkers)
{
    BOOST_TEST_REQUIRE(parse("worker_processes 4;"));
    Listening& ls = add("127.0.0.1:80");
    clone_listening(*cycle, ls);
    BOOST_TEST(cycle->listening.size() == 1U);
    ls.reuseport = 1;
    ls.worker = 1;
    clone_listening(*cycle, ls);
    BOOST_TEST(cycle->listening.size() == 1U);
}

BOOST_FIXTURE_TEST_CASE(an_inherited_socket_is_described_by_its_options, Listeners)
{
    Listening& own = add("127.0.0.1");
    own.add_deferred = own.reuseport = 1;
    own.fastopen = 7;
    own.rcvbuf = 16 * 1024;
    own.sndbuf = 32 * 1024;
    BOOST_TEST_REQUIRE(open());
    const int fd = own.fd;
    cycle->listening.clear();

    const Listening& ls = inherit(fd);
    BOOST_CHECK(!ls.ignore);
    BOOST_TEST(ls.addr_text == "127.0.0.1:" + std::to_string(inet_get_port(&ls.sockaddr.any)));
    BOOST_TEST(ls.socklen == sizeof(sockaddr_in));
    BOOST_TEST(ls.type == static_cast<int>(SOCK_STREAM));
    BOOST_TEST(ls.protocol == 0);
    BOOST_TEST(ls.rcvbuf == 32 * 1024);
    BOOST_TEST(ls.sndbuf == 64 * 1024);
    BOOST_TEST(ls.fastopen == 7);
    BOOST_CHECK(ls.reuseport);
    BOOST_CHECK(ls.deferred_accept);
    BOOST_TEST(messages(log.text) == "");
}

BOOST_FIXTURE_TEST_CASE(an_inherited_socket_without_options_has_none, Listeners)
{
    const Listening& ls = inherit(bound("127.0.0.1"));
    BOOST_CHECK(!ls.reuseport);
    BOOST_CHECK(!ls.deferred_accept);
    BOOST_TEST(ls.fastopen == 0);
}

BOOST_FIXTURE_TEST_CASE(inherited_sockets_of_other_kinds_are_used, Listeners)
{
    const std::string path = dir / "socket";
    const Listening& datagram = inherit(bound("127.0.0.1", SOCK_DGRAM));
    BOOST_TEST(datagram.type == static_cast<int>(SOCK_DGRAM));
    BOOST_TEST(datagram.protocol == 0);  // as `listen` leaves it: the protocol has not changed
    BOOST_TEST(datagram.fastopen == -1);

    const Listening& local = inherit(bound("unix:" + path));
    BOOST_CHECK(!local.ignore);
    BOOST_TEST(local.addr_text == "unix:" + path);
    BOOST_TEST(local.type == static_cast<int>(SOCK_STREAM));
    BOOST_TEST(local.fastopen == -1);
    BOOST_TEST(messages(log.text) == "");
}

BOOST_FIXTURE_TEST_CASE(an_inherited_descriptor_that_is_no_listener_is_ignored, Listeners)
{
    const int file = ::dup(STDIN_FILENO);
    BOOST_CHECK(inherit(file).ignore);
    BOOST_TEST(messages(log.text) ==
               fmt::format("[crit] getsockname() of the inherited socket #{} failed (88: Socket "
                           "operation on non-socket)\n",
                           file));
    BOOST_TEST(cycle->listening.front().fd == invalid_socket);
    close_listening_sockets(*cycle);
    BOOST_TEST(is_open(file), "it may be a log of this process");
    cycle->listening.clear();
    log.text.clear();
    ::close(file);

    const int other = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    BOOST_TEST_REQUIRE(other != -1);
    BOOST_CHECK(inherit(other).ignore);
    BOOST_TEST(
        messages(log.text) ==
        fmt::format("[crit] the inherited socket #{} has an unsupported protocol family\n", other));
}

BOOST_FIXTURE_TEST_CASE(a_listeners_log_is_the_consumers_with_its_own_handler, Listeners)
{
    const LogHandler handler = [](Log&, char* buf, std::size_t) { return buf; };
    Listening& ls = add("127.0.0.1");
    ls.log.handler = handler;
    BOOST_TEST_REQUIRE(open());
    BOOST_TEST(ls.log.wdata == log.log.wdata);
    BOOST_TEST(ls.log.log_level == log.log.log_level);
    BOOST_TEST((ls.log.handler == handler));
    BOOST_TEST(ls.log.data == &ls);
}

BOOST_AUTO_TEST_CASE(a_detached_listener_stays_open_and_frees_its_slot)
{
    const TestListen directive;
    TestCycle cycle("test_listen 127.0.0.1:" + std::to_string(free_port()) + "; events {}");
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    Listening& ls = cycle->listening.front();
    Connection* const c = ls.connection;
    BOOST_TEST_REQUIRE(c);
    BOOST_TEST((c->read->active == 1));

    const std::size_t free_before = cycle->free_connection_n;
    detach_listening(ls);
    BOOST_TEST(ls.connection == nullptr);
    BOOST_TEST(!c->read->active);
    BOOST_TEST(c->fd == invalid_socket);
    BOOST_TEST(cycle->free_connection_n == free_before + 1);
    BOOST_TEST(is_open(ls.fd));
    detach_listening(ls);
    BOOST_TEST(cycle->free_connection_n == free_before + 1);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(slots)

BOOST_FIXTURE_TEST_CASE(a_slot_comes_with_its_events_reset_and_its_descriptor, SmallWorker)
{
    Connection* const c = get();
    BOOST_TEST_REQUIRE(c);
    BOOST_TEST(c->log == (*this)->log);
    BOOST_TEST(is_open(c->fd));
    BOOST_TEST(c->read->data == c);
    BOOST_TEST(c->write->data == c);
    BOOST_TEST(!c->read->write);
    BOOST_TEST((c->write->write == 1));
    BOOST_TEST(c->read->index == invalid_index);
    BOOST_TEST(!c->read->closed);
    BOOST_TEST(c->pool == nullptr);
    BOOST_TEST(free_n() == 3U);
}

BOOST_FIXTURE_TEST_CASE(slots_are_taken_in_order_and_the_last_freed_is_the_next, SmallWorker)
{
    const auto slots = take(3);
    const Connection* const first = (*this)->connections.get();
    BOOST_TEST(slots[0] == first);
    BOOST_TEST(slots[1] == first + 1);
    BOOST_TEST(slots[2] == first + 2);

    close_connection(*slots[0]);
    close_connection(*slots[2]);
    BOOST_TEST(get() == slots[2]);
    BOOST_TEST(get() == slots[0]);
    BOOST_TEST(get() == first + 3);
}

BOOST_FIXTURE_TEST_CASE(each_use_of_a_slot_flips_its_instance, SmallWorker)
{
    Connection* c = get();
    const unsigned first = c->read->instance;
    BOOST_TEST((c->write->instance == first));
    for (unsigned use = 1; use < 4; use++) {
        c->requests = 7;
        c->idle = 1;
        c->read->ready = 1;
        close_connection(*c);
        c = get();
        BOOST_TEST((c->read->instance == (first ^ (use & 1))));
        BOOST_TEST((c->write->instance == c->read->instance));
        BOOST_TEST(c->requests == 0U);
        BOOST_TEST(!c->idle);
        BOOST_TEST(!c->read->ready);
    }
}

BOOST_FIXTURE_TEST_CASE(without_a_free_slot_there_is_an_alert_and_no_connection, SmallWorker)
{
    take(4);
    BOOST_TEST(free_n() == 0U);
    const Fd fd(::dup(STDIN_FILENO));
    BOOST_TEST(get_connection(fd.get(), (*this)->log) == nullptr);
    BOOST_TEST(messages(log(), "alert") == "[alert] 4 worker_connections are not enough\n");
    BOOST_TEST(is_open(fd.get()));
}

BOOST_FIXTURE_TEST_CASE(a_table_of_descriptors_grows_with_them, SmallWorker)
{
    set_files(64);

    std::vector<Connection*> all;
    for (const int from : {30, 64, 100, 900}) {
        const int fd = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, from);
        BOOST_TEST_REQUIRE(fd >= from);
        all.push_back(get_connection(fd, (*this)->log));
        BOOST_TEST_REQUIRE(all.back());
        BOOST_TEST((*this)->files_n > static_cast<std::size_t>(fd));
        for (const Connection* c : all) {
            BOOST_TEST((*this)->files[c->fd] == c);
        }
    }
    const std::vector<Connection*>& table = (*this)->files_storage;
    BOOST_TEST(std::ranges::count(table, nullptr) ==
               static_cast<std::ptrdiff_t>(table.size() - all.size()));
    for (Connection* c : all) {
        const int fd = c->fd;
        close_connection(*c);
        BOOST_TEST((*this)->files[fd] == nullptr);
    }
}

BOOST_FIXTURE_TEST_CASE(
    a_descriptor_for_which_the_table_has_no_memory_is_an_alert_and_no_connection, SmallWorker,
    *boost::unit_test::precondition([](auto) { return !have_asan; }))
{
    set_files(64);
    const Forked child = in_child([&](int fd) {
        const rlimit limit{.rlim_cur = 4UL << 30, .rlim_max = RLIM_INFINITY};
        ::setrlimit(RLIMIT_AS, &limit);
        say(fd, get_connection(INT_MAX, (*this)->log) ? "a connection" : "none");
    });
    BOOST_TEST(child.text == "none");
    BOOST_TEST(messages(log(), "alert") == "[alert] the new socket has number 2147483647, but only "
                                           "64 files are available\n");
}

BOOST_FIXTURE_TEST_CASE(a_closed_connection_has_no_descriptor_timer_or_posted_event, SmallWorker)
{
    Connection& c = *take(1).front();
    const int fd = c.fd;
    add_timer(*c.read, 1000);
    add_timer(*c.write, 2000);
    post_event(*c.read, posted_events);
    post_event(*c.write, posted_next_events);

    close_connection(c);
    BOOST_TEST(c.fd == invalid_socket);
    BOOST_TEST(!is_open(fd));
    BOOST_TEST(!c.read->timer_set());
    BOOST_TEST(!c.write->timer_set());
    BOOST_TEST(!c.read->posted());
    BOOST_TEST(!c.write->posted());
    BOOST_TEST((c.read->closed == 1));
    BOOST_TEST((c.write->closed == 1));
    BOOST_TEST(event_no_timers_left());
    BOOST_TEST(free_n() == 4U);
}

BOOST_FIXTURE_TEST_CASE(closing_twice_is_an_alert_and_does_nothing, SmallWorker)
{
    Connection& c = *take(1).front();
    close_connection(c);
    close_connection(c);
    BOOST_TEST(messages(log(), "alert") == "[alert] connection already closed\n");
    BOOST_TEST(free_n() == 4U);
}

BOOST_FIXTURE_TEST_CASE(a_shared_descriptor_is_left_open, SmallWorker)
{
    Connection& c = *take(1).front();
    const Fd fd(c.fd);
    c.shared = 1;
    close_connection(c);
    BOOST_TEST(is_open(fd.get()));
    BOOST_TEST(free_n() == 4U);
}

BOOST_FIXTURE_TEST_CASE(a_descriptor_that_cannot_be_closed_is_critical, SmallWorker)
{
    Connection& c = *take(1).front();
    const int fd = c.fd;
    ::close(fd);
    close_connection(c);
    BOOST_TEST(messages(log(), "crit") ==
               fmt::format("[crit] close() {} failed (9: Bad file descriptor)\n", fd));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(reuse)

/// Acquires all slots except `free`; `n` of them are reusable. Returns the number that drain frees.
std::size_t drained(std::size_t slots, std::size_t free, std::size_t n)
{
    Worker worker(slots);
    const auto taken = worker.take(slots - free);
    for (std::size_t i = 0; i < n; i++) {
        reusable_connection(*taken[i], true);
    }
    drain_connections(*worker);
    BOOST_TEST(worker->reusable_connections_n == n - handled.calls.size());
    BOOST_TEST(worker.free_n() == free + handled.calls.size());
    return handled.calls.size();
}

BOOST_AUTO_TEST_CASE(draining_begins_when_a_sixteenth_is_free)
{
    BOOST_TEST(drained(32, 3, 8) == 0U);
    BOOST_TEST(drained(32, 2, 8) == 1U);
    BOOST_TEST(drained(47, 3, 8) == 0U);
    BOOST_TEST(drained(48, 3, 8) == 1U);
    BOOST_TEST(drained(15, 1, 8) == 0U);
    BOOST_TEST(drained(15, 0, 8) == 1U);
    BOOST_TEST(drained(32, 0, 0) == 0U);
}

BOOST_AUTO_TEST_CASE(an_eighth_is_drained_but_at_least_one_and_at_most_32)
{
    BOOST_TEST(drained(16, 0, 1) == 1U);
    BOOST_TEST(drained(16, 0, 15) == 1U);
    BOOST_TEST(drained(16, 0, 16) == 2U);
    BOOST_TEST(drained(100, 0, 80) == 10U);
    BOOST_TEST(drained(300, 0, 256) == 32U);
    BOOST_TEST(drained(300, 0, 300) == 32U);
}

BOOST_FIXTURE_TEST_CASE(the_longest_reusable_is_drained_first, SmallWorker)
{
    const auto slots = take(4);
    std::vector<int> fds;
    for (const int i : {2, 0, 3, 1}) {
        reusable_connection(*slots[static_cast<std::size_t>(i)], true);
        fds.push_back(slots[static_cast<std::size_t>(i)]->fd);
    }
    for (int i = 0; i < 4; i++) {
        drain_connections(**this);
        (*this)->free_connection_n = 0;
    }
    BOOST_TEST(handled.calls == fds, boost::test_tools::per_element());
    (*this)->free_connection_n = 4;
}

BOOST_FIXTURE_TEST_CASE(marking_again_moves_to_the_end_and_unmarking_removes, SmallWorker)
{
    const auto slots = take(4);
    const int second = slots[1]->fd;
    const int waiting = static_cast<int>(stat_waiting->load());
    for (Connection* c : slots) {
        reusable_connection(*c, true);
    }
    BOOST_TEST((*this)->reusable_connections_n == 4U);
    BOOST_TEST(stat_waiting->load() == waiting + 4);

    reusable_connection(*slots[0], true);
    reusable_connection(*slots[2], false);
    BOOST_TEST((*this)->reusable_connections_n == 3U);
    BOOST_TEST(!slots[2]->reusable);

    drain_connections(**this);
    BOOST_TEST(handled.calls == std::vector<int>{second}, boost::test_tools::per_element());
    BOOST_TEST(stat_waiting->load() == waiting + 2);
}

BOOST_FIXTURE_TEST_CASE(reuse_is_logged_once_a_second, SmallWorker)
{
    Time now{.sec = 100, .msec = 0, .gmtoff = 0};
    cached_time.publish(now);
    const auto slots = take(4);
    for (Connection* c : slots) {
        reusable_connection(*c, true);
    }
    const std::string warning = "[warn] 4 worker_connections are not enough, reusing "
                                "connections\n";
    BOOST_TEST(get() == slots[0]);
    BOOST_TEST(get() == slots[1]);
    BOOST_TEST(messages(log(), "warn") == warning);
    now.sec++;
    BOOST_TEST(get() == slots[2]);
    BOOST_TEST(messages(log(), "warn") == warning + warning);
    time_force_update();
    time_update();
}

BOOST_FIXTURE_TEST_CASE(a_connection_that_starts_to_close_is_asked_again, SmallWorker)
{
    const auto slots = take(4);
    const int fd = slots[0]->fd;
    reusable_connection(*slots[0], true);
    handled.reluctant = 1;
    BOOST_TEST(get() == slots[0]);
    BOOST_TEST(handled.calls == (std::vector<int>{fd, fd}), boost::test_tools::per_element());

    handled = {.calls = {}, .reluctant = 9};
    reusable_connection(*slots[1], true);
    BOOST_TEST(get_connection(STDIN_FILENO, (*this)->log) == nullptr);
    BOOST_TEST(handled.calls.size() == 2U);
}

BOOST_FIXTURE_TEST_CASE(a_new_connection_takes_the_slot_of_an_idle_one, SmallWorker)
{
    const auto slots = take(4);
    reusable_connection(*slots[3], true);
    BOOST_TEST(get() == slots[3]);
    BOOST_TEST(messages(log(), "alert") == "");
    BOOST_TEST(free_n() == 0U);
}

BOOST_FIXTURE_TEST_CASE(idle_connections_are_asked_to_close_and_others_are_not, SmallWorker)
{
    const auto slots = take(3);
    slots[0]->idle = 1;
    slots[2]->idle = 1;
    close_idle_connections(**this);
    BOOST_TEST(slots[0]->fd == invalid_socket);
    BOOST_TEST(slots[1]->fd != invalid_socket);
    BOOST_TEST(!slots[1]->close);
    BOOST_TEST(slots[2]->fd == invalid_socket);
    BOOST_TEST(handled.calls.size() == 2U);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(calls_on_a_connection)

/// Returns the level at which a failure is logged, or "ignored".
std::string level_of(Err err, ConnectionError log_error)
{
    TestLog log;
    Connection c;
    c.log = &log.log;
    c.log_error = log_error;
    const ssize_t rc = connection_error(c, err, "recv() failed");
    BOOST_TEST(rc == (log.text.empty() ? 0 : io_error));
    if (log.text.empty()) {
        return "ignored";
    }
    const std::string text = messages(log.text);
    const std::string wanted = "recv() failed" + (err == 0 ? "" : fmt::format(" ({}: ", err));
    BOOST_TEST(contains(text, wanted));
    return text.substr(1, text.find(']') - 1);
}

BOOST_AUTO_TEST_CASE(the_level_of_a_failure_depends_on_its_cause)
{
    for (const Err err : {0, ECONNRESET, EPIPE, ENOTCONN, ETIMEDOUT, ECONNREFUSED, ENETDOWN,
                          ENETUNREACH, EHOSTDOWN, EHOSTUNREACH}) {
        BOOST_TEST(level_of(err, ConnectionError::alert) == "error");
        BOOST_TEST(level_of(err, ConnectionError::err) == "error");
        BOOST_TEST(level_of(err, ConnectionError::info) == "info");
        BOOST_TEST(level_of(err, ConnectionError::ignore_einval) == "info");
        BOOST_TEST(level_of(err, ConnectionError::ignore_emsgsize) == "info");
    }
    for (const Err err : {EBADF, EINVAL, ENOMEM, EMSGSIZE, EACCES}) {
        BOOST_TEST(level_of(err, ConnectionError::alert) == "alert");
        BOOST_TEST(level_of(err, ConnectionError::info) == "alert");
        BOOST_TEST(level_of(err, ConnectionError::ignore_econnreset) == "alert");
    }
    BOOST_TEST(level_of(ECONNRESET, ConnectionError::ignore_econnreset) == "ignored");
    BOOST_TEST(level_of(EPIPE, ConnectionError::ignore_econnreset) == "info");
    BOOST_TEST(level_of(EMSGSIZE, ConnectionError::ignore_emsgsize) == "ignored");
}

/// A TCP connection over the loopback interface.
struct TcpPair {
    TcpPair()
    {
        const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        Addr addr = address("127.0.0.1");
        BOOST_TEST(::bind(listener.get(), &addr.sockaddr.any, addr.socklen) == 0);
        BOOST_TEST(::listen(listener.get(), 1) == 0);
        ::getsockname(listener.get(), &addr.sockaddr.any, &addr.socklen);
        BOOST_TEST(::connect(client.get(), &addr.sockaddr.any, addr.socklen) == 0);
        server = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        port = inet_get_port(&addr.sockaddr.any);

        c.fd = server.get();
        c.log = &log.log;
        c.pool = create_pool(1024, &log.log);
    }
    TcpPair(const TcpPair&) = delete;
    TcpPair& operator=(const TcpPair&) = delete;
    ~TcpPair() { destroy_pool(c.pool); }

    TestLog log{};
    Fd client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    Fd server{};
    in_port_t port = 0;
    Connection c{};
};

BOOST_FIXTURE_TEST_CASE(tcp_nodelay_is_set_once, TcpPair)
{
    BOOST_TEST((tcp_nodelay(c) == Rc::ok));
    BOOST_TEST(option(c.fd, IPPROTO_TCP, TCP_NODELAY) == 1);
    BOOST_TEST((c.tcp_nodelay == TcpOption::set));

    FakeCall counted(Call::setsockopt, {}, 0);
    BOOST_TEST((tcp_nodelay(c) == Rc::ok));
    c.tcp_nodelay = TcpOption::disabled;
    BOOST_TEST((tcp_nodelay(c) == Rc::ok));
    BOOST_TEST(counted.calls() == 0);
}

BOOST_FIXTURE_TEST_CASE(tcp_nodelay_that_fails_is_logged, TcpPair)
{
    c.log_error = ConnectionError::info;
    int pair[2];
    BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    const Fd one(pair[0]);
    const Fd other(pair[1]);
    c.fd = one.get();
    BOOST_TEST((tcp_nodelay(c) == Rc::error));
    BOOST_TEST(messages(log.text) ==
               "[alert] setsockopt(TCP_NODELAY) failed (95: Operation not supported)\n");
    BOOST_TEST((c.tcp_nodelay == TcpOption::unset));
}

/// Returns the connection's local address after it was requested.
std::string local(Connection& c, bool port)
{
    std::array<char, sockaddr_strlen> text;
    std::size_t len = 0;
    BOOST_TEST((connection_local_sockaddr(c, text.data(), &len, port) == Rc::ok));
    return {text.data(), len};
}

BOOST_FIXTURE_TEST_CASE(the_socket_gives_the_local_address_of_a_wildcard, TcpPair)
{
    const std::string wanted = "127.0.0.1:" + std::to_string(port);
    BOOST_TEST(local(c, true) == wanted);
    BOOST_TEST(local(c, false) == "127.0.0.1");

    for (const std::string_view wildcard : {"0.0.0.0:1", "[::]:1"}) {
        Addr any = address(wildcard);
        c.local_sockaddr = &any.sockaddr.any;
        c.local_socklen = any.socklen;
        BOOST_TEST(local(c, true) == wanted);
    }
    c.local_socklen = 0;
    BOOST_TEST((connection_local_sockaddr(c, nullptr, nullptr, false) == Rc::ok));
    BOOST_TEST(c.local_socklen == sizeof(sockaddr_in));
}

BOOST_FIXTURE_TEST_CASE(a_local_address_that_is_known_is_not_asked_for, TcpPair)
{
    c.fd = -1;
    for (const std::string text : {"1.2.3.4:5", "[1::2]:5", "unix:/a"}) {
        Addr known = address(text);
        c.local_sockaddr = &known.sockaddr.any;
        c.local_socklen = known.socklen;
        BOOST_TEST(local(c, true) == text);
    }
    c.local_socklen = 0;
    BOOST_TEST((connection_local_sockaddr(c, nullptr, nullptr, true) == Rc::error));
    BOOST_TEST(messages(log.text) == "[alert] getsockname() failed (9: Bad file descriptor)\n");
}

BOOST_AUTO_TEST_CASE(a_connection_takes_the_destinations_of_another_log)
{
    Log own{.log_level = log_err, .connection = 9, .action = "reading"};
    Log next;
    OpenFile file;
    const Log other{.log_level = log_info, .file = &file, .connection = 1, .next = &next};
    Connection c;
    c.log = &own;

    set_connection_log(c, other);
    BOOST_TEST(own.file == &file);
    BOOST_TEST(own.next == &next);
    BOOST_TEST(own.log_level == log_info);
    BOOST_TEST(own.connection == 9U);
    BOOST_TEST(own.action == "reading");

    own.log_level = log_debug_connection | log_debug_all;
    set_connection_log(c, other);
    BOOST_TEST(own.log_level == (log_debug_connection | log_debug_all));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
