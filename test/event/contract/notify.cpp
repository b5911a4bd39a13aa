#include <thread>

#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

/// Recorded by the handler. It is global, because the event of a notify has no data for the
/// handler.
struct {
    int calls = 0;
    int notify_again = 0;  // how many more times the handler calls notify
    std::thread::id thread{};
} seen;

void handler(Event&) noexcept
{
    seen.calls++;
    seen.thread = std::this_thread::get_id();
    if (seen.notify_again > 0) {
        seen.notify_again--;
        (void)event_actions.notify(handler);
    }
}

Rc notify_from_thread()
{
    Rc rc = Rc::error;
    std::thread([&rc] { rc = event_actions.notify(handler); }).join();
    return rc;
}

void a_notification_runs_its_handler_on_the_thread_of_the_loop(Bench& b)
{
    seen = {};
    b.same("notify", notify_from_thread(), Rc::ok);
    b.same("calls before the turn", seen.calls, 0);
    b.reported("a notification", seen.calls);
    b.expect(seen.thread == std::this_thread::get_id(), "the handler runs on the loop's thread");
}

void a_notification_ends_the_wait(Bench& b)
{
    seen = {};
    Rc rc = Rc::error;
    std::thread thread([&rc] { rc = event_actions.notify(handler); });
    const Wait wait = b.turn(static_cast<Msec>(b.patience().count()));
    thread.join();
    b.same("notify", rc, Rc::ok);
    b.expect(wait.took < b.patience(), "the wait ends with the notification");
    b.reported("a notification", seen.calls);
}

void notifications_may_come_together(Bench& b)
{
    seen = {};
    constexpr int times = 5;
    for (int i = 0; i < times; i++) {
        b.same("notify", notify_from_thread(), Rc::ok);
    }
    b.reported("notifications", seen.calls);
    b.settle();
    b.expect(seen.calls <= times, "the handler runs at most once for each notification");
}

void notify_works_again_and_again(Bench& b)
{
    seen = {};
    for (int i = 1; i <= 5; i++) {
        b.same("notify", notify_from_thread(), Rc::ok);
        b.reported("a notification", seen.calls, i);
        b.settle();
        b.same("calls", seen.calls, i);
    }
}

void a_handler_may_notify(Bench& b)
{
    seen = {.notify_again = 3};
    b.same("notify", event_actions.notify(handler), Rc::ok);
    b.reported("notifications from the handler", seen.calls, 4);
    b.settle();
    b.same("calls", seen.calls, 4);
}

void a_notification_is_posted_with_the_others(Bench& b)
{
    seen = {};
    b.same("notify", notify_from_thread(), Rc::ok);
    b.until([] { return !posted_events.empty(); },
            [&] { b.process(Bench::step_timeout, update_time | post_events); });
    b.same("calls before the queue is processed", seen.calls, 0);
    Bench::run_posted(b.cycle());
    b.same("calls", seen.calls, 1);
}

void notify_works_after_done_and_init(Bench& b)
{
    seen = {};
    b.done();
    b.same("init", b.init(), Rc::ok);
    b.same("notify", notify_from_thread(), Rc::ok);
    b.reported("a notification after done and init", seen.calls);

    b.same("the second init", b.init(), Rc::ok);
    b.same("notify", notify_from_thread(), Rc::ok);
    b.reported("a notification after a second init", seen.calls, 2);
}

constexpr Promise table[] = {
    {
        .name = "a_notification_runs_its_handler_on_the_thread_of_the_loop",
        .explanation = "notify, called on any thread, makes the loop call the handler in its next "
                       "turn, on the loop's thread.",
        .keep = a_notification_runs_its_handler_on_the_thread_of_the_loop,
        .needs = capability::notify,
    },
    {
        .name = "a_notification_ends_the_wait",
        .explanation = "notify ends the wait of the loop.",
        .keep = a_notification_ends_the_wait,
        .needs = capability::notify,
    },
    {
        .name = "notifications_may_come_together",
        .explanation = "Several notifications before a turn run the handler at least once, and at "
                       "most once for each.",
        .keep = notifications_may_come_together,
        .needs = capability::notify,
    },
    {
        .name = "notify_works_again_and_again",
        .explanation = "Each of many notifications is reported exactly once.",
        .keep = notify_works_again_and_again,
        .needs = capability::notify,
    },
    {
        .name = "a_handler_may_notify",
        .explanation = "A notification that arrives while the handler runs is not lost.",
        .keep = a_handler_may_notify,
        .needs = capability::notify,
    },
    {
        .name = "a_notification_is_posted_with_the_others",
        .explanation = "With post_events, the handler of a notification runs when posted_events is "
                       "processed.",
        .keep = a_notification_is_posted_with_the_others,
        .needs = capability::notify,
    },
    {
        .name = "notify_works_after_done_and_init",
        .explanation = "notify works after done and init, and after a second init.",
        .keep = notify_works_after_done_and_init,
        .needs = capability::notify,
    },
};

}  // namespace

constinit const std::span<const Promise> notify_promises = table;

}  // namespace ngx::contract
