#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

void a_one_shot_event_is_reported_once(Bench& b)
{
    Link& link = b.open();
    b.watch(link.read(), oneshot_event);
    link.send("x");
    b.reported("data", link.reads);
    link.send("x");
    b.settle();
    b.same("reports", link.reads, 1);
}

void a_one_shot_event_is_inactive_when_its_handler_runs(Bench& b)
{
    Link& link = b.open();
    bool active = true;
    link.on_read = [&](Link& l) { active = l.read().active; };
    b.watch(link.read(), oneshot_event);
    b.same("active after add", static_cast<bool>(link.read().active), true);
    link.send("x");
    b.reported("data", link.reads);
    b.same("active in the handler", active, false);
}

void a_handler_may_add_its_one_shot_event_again(Bench& b)
{
    Link& link = b.open();
    link.on_read = [&](Link& l) {
        (void)l.receive();
        if (l.reads < 3) {
            b.watch(l.read(), oneshot_event);
        }
    };
    b.watch(link.read(), oneshot_event);
    for (int i = 1; i <= 3; i++) {
        link.send("x");
        b.reported("data", link.reads, i);
    }
    link.send("x");
    b.settle();
    b.same("reports", link.reads, 3);
}

constexpr Promise table[] = {
    {
        .name = "a_one_shot_event_is_reported_once",
        .explanation = "An event that was added with oneshot_event is removed from the poller when "
                       "it is reported.",
        .keep = a_one_shot_event_is_reported_once,
        .needs = capability::oneshot,
    },
    {
        .name = "a_one_shot_event_is_inactive_when_its_handler_runs",
        .explanation = "`active` is cleared before the handler is called.",
        .keep = a_one_shot_event_is_inactive_when_its_handler_runs,
        .needs = capability::oneshot,
    },
    {
        .name = "a_handler_may_add_its_one_shot_event_again",
        .explanation = "The handler of a one-shot event may add it for one more report.",
        .keep = a_handler_may_add_its_one_shot_event_again,
        .needs = capability::oneshot,
    },
};

}  // namespace

constinit const std::span<const Promise> oneshot_promises = table;

}  // namespace ngx::contract
