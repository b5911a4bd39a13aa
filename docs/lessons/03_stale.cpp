/// \file
/// Lesson 3: three events in one batch, and the bit that distinguishes the uses of a slot.

#include <unistd.h>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"

namespace ngx::lesson {

namespace {

constexpr const char* conf = "master_process off; events { use epoll; worker_connections 16; }";

/// The three connections in the order of the batch, and the actions of their handlers.
struct {
    Pair pairs[4];
    Pair fresh;
    int calls;
    void (*first)();
    void (*second)();
} story;

void handler(Event& rev) noexcept
{
    const Connection& c = connection_of(rev);
    story.calls++;
    say("  handler of %s connection, slot %ld", &c == story.fresh.c ? "the NEW" : "an old",
        slot_of(c));
    void (*const act)() = story.calls == 1 ? story.first : story.second;
    if (act && story.calls <= 2) {
        act();
    }
}

void close_third()
{
    const Connection& c = *story.pairs[3].c;
    say("    closes the third: slot %ld, instance %d", slot_of(c), unsigned{c.read->instance});
    close_connection(*story.pairs[3].c);
}

/// Uses the third connection's slot for another connection, which has no data.
void open_fresh()
{
    const Pair pair = open_pair(handler);
    story.fresh = pair;
    (void)event_actions.add(*pair.c->read, read_event, clear_event);
    say("    opens a new one: slot %ld, instance %d", slot_of(*pair.c),
        unsigned{pair.c->read->instance});
}

/// As open_fresh(), but opens and closes another connection in the slot before.
void open_and_close_and_open()
{
    const Pair between = open_pair(handler);
    close_connection(*between.c);
    ::close(between.peer);
    open_fresh();
}

/// Runs one batch in which all three are ready, in this order.
void run_batch(void (*first)(), void (*second)())
{
    Loop loop(conf);
    story = {};
    story.first = first;
    story.second = second;
    for (int i = 1; i <= 3; i++) {
        story.pairs[i] = open_pair(handler);
        (void)event_actions.add(*story.pairs[i].c->read, read_event, clear_event);
    }
    for (int i = 1; i <= 3; i++) {
        send_text(story.pairs[i].peer, "x");
    }
    loop.turn();
    say("  %d of 3 reports were delivered", story.calls);
    for (const Pair& pair : {story.pairs[1], story.pairs[2], story.pairs[3], story.fresh}) {
        if (pair.peer > 0) {
            ::close(pair.peer);
        }
    }
}

void show()
{
    say("No handler closes a connection:");
    run_batch(nullptr, nullptr);
    say("The first handler closes the third connection, whose fd is then -1:");
    run_batch(close_third, nullptr);
    say("The first handler closes the third connection, and the second takes its slot:");
    run_batch(close_third, open_fresh);
    say("The same, but the slot is used twice, so the bit has its old value again:");
    run_batch(close_third, open_and_close_and_open);
}

void check(Checker& checker)
{
    std::fflush(stdout);
    const Loop loop(conf);
    const Pair pair = open_pair([](Event&) noexcept { story.calls++; });
    Connection& c = *pair.c;

    for (int situation = 0; situation < 4; situation++) {
        const bool open = (situation & 1) != 0;
        const bool same = (situation & 2) != 0;
        const bool watched_with = c.read->instance != 0;
        const int fd = c.fd;

        // The poller keeps the value that it gets here when the slot changes later.
        (void)event_actions.add(*c.read, read_event, clear_event);
        send_text(pair.peer, "x");
        c.read->instance = same ? watched_with : !watched_with;
        c.fd = open ? fd : -1;
        story.calls = 0;
        (void)event_actions.process_events(*loop, 0, update_time);

        const std::string text = "slot open: " + std::string(yes_no(open)) +
                                 ", its instance is the reported one: " + yes_no(same);
        checker.same(1, text, story.calls,
                     static_cast<long long>(
                         exercise::is_delivered(open, c.read->instance != 0, watched_with)));

        c.fd = fd;
        c.read->instance = watched_with;
        (void)event_actions.del(*c.read, read_event, 0);
    }

    for (const unsigned instance : {0U, 1U}) {
        const auto address = reinterpret_cast<std::uintptr_t>(&c);
        const std::uintptr_t answer = exercise::address_of_slot(address | instance);
        checker.same(2, "instance " + std::to_string(instance) + ", it is the slot's address", 1,
                     static_cast<long long>(answer == address));
    }
    ::close(pair.peer);
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
