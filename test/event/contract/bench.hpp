#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "event/event.hpp"
#include "test/event/contract/promise.hpp"
#include "test/event/contract/sockets.hpp"
#include "test/support/cycle.hpp"

namespace ngx::contract {

/// What a connection's recv gave until it gave no more.
struct Received {
    std::string text{};
    ssize_t end = 0;  // the last result: 0, io_again or io_error
};

/// A connection of the cycle, whose handlers count their calls, and what is at its other end.
struct Link {
    Connection* connection = nullptr;  // null once it was closed
    test::Fd peer{};
    int reads = 0;
    int writes = 0;
    std::function<void(Link&)> on_read{};  // called by the handlers, after the count
    std::function<void(Link&)> on_write{};

    [[nodiscard]] bool is_open() const noexcept { return connection != nullptr; }
    [[nodiscard]] int fd() const noexcept { return connection->fd; }
    [[nodiscard]] Event& read() const noexcept { return *connection->read; }
    [[nodiscard]] Event& write() const noexcept { return *connection->write; }

    /// The peer sends.
    void send(std::string_view text) const;

    /// Reads until there is no more.
    [[nodiscard]] Received receive() const;

    /// Sends until there is no room.
    void fill() const;

    /// The peer reads all that fill() has sent.
    void drain() const;
};

/// How long process_events took and what it returned.
struct Wait {
    Rc rc;
    std::chrono::milliseconds took;  // rounded down
};

/// Where one promise is tried: a cycle that uses the subject, connections, and the turn of the loop
/// in its parts. One at a time.
class Bench {
public:
    /// The timeout of a turn that waits for something.
    static constexpr Msec step_timeout = 100;

    Bench(const Subject& subject, const Promise& promise, Verdict& verdict);
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    ~Bench();

    /// What holds after each promise: nothing was reported to a connection that was closed, no
    /// handler ran within another, and nothing was logged as an alert.
    void finish();

    /// An alert is what the promise is about.
    void alerts_are_expected() noexcept { alerts_are_expected_ = true; }

    bool expect(bool holds, std::string_view sentence) { return verdict_.expect(holds, sentence); }

    template <typename Seen, typename Expected>
    bool same(std::string_view what, const Seen& seen, const Expected& expected)
    {
        return verdict_.same(what, seen, expected);
    }

    void note(std::string text) { verdict_.note(std::move(text)); }

    [[nodiscard]] Cycle& cycle() const noexcept { return *cycle_; }

    [[nodiscard]] std::chrono::milliseconds patience() const { return subject_.patience; }
    [[nodiscard]] std::uint32_t seed() const { return subject_.seed; }

    /// As process_state() was before init.
    [[nodiscard]] const std::vector<std::string>& state_before() const { return state_before_; }

    [[nodiscard]] std::string log() const { return cycle_.log(); }
    [[nodiscard]] std::vector<std::string> alerts() const;

    // Connections. A link stays in place until the bench goes.

    Link& open() { return open(socket_pair()); }
    Link& open(Ends ends);

    /// A new connection in the slot and with the descriptor's number of one that was closed.
    Link& open_in_place_of(const Connection& slot, int number);

    void close(Link& link);

    // Actions, as the callers of a poller choose their flags.

    /// What the poller adds by: clear_event if it reports edges, else level_event.
    [[nodiscard]] static unsigned natural_flags() noexcept;

    void watch(Event& ev) { watch(ev, natural_flags()); }
    void watch(Event& ev, unsigned flags);
    void unwatch(Event& ev) { unwatch(ev, natural_flags()); }
    void unwatch(Event& ev, unsigned flags);

    // The loop.

    /// Nothing but process_events.
    Wait process(Msec timer = 0, unsigned flags = update_time);

    static void run_posted(Cycle& cycle);

    /// process_events and both posted queues.
    Wait turn(Msec timer = 0, unsigned flags = update_time);

    /// Takes steps until the condition holds; false when patience is over.
    template <typename Condition, typename Step>
    bool until(Condition condition, Step step)
    {
        const test::Deadline end = test::deadline_in(patience());
        while (!condition()) {
            if (test::Clock::now() > end) {
                return false;
            }
            step();
        }
        return true;
    }

    /// Turns until the condition holds.
    template <typename Condition>
    bool until(Condition condition)
    {
        return until(condition, [&] { turn(step_timeout); });
    }

    /// Turns until `count` has come to `times`; otherwise `what` was not reported.
    bool reported(std::string_view what, const int& count, int times = 1);

    /// Turns until what has been ready up to now is reported: until a connection is reported that
    /// becomes ready after it.
    void settle();

    // The subject's life.

    Rc init();
    void done();

    /// Reads a configuration with other directives in the events block, as the server does.
    bool reload(std::string_view events_conf);

private:
    static void handler(Event& ev) noexcept;
    [[nodiscard]] std::string conf(std::string_view events_conf) const;
    void report(Event& ev) noexcept;
    Link& open_slot(int own);

    const Subject& subject_;
    const Promise& promise_;
    Verdict& verdict_;
    std::vector<std::string> state_before_;
    test::TestCycle cycle_;

    std::list<Link> links_;
    std::unordered_map<const Connection*, Link*> by_slot_;

    int strays_ = 0;  // reports to connections that were closed
    int depth_ = 0;
    bool nested_ = false;
    bool alerts_are_expected_ = false;
};

}  // namespace ngx::contract
