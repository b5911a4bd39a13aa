#include "test/event/contract/bench.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <sstream>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

#include "core/times.hpp"
#include "event/event_posted.hpp"
#include "os/unix/os.hpp"
#include "test/event/contract/process_state.hpp"

namespace ngx::contract {

namespace {

Bench* current;

/// Prepares this process for all benches: it needs descriptors for a thousand connections with
/// their peers, and errors instead of SIGPIPE.
void prepare_process()
{
    static const bool prepared = [] {
        constexpr rlim_t wanted = 4096;
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = std::min(limit.rlim_max, std::max(limit.rlim_cur, wanted));
        ::setrlimit(RLIMIT_NOFILE, &limit);
        std::signal(SIGPIPE, SIG_IGN);
        return true;
    }();
    (void)prepared;
}

EventType type_of(const Event& ev) noexcept
{
    return ev.write ? write_event : read_event;
}

}  // namespace

void Link::send(std::string_view text) const
{
    // write() and not send(), because the peer may be a pipe.
    if (::write(peer.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        throw std::system_error(errno, std::generic_category(), "write() of the peer");
    }
}

Received Link::receive() const
{
    Received received;
    std::array<char, 512> buf;
    while ((received.end = connection->recv(*connection, buf.data(), buf.size())) > 0) {
        received.text.append(buf.data(), static_cast<std::size_t>(received.end));
    }
    return received;
}

void Link::fill() const
{
    static constexpr std::array<char, 16 * 1024> block{};
    while (connection->send(*connection, block.data(), block.size()) > 0) {}
}

void Link::drain() const
{
    std::array<char, 16 * 1024> buf;
    while (::read(peer.get(), buf.data(), buf.size()) > 0) {}
}

Bench::Bench(const Subject& subject, const Promise& promise, Verdict& verdict)
    : subject_(subject)
    , promise_(promise)
    , verdict_(verdict)
    , state_before_((prepare_process(), process_state()))
    , cycle_(conf(promise.events_conf))
{
    if (!cycle_.ok()) {
        throw std::runtime_error("the configuration is refused: " + cycle_.log());
    }
    current = this;
    time_update();
}

Bench::~Bench()
{
    current = nullptr;
}

std::string Bench::conf(std::string_view events_conf) const
{
    // The directive for the size of a batch has the name of its method.
    constexpr std::string_view batch = "epoll_events";
    std::string directives(events_conf);
    if (const std::size_t at = directives.find(batch); at != directives.npos) {
        directives.replace(at, batch.size(), subject_.use == "iouring" ? "iouring_entries" : batch);
    }
    const bool has_connections = events_conf.find("worker_connections") != events_conf.npos;
    std::string load_modules;
    for (const std::string& file : subject_.load_modules) {
        load_modules += fmt::format("load_module \"{}\";\n", file);
    }
    return fmt::format("{}error_log error.log info; pid nginx.pid; master_process off; {}\n"
                       "events {{ use {}; {} {} {} }}\n",
                       load_modules, promise_.main_conf, subject_.use, subject_.events,
                       has_connections ? "" : "worker_connections 1024;", directives);
}

void Bench::finish()
{
    for (Link& link : links_) {
        if (link.is_open()) {
            close(link);
        }
    }
    turn();

    same("reports to connections that were closed", strays_, 0);
    expect(!nested_, "no handler runs within another");
    if (!alerts_are_expected_) {
        for (const std::string& line : alerts()) {
            expect(false, "nothing is logged as an alert; seen: " + line);
        }
    }
}

std::vector<std::string> Bench::alerts() const
{
    std::vector<std::string> found;
    std::istringstream log(cycle_.log());
    for (std::string line; std::getline(log, line);) {
        for (const char* level : {"[emerg]", "[alert]", "[crit]"}) {
            if (line.find(level) != line.npos) {
                found.push_back(line);
            }
        }
    }
    return found;
}

Link& Bench::open_slot(int own)
{
    Connection* const c = get_connection(own, cycle_->log);
    if (!c) {
        ::close(own);
        throw std::runtime_error("there is no free connection");
    }
    c->type = socket_type(own);
    c->recv = io.recv;
    c->send = io.send;
    c->read->handler = handler;
    c->write->handler = handler;
    c->read->log = c->log;
    c->write->log = c->log;

    Link& link = links_.emplace_back();
    link.connection = c;
    by_slot_[c] = &link;
    return link;
}

Link& Bench::open(Ends ends)
{
    Link& link = open_slot(ends.own);
    link.peer = std::move(ends.peer);
    return link;
}

Link& Bench::open_in_place_of(const Connection& slot, int number)
{
    Ends ends = socket_pair();
    ends.own = move_to(ends.own, number);
    Link& link = open(std::move(ends));
    if (link.connection != &slot) {
        throw std::runtime_error("the slot that was freed last is not reused first");
    }
    return link;
}

void Bench::close(Link& link)
{
    Connection* const c = std::exchange(link.connection, nullptr);
    by_slot_.erase(c);
    close_connection(*c);
}

unsigned Bench::natural_flags() noexcept
{
    return (event_flags & use_clear_event) != 0 ? clear_event : level_event;
}

void Bench::watch(Event& ev, unsigned flags)
{
    same("add", event_actions.add(ev, type_of(ev), flags), Rc::ok);
}

void Bench::unwatch(Event& ev, unsigned flags)
{
    same("del", event_actions.del(ev, type_of(ev), flags), Rc::ok);
}

Wait Bench::process(Msec timer, unsigned flags)
{
    const auto before = test::Clock::now();
    const Rc rc = event_actions.process_events(*cycle_, timer, flags);
    const auto took = test::Clock::now() - before;
    return {rc, std::chrono::duration_cast<std::chrono::milliseconds>(took)};
}

void Bench::run_posted(Cycle& cycle)
{
    event_process_posted(cycle, posted_accept_events);
    event_process_posted(cycle, posted_events);
}

Wait Bench::turn(Msec timer, unsigned flags)
{
    const Wait wait = process(timer, flags);
    run_posted(*cycle_);
    return wait;
}

bool Bench::reported(std::string_view what, const int& count, int times)
{
    if (until([&] { return count >= times; })) {
        return true;
    }
    return same(fmt::format("reports of {}", what), count, times);
}

void Bench::settle()
{
    Link& fence = open();
    watch(fence.read());
    fence.send("x");
    reported("data at a new connection", fence.reads);
    turn();
    close(fence);
}

Rc Bench::init()
{
    return event_actions.init(*cycle_, 0);
}

void Bench::done()
{
    event_actions.done(*cycle_);
}

bool Bench::reload(std::string_view events_conf)
{
    return cycle_.reload(conf(events_conf));
}

void Bench::handler(Event& ev) noexcept
{
    current->report(ev);
}

void Bench::report(Event& ev) noexcept
{
    const auto* const c = static_cast<const Connection*>(ev.data);
    const auto found = by_slot_.find(c);
    if (found == by_slot_.end()) {
        strays_++;
        return;
    }

    Link& link = *found->second;
    nested_ |= ++depth_ > 1;
    ++(ev.write ? link.writes : link.reads);
    try {
        if (const auto& next = ev.write ? link.on_write : link.on_read) {
            next(link);
        }
    } catch (const std::exception& e) {
        verdict_.expect(false, std::string("a handler throws nothing; seen: ") + e.what());
    }
    depth_--;
}

}  // namespace ngx::contract
