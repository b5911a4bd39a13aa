#include <algorithm>
#include <array>
#include <vector>

#include "event/event.hpp"
#include "os/unix/os.hpp"
#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

void init_sets_what_the_loop_calls(Bench& b)
{
    b.expect(event_actions.add, "add is there");
    b.expect(event_actions.del, "del is there");
    b.expect(event_actions.process_events, "process_events is set");
    b.expect(event_actions.init, "init is there");
    b.expect(event_actions.done, "done is there");
    b.same("add_conn without del_conn", !event_actions.add_conn, !event_actions.del_conn);
    b.expect(io.recv && io.send && io.recv_chain && io.send_chain,
             "init has set the I/O functions");

    const bool clear = (event_flags & use_clear_event) != 0;
    const bool level = (event_flags & use_level_event) != 0;
    b.expect(clear != level, "event_flags has either use_clear_event or use_level_event");
}

void done_closes_what_init_has_opened(Bench& b)
{
    std::array<int, 3> without{};
    std::array<int, 3> with{};
    for (std::size_t i = 0; i < with.size(); i++) {
        b.done();
        without[i] = open_descriptors();
        b.same("init", b.init(), Rc::ok);
        with[i] = open_descriptors();
    }
    b.same("descriptors after the second done", without[1], without[0]);
    b.same("descriptors after the third done", without[2], without[0]);
    b.same("descriptors after the third init", with[2], with[0]);
}

void it_works_after_done_and_init(Bench& b)
{
    Link& before = b.open();
    b.watch(before.read());
    b.watch(before.write());
    b.reported("room before done", before.writes);
    b.close(before);

    b.done();
    b.same("init", b.init(), Rc::ok);

    Link& after = b.open();
    b.watch(after.read());
    b.watch(after.write());
    after.send("x");
    b.reported("data after init", after.reads);
    b.reported("room after init", after.writes);
}

void done_forgets_what_was_watched(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read());
    b.done();
    b.same("init", b.init(), Rc::ok);

    link.send("x");
    b.settle();
    b.same("reports of an event that was added before done", link.reads, 0);

    // As after a fork: this poller does not watch the event.
    link.read().active = 0;
    link.read().index = invalid_index;
    b.watch(link.read());
    b.reported("data at an event that was added again", link.reads);
}

void a_second_init_keeps_what_is_watched(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.watch(link.read());
    b.watch(link.write());
    b.settle();

    b.same("init", b.init(), Rc::ok);
    link.send("x");
    link.drain();
    b.reported("data after the second init", link.reads);
    b.reported("room after the second init", link.writes);

    Link& late = b.open();
    b.watch(late.read());
    late.send("x");
    b.reported("data at a connection opened after the second init", late.reads);
}

void a_reload_keeps_what_is_watched(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.watch(link.read());
    b.watch(link.write());
    b.expect(b.reload("multi_accept on;"), "the new configuration is accepted");

    link.send("x");
    link.drain();
    b.reported("data at a connection of the old cycle", link.reads);
    b.reported("room at a connection of the old cycle", link.writes);

    Link& late = b.open();
    b.watch(late.read());
    b.unwatch(link.read());
    b.unwatch(link.write());
    b.close(link);
    late.send("x");
    b.reported("data at a connection of the new cycle", late.reads);
}

/// Opens and watches `n` more connections.
void open_more(Bench& b, std::vector<Link*>& links, int n)
{
    for (int i = 0; i < n; i++) {
        Link& link = b.open();
        link.on_read = [](Link& l) { (void)l.receive(); };
        b.watch(link.read());
        links.push_back(&link);
    }
}

void a_reload_may_change_the_number_of_connections(Bench& b)
{
    std::vector<Link*> links;
    open_more(b, links, 60);
    b.expect(b.reload("worker_connections 8;"), "fewer connections are accepted");
    open_more(b, links, 6);
    b.expect(b.reload("worker_connections 256;"), "more connections are accepted");
    open_more(b, links, 200);

    for (const Link* link : links) {
        link->send("x");
    }
    const auto is_reported = [](const Link* link) { return link->reads > 0; };
    b.expect(b.until([&] { return std::ranges::all_of(links, is_reported); }),
             "the connections of all three cycles are reported");
    b.settle();
    b.expect(std::ranges::all_of(links, [](const Link* link) { return link->reads == 1; }),
             "each is reported once");
}

constexpr Promise table[] = {
    {
        .name = "init_sets_what_the_loop_calls",
        .explanation = "init sets event_actions, event_flags and io; add_conn comes with del_conn, "
                       "and the flags declare either edges or levels.",
        .keep = init_sets_what_the_loop_calls,
    },
    {
        .name = "done_closes_what_init_has_opened",
        .explanation = "done and init may alternate without a descriptor leak.",
        .keep = done_closes_what_init_has_opened,
    },
    {
        .name = "it_works_after_done_and_init",
        .explanation = "After done and init, connections are watched as after the first init.",
        .keep = it_works_after_done_and_init,
    },
    {
        .name = "done_forgets_what_was_watched",
        .explanation = "Events that were added before done are not reported after the next init, "
                       "and can be added again.",
        .keep = done_forgets_what_was_watched,
    },
    {
        .name = "a_second_init_keeps_what_is_watched",
        .explanation = "init without done, as in a reload without a master, changes nothing for "
                       "events that were added.",
        .keep = a_second_init_keeps_what_is_watched,
    },
    {
        .name = "a_reload_keeps_what_is_watched",
        .explanation = "After a reload in one process, connections of the old and of the new cycle "
                       "are reported, and both can be closed.",
        .keep = a_reload_keeps_what_is_watched,
    },
    {
        .name = "a_reload_may_change_the_number_of_connections",
        .explanation = "worker_connections may decrease and increase over reloads while many "
                       "connections are watched.",
        .keep = a_reload_may_change_the_number_of_connections,
        .events_conf = "worker_connections 64;",
    },
};

}  // namespace

constinit const std::span<const Promise> lifecycle_promises = table;

}  // namespace ngx::contract
