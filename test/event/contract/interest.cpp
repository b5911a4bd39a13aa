#include <algorithm>
#include <fcntl.h>
#include <random>
#include <unistd.h>
#include <vector>

#include "event/event.hpp"
#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

bool is_active(const Event& ev) noexcept
{
    return ev.active;
}

void active_follows_add_and_del(Bench& b)
{
    Link& link = b.open();
    Event& rev = link.read();
    Event& wev = link.write();

    b.watch(rev);
    b.same("read after add of read", is_active(rev), true);
    b.same("write after add of read", is_active(wev), false);
    b.watch(wev);
    b.same("read after add of write", is_active(rev), true);
    b.same("write after add of write", is_active(wev), true);
    b.unwatch(rev);
    b.same("read after del of read", is_active(rev), false);
    b.same("write after del of read", is_active(wev), true);
    b.watch(rev);
    b.same("read after the second add", is_active(rev), true);
    b.unwatch(wev);
    b.same("write after del of write", is_active(wev), false);
    b.unwatch(rev, close_event);
    b.same("read after del with close_event", is_active(rev), false);
}

void a_deleted_event_is_not_reported(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.watch(link.read());
    b.watch(link.write());
    b.unwatch(link.read());
    b.unwatch(link.write());
    link.send("x");
    link.drain();
    b.settle();
    b.same("reports to the read event", link.reads, 0);
    b.same("reports to the write event", link.writes, 0);
}

void an_event_that_is_added_again_is_reported_again(Bench& b)
{
    Link& link = b.open();
    link.on_read = [&](Link& l) {
        (void)l.receive();
        b.unwatch(l.read());
    };
    for (int i = 1; i <= 3; i++) {
        b.watch(link.read());
        link.send("x");
        b.reported("data after add", link.reads, i);

        link.send("y");
        b.settle();
        b.same("reports after del", link.reads, i);
    }
}

void what_came_between_del_and_add_is_reported(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.watch(link.read());
    b.watch(link.write());
    b.unwatch(link.read(), disable_event);
    b.unwatch(link.write(), disable_event);
    link.send("x");
    link.drain();
    b.watch(link.read());
    b.watch(link.write());
    b.reported("data", link.reads);
    b.reported("room", link.writes);
}

void a_disabled_event_is_quiet_until_it_is_enabled(Bench& b)
{
    Link& link = b.open();
    Event& rev = link.read();
    b.watch(rev);
    b.same("disable", event_actions.disable(rev, read_event, disable_event), Rc::ok);
    b.same("active after disable", is_active(rev), false);
    link.send("x");
    b.settle();
    b.same("reports of a disabled event", link.reads, 0);

    b.same("enable", event_actions.enable(rev, read_event, Bench::natural_flags()), Rc::ok);
    b.same("active after enable", is_active(rev), true);
    b.reported("data that arrived while the event was disabled", link.reads);
}

void del_of_one_direction_keeps_the_other(Bench& b)
{
    Link& reads = b.open();
    b.watch(reads.read());
    b.watch(reads.write());
    b.unwatch(reads.write());

    Link& writes = b.open();
    writes.fill();
    b.watch(writes.read());
    b.watch(writes.write());
    b.unwatch(writes.read());

    b.settle();
    b.same("reports of an empty socket", reads.reads, 0);
    b.same("reports of a full socket", writes.writes, 0);
    reads.send("x");
    writes.send("x");
    writes.drain();
    b.reported("data after del of the write event", reads.reads);
    b.reported("room after del of the read event", writes.writes);
    b.settle();
    b.same("reports to the deleted write event", reads.writes, 0);
    b.same("reports to the deleted read event", writes.reads, 0);
}

void add_of_one_direction_keeps_the_other(Bench& b)
{
    Link& link = b.open();
    link.fill();
    b.watch(link.read());
    b.watch(link.write());
    link.send("x");
    b.reported("data after add of the write event", link.reads);

    Link& other = b.open();
    other.fill();
    b.watch(other.write());
    b.watch(other.read());
    other.drain();
    b.reported("room after add of the read event", other.writes);
}

void a_number_that_was_closed_can_be_added_again(Bench& b)
{
    Link& before = b.open();
    b.watch(before.read());
    b.watch(before.write());
    const Connection& slot = *before.connection;
    const int number = before.fd();
    b.unwatch(before.read(), close_event);
    b.unwatch(before.write(), close_event);
    b.close(before);

    Link& after = b.open_in_place_of(slot, number);
    b.watch(after.read());
    b.watch(after.write());
    after.send("x");
    b.reported("data", after.reads);
    b.reported("room", after.writes);
}

void a_number_that_moves_to_another_slot_is_reported_there(Bench& b)
{
    Link& one = b.open();
    Link& two = b.open();
    b.watch(one.read());
    b.watch(two.read());
    const int number = one.fd();
    const Connection& slot = *two.connection;
    b.close(one);
    b.close(two);

    Link& link = b.open_in_place_of(slot, number);
    b.watch(link.read());
    link.send("x");
    b.reported("data", link.reads);
    b.settle();
}

