#include <algorithm>
#include <csignal>
#include <sys/resource.h>
#include <vector>

#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "test/event/contract/allocations.hpp"
#include "test/event/contract/bench.hpp"
#include "test/event/contract/process_state.hpp"

namespace ngx::contract {

namespace {

/// Sets a soft limit of this process while it exists.
class SoftLimit {
public:
    SoftLimit(__rlimit_resource resource, rlim_t value) : resource_(resource)
    {
        ::getrlimit(resource, &before_);
        const rlimit limit{.rlim_cur = std::min(value, before_.rlim_max),
                           .rlim_max = before_.rlim_max};
        ::setrlimit(resource, &limit);
    }
    SoftLimit(const SoftLimit&) = delete;
    SoftLimit& operator=(const SoftLimit&) = delete;
    ~SoftLimit() { ::setrlimit(resource_, &before_); }

private:
    __rlimit_resource resource_;
    rlimit before_{};
};

/// Starts the poller again. It watches no event any more, as after a fork.
void start_again(Bench& b, Link& link)
{
    b.same("init", b.init(), Rc::ok);
    for (Event* ev : {&link.read(), &link.write()}) {
        ev->active = 0;
        ev->index = invalid_index;
    }
}

/// Opens a connection with both events watched, and uses both.
Link& use(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.watch(link.write());
    link.send("x");
    b.reported("data", link.reads);
    b.reported("room", link.writes);
    return link;
}

void done_leaves_the_process_as_it_was(Bench& b)
{
    Link& link = use(b);
    b.done();
    const std::vector<std::string> after = process_state();
    for (const std::string& line : after) {
        b.expect(std::ranges::find(b.state_before(), line) != b.state_before().end(),
                 "done restores the state before the first init; seen: " + line);
    }
    for (const std::string& line : b.state_before()) {
        b.expect(std::ranges::find(after, line) != after.end(),
                 "done restores the state before the first init: " + line);
    }
    start_again(b, link);
}

void done_leaves_nothing_set_on_a_descriptor(Bench& b)
{
    Link& link = b.open();
    const std::string before = descriptor_state(link.fd());
    b.watch(link.read());
    b.watch(link.write());
    link.send("x");
    b.reported("data", link.reads);
    b.done();
    b.same("the descriptor after done", descriptor_state(link.fd()), before);

    if (descriptor_state(link.fd()) == before) {  // else a signal might end this process
        link.send("y");
        link.drain();
    }
    sigset_t pending;
    ::sigpending(&pending);
    b.expect(sigisemptyset(&pending) == 1, "no signal is pending after done");
    start_again(b, link);
}

void a_descriptor_signals_no_other_thread(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.expect(signals_this_thread_only(link.fd()),
             "a descriptor that sends signals sends them to the thread of the loop");
    b.watch(link.write());
    b.expect(signals_this_thread_only(link.fd()),
             "a descriptor with both events sends them to that thread, too");
}

/// Calls all actions of a turn for each link: add, wait, post, run, del.
void go_round(Bench& b, const std::vector<Link*>& links)
{
    const unsigned flags = Bench::natural_flags();
    bool good = true;
    for (const unsigned how : {0U, post_events}) {
        for (Link* link : links) {
            good &= event_actions.add(link->read(), read_event, flags) == Rc::ok;
            good &= event_actions.add(link->write(), write_event, flags) == Rc::ok;
        }
        for (int i = 0; i < 3; i++) {
            (void)event_actions.process_events(b.cycle(), 0, update_time | how);
            Bench::run_posted(b.cycle());
        }
        for (Link* link : links) {
            good &= event_actions.del(link->read(), read_event, flags) == Rc::ok;
            good &= event_actions.del(link->write(), write_event, flags) == Rc::ok;
        }
    }
    b.expect(good, "add and del succeed");
}

/// Opens all connections before the first turn, so that no table has to grow later.
void no_action_allocates(Bench& b)
{
    if (!Allocations::are_counted()) {
        b.note("allocations were not counted: this program uses a sanitizer's heap");
    }
    std::vector<Link*> links;
    while (b.cycle().free_connection_n > 0) {
        links.push_back(&b.open());
        links.back()->send("x");
    }
    const Allocations allocations;
    go_round(b, links);
    const std::size_t n = allocations.count();
    b.same("allocations in add, del and process_events", n, 0U);
}

void is_told_of_all(Bench& b, const std::vector<Link*>& links, int round)
{
    // Sends more often than the handlers read: each send may occupy an entry of a queue.
    for (int i = 0; i < 3; i++) {
        for (const Link* link : links) {
            link->send("x");
        }
    }
    b.expect(b.until([&] {
        return std::ranges::all_of(links, [&](const Link* l) { return l->reads >= round; });
    }),
             "all that came between two turns is reported");
    b.settle();
    for (Link* link : links) {
        link->reads = round;
    }
}

void nothing_is_lost_between_turns_under_small_limits(Bench& b)
{
    b.done();
    const SoftLimit files(RLIMIT_NOFILE, 300);
    const SoftLimit signals(RLIMIT_SIGPENDING, 16);
    b.same("init", b.init(), Rc::ok);

    std::vector<Link*> links;
    for (int i = 0; i < 100; i++) {
        Link& link = b.open();
        link.on_read = [](Link& l) { (void)l.receive(); };
        b.watch(link.read());
        links.push_back(&link);
    }
    b.settle();  // from now on each report is a new one
    for (int round = 1; round <= 3; round++) {
        is_told_of_all(b, links, round);
    }
}

constexpr Promise table[] = {
    {
        .name = "done_leaves_the_process_as_it_was",
        .explanation = "After done, signals are blocked, ignored and handled as before the first "
                       "init, and no timer or thread is left.",
        .keep = done_leaves_the_process_as_it_was,
    },
    {
        .name = "done_leaves_nothing_set_on_a_descriptor",
        .explanation = "After done, the flags, the owner and the signal of a watched descriptor "
                       "are as before the add, and it sends no signals.",
        .keep = done_leaves_nothing_set_on_a_descriptor,
    },
    {
        .name = "a_descriptor_signals_no_other_thread",
        .explanation = "If a poller uses signals of descriptors, they go to the loop's thread and "
                       "not to the process, where any thread could receive them.",
        .keep = a_descriptor_signals_no_other_thread,
    },
    {
        .name = "no_action_allocates",
        .explanation = "add, del and process_events allocate no memory, even if all connections "
                       "are in use.",
        .keep = no_action_allocates,
        .events_conf = "worker_connections 64;",
    },
    {
        .name = "nothing_is_lost_between_turns_under_small_limits",
        .explanation = "Data that a hundred connections receive between two turns is reported, "
                       "although the limits of open files and of pending signals are low.",
        .keep = nothing_is_lost_between_turns_under_small_limits,
        .events_conf = "worker_connections 128;",
    },
};

}  // namespace

constinit const std::span<const Promise> process_promises = table;

}  // namespace ngx::contract
