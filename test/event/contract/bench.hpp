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

/// The data of a connection, received until recv returns no more.
struct Received {
    std::string text{};
    ssize_t end = 0;  // the last result: 0, io_again or io_error
};

/// A connection of the cycle, whose handlers count their calls, and its peer.
struct Link {
    Connection* connection = nullptr;  // null after it was closed
    test::Fd peer{};
    int reads = 0;
    int writes = 0;
    std::function<void(Link&)> on_read{};  // called by the handlers, after they have counted
    std::function<void(Link&)> on_write{};

    [[nodiscard]] bool is_open() const noexcept { return connection != nullptr; }
    [[nodiscard]] int fd() const noexcept { return connection->fd; }
    [[nodiscard]] Event& read() const noexcept { return *connection->read; }
    [[nodiscard]] Event& write() const noexcept { return *connection->write; }

    /// Sends from the peer.
    void send(std::string_view text) const;

    /// Receives on the connection until there is no more data.
    [[nodiscard]] Received receive() const;

    /// Sends on the connection until there is no room.
    void fill() const;

    /// Reads from the peer everything that fill() has sent.
    void drain() const;
};

/// The duration and the result of process_events.
struct Wait {
    Rc rc;
    std::chrono::milliseconds took;  // rounded down
};

/// The environment of one promise: a cycle that uses the subject, its connections, and the steps of
/// the loop. Only one may exist at a time.
class Bench {
public:
    /// The timeout of a turn that waits for something.
    static constexpr Msec step_timeout = 100;

    Bench(const Subject& subject, const Promise& promise, Verdict& verdict);
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    ~Bench();

    /// Checks what each promise requires: no event of a closed connection was reported, no handler
    /// ran within another, and no alert was logged.
    void finish();

    /// Allows alerts, for a promise that causes them.
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
    [[nodiscard]] bool in_vain() const { return subject_.in_vain; }

    /// Returns what process_state() was before init.
    [[nodiscard]] const std::vector<std::string>& state_before() const { return state_before_; }

    [[nodiscard]] std::string log() const { return cycle_.log(); }
    [[nodiscard]] std::vector<std::string> alerts() const;

    // Connections. A link does not move, and lives as long as the bench.

    Link& open() { return open(socket_pair()); }
    Link& open(Ends ends);

    /// Opens a connection in the slot of a closed one and with its descriptor number.
    Link& open_in_place_of(const Connection& slot, int number);

    void close(Link& link);

    // The poller's actions, with the flags that its callers use.

    /// Returns the flag for adding events: clear_event if the poller reports edges, else
    /// level_event.
    [[nodiscard]] static unsigned natural_flags() noexcept;

    void watch(Event& ev) { watch(ev, natural_flags()); }
    void watch(Event& ev, unsigned flags);
    void unwatch(Event& ev) { unwatch(ev, natural_flags()); }
    void unwatch(Event& ev, unsigned flags);

    // The loop.

    /// Calls process_events only.
    Wait process(Msec timer = 0, unsigned flags = update_time);

    static void run_posted(Cycle& cycle);

    /// Calls process_events and runs both posted queues.
    Wait turn(Msec timer = 0, unsigned flags = update_time);

    /// Calls `step` until the condition holds. Returns false if that takes longer than patience().
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

    /// Takes turns until the condition holds.
    template <typename Condition>
    bool until(Condition condition)
    {
        return until(condition, [&] { turn(step_timeout); });
    }

    /// Takes turns until `count` has reached `times`. Otherwise `what` was not reported.
    bool reported(std::string_view what, const int& count, int times = 1);

    /// Takes turns until everything that is ready now has been reported: until a connection is
    /// reported that becomes ready later.
    void settle();

    // The life of the subject.

    Rc init();
    void done();

    /// Applies a configuration with other directives in the events block, as the server does.
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

    int strays_ = 0;  // reports of events of closed connections
    int depth_ = 0;
    bool nested_ = false;
    bool alerts_are_expected_ = false;
};

}  // namespace ngx::contract