void del_without_close_event_ends_the_reports_of_all_copies(Bench& b)
{
    Link& link = b.open();
    const test::Fd copy(::dup(link.fd()));
    b.watch(link.read());
    b.unwatch(link.read(), 0);
    b.close(link);

    link.send("x");
    constexpr Msec timeout = 20;
    const Wait wait = b.turn(timeout);
    b.same("process_events", wait.rc, Rc::ok);
    b.expect(wait.took.count() >= static_cast<std::int64_t>(timeout),
             "data at the copy does not end the wait");
}

void active_tells_whether_an_add_was_accepted(Bench& b)
{
    b.alerts_are_expected();
    Link& file = b.open({::open("/proc/self/exe", O_RDONLY | O_CLOEXEC), test::Fd()});
    const Rc rc = event_actions.add(file.read(), read_event, Bench::natural_flags());
    b.same("active of a regular file", is_active(file.read()), rc == Rc::ok);
    b.expect(rc == Rc::ok || !b.alerts().empty(), "an add that is refused is logged");
}

void a_high_descriptor_is_watched_or_refused(Bench& b)
{
    Ends ends = socket_pair();
    ends.own = move_above(ends.own, 2000);
    Link& link = b.open(std::move(ends));
    link.send("x");

    const Rc rc = event_actions.add(link.read(), read_event, Bench::natural_flags());
    b.same("active", is_active(link.read()), rc == Rc::ok);
    if (rc == Rc::ok) {
        b.reported("data", link.reads);
        return;
    }
    b.note("refused");
    b.expect(b.log().find("maximum number of descriptors") != std::string::npos,
             "the refusal is logged with its reason");
    b.settle();
    b.same("reports", link.reads, 0);
}

void a_number_that_is_open_again_but_not_added_is_quiet(Bench& b)
{
    for (const bool same_slot : {true, false}) {
        Link& before = b.open();
        b.watch(before.read());
        b.watch(before.write());
        const int number = before.fd();
        Ends ends = socket_pair();
        Ends between = socket_pair();
        b.close(before);
        ends.own = move_to(ends.own, number);
        Link& other = b.open(std::move(same_slot ? ends : between));
        Link& after = b.open(std::move(same_slot ? between : ends));

        for (const Link* link : {&other, &after}) {
            link->send("x");
        }
        constexpr Msec timeout = 20;
        const Wait wait = b.turn(timeout);
        b.expect(wait.took.count() >= static_cast<std::int64_t>(timeout),
                 "a descriptor that was not added does not end the wait");
        b.same("reports", other.reads + other.writes + after.reads + after.writes, 0);
    }
}

void a_number_that_is_added_again_reports_nothing_old(Bench& b)
{
    Link& before = b.open();
    b.watch(before.read());
    b.watch(before.write());
    b.reported("room", before.writes);
    const int number = before.fd();
    Ends ends = socket_pair();
    Ends between = socket_pair();
    b.close(before);
    ends.own = move_to(ends.own, number);
    const Link& other = b.open(std::move(between));  // in the slot of `before`
    Link& after = b.open(std::move(ends));

    b.watch(after.read());
    other.send("x");
    after.send("x");
    b.reported("data at the number that is used again", after.reads);
    b.settle();
    b.same("reports to the write event, which is not added", after.writes, 0);
    b.same("reports to the connection in the old slot", other.reads + other.writes, 0);
}

/// Connections whose events are added and deleted at random, and the reports that are expected of
/// them.
class Crowd {
public:
    explicit Crowd(Bench& b) : b_(b), links_(24)
    {
        for (Link*& link : links_) {
            link = &open();
        }
    }

    void change()
    {
        Link*& link = links_[random_() % links_.size()];
        switch (random_() % 5) {
        case 0:
            b_.close(*link);
            link = &open();
            break;
        case 1:
        case 2:
            toggle(link->read());
            break;
        default:
            toggle(link->write());
        }
    }

    /// Sends data to each connection. Returns whether exactly the read events that were added are
    /// reported, and no write event that was not.
    [[nodiscard]] bool check()
    {
        for (Link* link : links_) {
            link->reads = link->writes = 0;
            link->send("x");
        }
        b_.turn();
        bool good = b_.expect(b_.until([&] { return all_reported(); }), "all events are reported");
        for (const Link* link : links_) {
            if (!is_active(link->read())) {
                good &= b_.same("reports to a read event that is not added", link->reads, 0);
            }
            if (!is_active(link->write())) {
                good &= b_.same("reports to a write event that is not added", link->writes, 0);
            }
            // Data that is not read would fill the socket in the end.
            char buf[16];
            while (::read(link->fd(), buf, sizeof(buf)) > 0) {}
        }
        return good;
    }

private:
    Link& open()
    {
        Link& link = b_.open();
        link.on_read = [](Link& l) { (void)l.receive(); };
        return link;
    }

