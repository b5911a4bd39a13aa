#pragma once

#include <string>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "event/event.hpp"

/// \file
/// What the lessons share: a loop in the program's own process, connections with somebody at their
/// other end, and the two ways to run a lesson. What the system refuses ends the program.
namespace ngx::lesson {

/// Prints a line, as printf().
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);

/// The lesson needs what this machine has not: ends the program with status 77.
[[noreturn]] void skip(const char* why);

/// For a result below 0: ends the program with errno and the name of the call. Gives it back.
int checked(int result, const char* call);

/// How far a loop's start goes: to the worker, or only to what is done before workers are forked.
enum class Start { worker, conf };

/// The loop of a configuration, in a directory of its own, which DIR in the text stands for. One at
/// a time. A configuration that is refused ends the program.
class Loop {
public:
    explicit Loop(const std::string& conf, Start start = Start::worker);
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop();

    Cycle* operator->() const noexcept { return cycle_; }
    Cycle& operator*() const noexcept { return *cycle_; }

    /// The path of a name in the directory.
    [[nodiscard]] std::string path(const std::string& name) const { return dir_ + "/" + name; }

    /// Reads another configuration, as a reload does. False, and the old one goes on, if it is
    /// refused.
    bool reload(const std::string& conf);

    /// One turn, which waits no longer than this many ms.
    void turn(Msec longest = 1000);

    /// Nothing but the wait and what it dispatches.
    void wait_and_dispatch() { (void)event_actions.process_events(*cycle_, 0, update_time); }

    /// The lines that were logged since the last call, without time and process, each after two
    /// spaces.
    std::string log();

private:
    [[nodiscard]] std::string complete(std::string conf) const;

    std::string dir_;
    std::size_t seen_ = 0;  // bytes of the log
    Cycle* cycle_ = nullptr;
};

/// A connection of the loop, and the descriptor of its other end. close_connection() closes the
/// first, the second is the lesson's.
struct Pair {
    Connection* c = nullptr;
    int peer = -1;
};

/// Takes a slot for one end of a new pair of sockets. Its events are not watched yet.
Pair open_pair(EventHandler read);

/// Gives an accepted connection, or one that is not of a pair, its handlers.
void set_handlers(Connection& c, EventHandler read);

/// A client that is connected to the listener of this path: unix sockets take no time for it.
int connect_to(const std::string& path);

/// Closes a connection that a listener has accepted, and destroys its pool.
void close_accepted(Connection& c) noexcept;

/// The other end sends a text.
void send_text(int peer, const std::string& text);

/// The connection that an event is of.
inline Connection& connection_of(const Event& ev) noexcept
{
    return *static_cast<Connection*>(ev.data);
}

/// Where the connection's slot is in the array.
inline long slot_of(const Connection& c) noexcept
{
    return &c - ngx_cycle->connections.get();
}

inline const char* yes_no(bool value) noexcept
{
    return value ? "yes" : "no";
}

/// Compares a reader's answers with what the library does, and says how each exercise stands.
class Checker {
public:
    /// In this situation the loop comes to `right`, and the reader's function to `answer`.
    void same(int exercise, const std::string& situation, long long right, long long answer);
    void same(int exercise, const std::string& situation, const std::string& right,
              const std::string& answer);

    /// Prints a line for each exercise, or for one. Whether all of these are solved.
    [[nodiscard]] bool report(int only) const;

private:
    static constexpr int max_exercises = 3;
    bool asked_[max_exercises + 1] = {};
    std::string wrong_[max_exercises + 1]{};  // the first wrong answer
};

/// The whole of a lesson's main(): without arguments it shows what the chapter tells, with
/// `--check` it checks all exercises, with `--check N` one. Returns the exit status.
int run(int argc, char** argv, void (*show)(), void (*check)(Checker& checker));

}  // namespace ngx::lesson
