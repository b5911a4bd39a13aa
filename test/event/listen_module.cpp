#include "test/event/listen_module.hpp"

#include <algorithm>
#include <poll.h>
#include <stdexcept>
#include <system_error>

#include "core/buf.hpp"
#include "core/log.hpp"
#include "core/palloc.hpp"
#include "event/event_accept.hpp"
#include "event/event_udp.hpp"

namespace ngx {

#define NGX_MODULE(name) extern Module name;
#include "auto_modules.hpp"
#undef NGX_MODULE

constinit Module* const modules[] = {
#define NGX_MODULE(name) &(name),
#include "auto_modules.hpp"
#undef NGX_MODULE
    &test::fake_module,
    &test::listen_module,
    nullptr,
};

constinit const std::string_view module_names[] = {
#define NGX_MODULE(name) "ngx_" #name,
#include "auto_modules.hpp"
#undef NGX_MODULE
    "test_fake_module",
    "test_listen_module",
    {},
};

}  // namespace ngx

namespace ngx::test {

void (*before_loop)(Cycle& cycle) = [](Cycle&) {};

Handed handed;

namespace {

void receive_datagram(Event& rev) noexcept
{
    Connection& c = *static_cast<Connection*>(rev.data);
    if (c.close || udp_is_closing(c)) {
        Pool* const pool = c.pool;
        close_connection(c);
        destroy_pool(pool);
        return;
    }
    char buf[256];
    const ssize_t n = c.recv(c, buf, sizeof(buf));
    if (n >= 0) {
        handed.datagrams.emplace_back(buf, static_cast<std::size_t>(n));
    }
    (void)handle_read_event(rev, 0);
}

void receive(Event& rev) noexcept
{
    Connection& c = *static_cast<Connection*>(rev.data);
    char buf[256];
    for (ssize_t n = 0; (n = c.recv(c, buf, sizeof(buf))) > 0;) {
        handed.text.append(buf, static_cast<std::size_t>(n));
    }
    (void)handle_read_event(rev, 0);
}

void take(Connection& c) noexcept
{
    handed.connections.push_back(&c);
    c.read->handler = receive;
    if (c.type == SOCK_DGRAM) {
        c.read->handler = receive_datagram;
        handed.datagrams.emplace_back(c.buffer->pos, c.buffer->last);
    }
    c.write->handler = [](Event&) noexcept {};
}

/// Parses the directive's first argument.
void read_address(Conf& cf, Addr& addr)
{
    constexpr std::string_view unix_prefix = "unix:";
    const std::string_view text = cf.args[1];
    if (!text.starts_with(unix_prefix)) {
        if (parse_addr(addr, text) != Rc::ok) {
            throw std::runtime_error("test_listen: no address");
        }
        return;
    }
    const std::string_view path = conf_full_name(*cf.cycle, text.substr(unix_prefix.size()), false);
    addr.sockaddr.un.sun_family = AF_UNIX;
    path.copy(addr.sockaddr.un.sun_path, sizeof(addr.sockaddr.un.sun_path) - 1);
    addr.socklen = sizeof(sockaddr_un);
}

const char* test_listen(Conf& cf, const Command&, void*)
{
    const auto has = [&](std::string_view word) { return std::ranges::count(cf.args, word) != 0; };
    Addr addr;
    read_address(cf, addr);
    if (has("udp") && addr.sockaddr.any.sa_family != AF_UNIX) {
        // The kernel may choose a port of another test: both sockets have SO_REUSEADDR.
        inet_set_port(&addr.sockaddr.any, handed.udp_ports.emplace_back(SOCK_DGRAM));
    }
    Listening& ls = *create_listening(cf, &addr.sockaddr.any, addr.socklen);
    ls.logp = &cf.cycle->new_log;
    ls.log.handler = accept_log_error;
    ls.pool_size = connection_pool_size;
    ls.handler = take;

    ls.deferred_accept = has("deferred");
    ls.addr_ntop = has("ntop");
    ls.reuseport = has("reuseport");
    ls.type = has("udp") ? SOCK_DGRAM : SOCK_STREAM;
    ls.wildcard = inet_wildcard(&addr.sockaddr.any);
    ls.ipv6only = 1;
    return conf_ok;
}

constexpr Command listen_commands[] = {
    {
        .name = "test_listen",
        .type = main_conf | conf_1more,
        .set = test_listen,
    },
};

Rc init_process(Cycle& cycle)
{
    before_loop(cycle);
    return Rc::ok;
}

constexpr CoreModule listen_module_ctx = {.name = "test_listen"};

void check(int result, const char* what)
{
    if (result == -1) {
        throw std::system_error(errno, std::generic_category(), what);
    }
}

}  // namespace

constinit Module listen_module = {
    .ctx = &listen_module_ctx,
    .commands = listen_commands,
    .type = ModuleType::core,
    .init_process = init_process,
};

ListenCycle::ListenCycle(std::string_view conf, const Fake& wanted, Start start)
    : TestCycle(prepare(conf, wanted), start)
{
    if (!ok() && start == Start::worker) {
        throw std::runtime_error(log());
    }
}

std::string_view ListenCycle::prepare(std::string_view conf, const Fake& wanted)
{
    fake = wanted;
    handed = {};
    return conf;
}

Fd ListenCycle::connect(std::size_t i, std::string_view text) const
{
    const int listener = listening(i).fd;
    SockaddrUnion sa{};
    socklen_t len = sizeof(sa);
    check(::getsockname(listener, &sa.any, &len), "getsockname()");

    Fd client(::socket(sa.any.sa_family, listening(i).type | SOCK_CLOEXEC, 0));
    check(::connect(client.get(), &sa.any, len), "connect()");

    send_text(client, text);

    // accept() may get the connection a moment after connect() has returned.
    pollfd entry{.fd = listener, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 10'000) != 1) {
        throw std::runtime_error("nothing to accept");
    }
    return client;
}

void send_text(const Fd& client, std::string_view text)
{
    const ssize_t n = ::send(client.get(), text.data(), text.size(), 0);
    check(static_cast<int>(n), "send()");
    if (static_cast<std::size_t>(n) != text.size()) {
        throw std::runtime_error("send() sent a part");
    }
}

Connection& ListenCycle::accept(Fd& client, std::size_t i) const
{
    client = connect(i);
    event_accept(accept_event(i));
    return *handed.connections.back();
}

}  // namespace ngx::test
