#include "test/stream/server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_counters.hpp"
#include "event/event_timer.hpp"
#include "event/event_turn.hpp"
#include "os/unix/channel.hpp"
#include "os/unix/os.hpp"
#include "test/stream/hooks_module.hpp"

namespace ngx::test {

namespace {

constexpr int seconds = 60;  // the timeout of turn_until()

void replace_all(std::string& text, std::string_view from, std::string_view to)
{
    for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
}

/// Whether the port is free for TCP and for UDP.
bool is_free(std::uint16_t port)
{
    sockaddr_in sa{};
    sa.sin_family = AF_INET;
    sa.sin_port = htons(port);
    return std::ranges::all_of(std::array{SOCK_STREAM, SOCK_DGRAM}, [&](int type) {
        const Fd probe(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
        return ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&sa), sizeof(sa)) == 0;
    });
}

/// Returns a free port whose successor is free, too.
std::uint16_t two_free_ports()
{
    for (;;) {
        const std::uint16_t port = free_port();
        if (port < 65535 && is_free(port) && is_free(static_cast<std::uint16_t>(port + 1))) {
            return port;
        }
    }
}

/// A timer that limits the wait of a turn.
class Patience {
public:
    explicit Patience(Log* log)
    {
        late_.data = &nobody_;
        late_.log = log;
        late_.handler = [](Event&) noexcept {};
        add_timer(late_, Msec{seconds} * 1000);
    }
    Patience(const Patience&) = delete;
    Patience& operator=(const Patience&) = delete;
    ~Patience()
    {
        if (late_.timer_set()) {
            del_timer(late_);
        }
    }

    [[nodiscard]] bool is_over() const { return late_.timedout; }

private:
    Connection nobody_;
    Event late_;
};

std::string conf_text(const ServerConf& conf)
{
    const auto& suite = boost::unit_test::framework::master_test_suite();
    const std::string use = suite.argc > 1 ? "use " + std::string(suite.argv[1]) + ";" : "";

    std::string text(conf.main);
    text.append(" events { ").append(use).append(conf.events).append(" }\n");
    return text.append("stream {").append(conf.stream).append("}\n");
}

}  // namespace

Server::Server(const ServerConf& conf)
    : port(two_free_ports())
    , cycle(expand(conf_text(conf)), conf.start)
{}

Server::~Server()
{
    if (cycle.ok() && cycle->connections) {
        end_sessions();
    }
    hooks = {};
}

void Server::end_sessions() const
{
    std::size_t before = 0;
    for (auto open = connections(); !open.empty() && open.size() != before; open = connections()) {
        before = open.size();
        open.front()->close = 1;
        open.front()->read->handler(*open.front()->read);
    }
}

bool Server::reload(std::string_view stream)
{
    return cycle.reload(expand(conf_text({.stream = stream})));
}

std::string Server::expand(std::string_view text) const
{
    std::string expanded(text);
    replace_all(expanded, "DIR", dir.path().string());
    replace_all(expanded, "PORT2", std::to_string(port + 1));
    replace_all(expanded, "PORT", std::to_string(port));
    return expanded;
}

std::string Server::shorten(std::string_view text) const
{
    std::string shortened(text);
    replace_all(shortened, dir.path().string(), "DIR");
    replace_all(shortened, std::to_string(port + 1), "PORT2");
    replace_all(shortened, std::to_string(port), "PORT");
    return shortened;
}

Client Server::connect(std::size_t i, int rcvbuf) const
{
    const Listening& ls = listening(i);
    return {&ls.sockaddr.any, ls.socklen, {.receive = rcvbuf, .type = ls.type}};
}

Client Server::connect_to(std::string_view address, int type) const
{
    Addr addr;
    if (parse_addr(addr, address) != Rc::ok) {
        throw std::invalid_argument("no address");
    }
    inet_set_port(&addr.sockaddr.any, port);
    return {&addr.sockaddr.any, addr.socklen, {.type = type}};
}

void Server::turn_until(const std::function<bool()>& done) const
{
    Patience patience(cycle->log);
    while (!done()) {
        if (patience.is_over()) {
            throw std::runtime_error("it did not come to that");
        }
        process_events_and_timers(*cycle);
    }
}

void Server::accept() const
{
    const auto before = stat_handled->load();
    turn_until([&] { return stat_handled->load() > before; });
    if (io.send != os_io.send) {  // what was sent reaches the client in the next wait
        (void)event_actions.process_events(*cycle, 0, 0);
    }
}

void Server::accept_with_failing_poller() const
{
    const EventActions actions = event_actions;
    event_actions.add = [](Event&, EventType, unsigned) noexcept { return Rc::error; };
    if (actions.add_conn) {
        event_actions.add_conn = [](Connection&) noexcept { return Rc::error; };
    }
    accept();
    event_actions = actions;
}

void Server::finish() const
{
    turn_until([this] { return connections().empty(); });
    // A poller may hold a closed descriptor until its next wait.
    (void)event_actions.process_events(*cycle, 0, post_events);
}

Connection& Server::accepted() const
{
    accept();
    if (connections().size() != 1) {
        throw std::runtime_error("not one connection is open");
    }
    return *connections().front();
}

void Server::pass(Msec time)
{
    current_msec += time;
    event_expire_timers();
}

std::vector<Connection*> Server::connections() const
{
    std::vector<Connection*> open;
    for (Connection& c : std::span{cycle->connections.get(), cycle->connection_n}) {
        if (c.fd != invalid_socket && !c.read->accept && !c.read->channel) {
            open.push_back(&c);
        }
    }
    return open;
}

Server::Bell::Bell(Cycle& cycle)
{
    const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const auto hear = [](Event& rev) noexcept {
        Connection& c = *static_cast<Connection*>(rev.data);
        std::uint64_t rings = 0;
        static_cast<Bell*>(c.data)->rang = ::read(c.fd, &rings, sizeof(rings)) > 0;
    };
    if (add_channel_event(cycle, fd, read_event, hear) != Rc::ok) {
        throw std::runtime_error("add_channel_event() failed");
    }
    for (Connection& c : std::span{cycle.connections.get(), cycle.connection_n}) {
        if (c.fd == fd) {
            c_ = &c;
            c_->data = this;
        }
    }
}

Server::Bell::~Bell()
{
    close_connection(*c_);
}

void Server::Bell::ring() const
{
    constexpr std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(c_->fd, &one, sizeof(one));
}

boost::test_tools::assertion_result sends_by_calls(unsigned long)
{
    const auto& suite = boost::unit_test::framework::master_test_suite();
    boost::test_tools::assertion_result result(
        suite.argc < 2 || !std::string_view(suite.argv[1]).ends_with("completion"));
    result.message() << "with this method the kernel sends, without a call";
    return result;
}

OnlyTested::OnlyTested()
{
    test_config = true;
    quiet_mode = true;
}

OnlyTested::~OnlyTested()
{
    test_config = false;
    quiet_mode = false;
}

std::string answer(const Server& server, std::size_t i)
{
    const Client client = server.connect(i);
    server.accept();
    server.finish();
    return client.receive_all();
}

std::string refusal(std::string_view stream)
{
    const Server server({.stream = stream, .start = Start::conf});
    return server.cycle.ok() ? "it was accepted" : server.shorten(server.log());
}

}  // namespace ngx::test
