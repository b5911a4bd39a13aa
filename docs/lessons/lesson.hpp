#pragma once

#include <string>
#include <utility>

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "event/event.hpp"

/// \file
/// The common part of the lessons: a loop in the program's own process, connections with a peer,
/// and the two ways to run a lesson. A failed system call ends the program.
namespace ngx::lesson {

/// Prints a line, with the arguments of printf().
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);

/// Ends the program with status 77, because this machine lacks something that the lesson needs.
[[noreturn]] void skip(const char* why);

/// Returns the result. If it is negative, ends the program with errno and the name of the call.
int checked(int result, const char* call);

/// The extent of a loop's start: the complete worker, or only the part before workers are forked.
enum class Start { worker, conf };

/// The loop of a configuration, in its own directory; DIR in the text is replaced by its path. A
/// program has at most one at a time. An invalid configuration ends the program.
class Loop {
public:
    explicit Loop(const std::string& conf, Start start = Start::worker);
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop();

    Cycle* operator->() const noexcept { return cycle_; }
    Cycle& operator*() const noexcept { return *cycle_; }

    /// Returns the path of a file in the directory.
    [[nodiscard]] std::string path(const std::string& name) const { return dir_ + "/" + name; }

    /// Reads another configuration, as a reload does. Returns false if it is refused; the old one
    /// then stays in use.
    bool reload(const std::string& conf);

    /// Makes one turn, which waits at most this number of ms.
    void turn(Msec longest = 1000);

    /// Makes only the wait and dispatches its events.
    void wait_and_dispatch() { (void)event_actions.process_events(*cycle_, 0, update_time); }

    /// Returns the lines that were logged since the last call, without time and process, each after
    /// two spaces.
    std::string log();

private:
    [[nodiscard]] std::string complete(const std::string& conf) const;

    std::string dir_;
    std::size_t seen_ = 0;  // number of the log's bytes already returned
    Cycle* cycle_ = nullptr;
};

/// A connection of the loop, and the descriptor of its peer. close_connection() closes the first;
/// the lesson closes the second.
struct Pair {
    Connection* c = nullptr;
    int peer = -1;
};

/// Creates a pair of sockets and a connection for one of them. Its events are not watched yet.
Pair open_pair(EventHandler read);

/// Sets the handlers of an accepted connection, or of another one that open_pair() did not create.
void set_handlers(Connection& c, EventHandler read);

/// Returns a client that is connected to the listener of this path. Unix sockets connect at once.
int connect_to(const std::string& path);

/// Closes a connection that a listener has accepted, and destroys its pool.
void close_accepted(Connection& c) noexcept;

/// Sends a text from the peer.
void send_text(int peer, const std::string& text);

/// The two ends of a pair of sockets without a connection of the loop. The destructor closes them.
class Ends {
public:
    Ends();
    Ends(const Ends&) = delete;
    Ends& operator=(const Ends&) = delete;
    ~Ends();

    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] int peer() const { return peer_; }

    void close_ours();
    void close_peer();

    /// Leaves our end to the caller.
    int release() { return std::exchange(fd_, -1); }

    void peer_sends(const std::string& text) const { send_text(peer_, text); }

private:
    int fd_ = -1;
    int peer_ = -1;
};

/// Receives from a socket. Returns the result of recv(), or "EAGAIN".
std::string what_recv_gives(int fd);

/// Returns the index of the connection in the array.
inline long slot_of(const Connection& c) noexcept
{
    return &c - ngx_cycle->connections.get();
}

inline const char* yes_no(bool value) noexcept
{
    return value ? "yes" : "no";
}

/// Compares a reader's answers with the library's behaviour, and reports the result of each
/// exercise.
class Checker {
public:
    /// Compares the loop's result `right` with the reader's `answer` for a situation.
    void same(int exercise, const std::string& situation, long long right, long long answer);
    void same(int exercise, const std::string& situation, const std::string& right,
              const std::string& answer);

    /// Prints a line for each exercise, or for one. Returns whether all of these are solved.
    [[nodiscard]] bool report(int only) const;

private:
    static constexpr int max_exercises = 5;
    bool asked_[max_exercises + 1] = {};
    std::string wrong_[max_exercises + 1]{};  // the first wrong answer
};

/// The main() of a lesson: without arguments it shows the chapter's output, with `--check` it
/// checks all exercises, with `--check N` one. Returns the exit status.
int run(int argc, char** argv, void (*show)(), void (*check)(Checker& checker));

}  // namespace ngx::lesson