    void toggle(Event& ev) { is_active(ev) ? b_.unwatch(ev) : b_.watch(ev); }

    /// A poller that reports edges need not report room again.
    [[nodiscard]] bool all_reported() const
    {
        const bool level = (event_flags & use_level_event) != 0;
        return std::ranges::all_of(links_, [&](const Link* link) {
            return (!is_active(link->read()) || link->reads > 0) &&
                   (!is_active(link->write()) || link->writes > 0 || !level);
        });
    }

    Bench& b_;
    std::vector<Link*> links_;
    std::minstd_rand random_{1};
};

void any_order_of_adds_and_dels_leaves_what_was_asked_for(Bench& b)
{
    Crowd crowd(b);
    bool good = true;
    for (int i = 0; good && i < 300; i++) {
        crowd.change();
        good = crowd.check();
    }
}

constexpr Promise table[] = {
    {
        .name = "active_follows_add_and_del",
        .explanation = "add sets `active`, del clears it, and neither changes the other event.",
        .keep = active_follows_add_and_del,
    },
    {
        .name = "a_deleted_event_is_not_reported",
        .explanation = "A deleted event is not reported.",
        .keep = a_deleted_event_is_not_reported,
    },
    {
        .name = "an_event_that_is_added_again_is_reported_again",
        .explanation = "An event may be added and deleted any number of times, also by its own "
                       "handler.",
        .keep = an_event_that_is_added_again_is_reported_again,
    },
    {
        .name = "what_came_between_del_and_add_is_reported",
        .explanation = "Data or room that appears while an event is deleted with disable_event is "
                       "reported once it is added again.",
        .keep = what_came_between_del_and_add_is_reported,
    },
    {
        .name = "a_disabled_event_is_quiet_until_it_is_enabled",
        .explanation = "Between disable and enable an event is not reported; data that arrives "
                       "meanwhile is reported afterwards.",
        .keep = a_disabled_event_is_quiet_until_it_is_enabled,
        .needs = capability::enable,
    },
    {
        .name = "del_of_one_direction_keeps_the_other",
        .explanation = "After del of one event of a connection, the other is still reported.",
        .keep = del_of_one_direction_keeps_the_other,
    },
    {
        .name = "add_of_one_direction_keeps_the_other",
        .explanation = "After add of one event of a connection, the other is still reported.",
        .keep = add_of_one_direction_keeps_the_other,
    },
    {
        .name = "a_number_that_was_closed_can_be_added_again",
        .explanation = "After del with close_event and the close, a new connection can use the "
                       "descriptor number and the slot.",
        .keep = a_number_that_was_closed_can_be_added_again,
    },
    {
        .name = "a_number_that_is_open_again_but_not_added_is_quiet",
        .explanation = "A descriptor with the number of a closed one that was not added does not "
                       "end the wait, in the same slot or in another.",
        .keep = a_number_that_is_open_again_but_not_added_is_quiet,
    },
    {
        .name = "a_number_that_is_added_again_reports_nothing_old",
        .explanation = "A descriptor with the number of a closed one is reported for the events "
                       "that were added for it, and not to the connection in the old slot.",
        .keep = a_number_that_is_added_again_reports_nothing_old,
    },
    {
        .name = "a_number_that_moves_to_another_slot_is_reported_there",
        .explanation = "An event of a descriptor is reported to the connection that has the "
                       "descriptor now.",
        .keep = a_number_that_moves_to_another_slot_is_reported_there,
    },
    {
        .name = "del_without_close_event_ends_the_reports_of_all_copies",
        .explanation = "After del without close_event, a descriptor is not reported any more, "
                       "although a duplicate stays open after its close.",
        .keep = del_without_close_event_ends_the_reports_of_all_copies,
    },
    {
        .name = "active_tells_whether_an_add_was_accepted",
        .explanation = "An add that fails, for example for a regular file, is logged and leaves "
                       "the event inactive.",
        .keep = active_tells_whether_an_add_was_accepted,
    },
    {
        .name = "a_high_descriptor_is_watched_or_refused",
        .explanation = "A descriptor beyond the poller's limit is refused with a log line; one "
                       "below the limit is reported.",
        .keep = a_high_descriptor_is_watched_or_refused,
    },
    {
        .name = "any_order_of_adds_and_dels_leaves_what_was_asked_for",
        .explanation = "After each of 300 random changes to 24 connections, exactly the events "
                       "that are added are reported.",
        .keep = any_order_of_adds_and_dels_leaves_what_was_asked_for,
    },
};

}  // namespace

constinit const std::span<const Promise> interest_promises = table;

}  // namespace ngx::contract
