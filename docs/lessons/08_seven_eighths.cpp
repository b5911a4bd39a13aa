/// \file
/// Lesson 8: a worker that is seven eighths full leaves the accept mutex to others.

#include <unistd.h>
#include <vector>

#include "docs/lessons/exercises.hpp"
#include "docs/lessons/lesson.hpp"
#include "event/event_accept.hpp"
#include "event/event_turn.hpp"
#include "os/unix/process.hpp"

namespace ngx::lesson {

namespace {

std::string conf_of(int connections)
{
    return "worker_processes 2; events { use epoll; accept_mutex on; accept_mutex_delay 1ms; "
           "worker_connections " +
           std::to_string(connections) + "; } stream { server { listen unix:DIR/s; return x; } }";
}

bool waits_with_mutex;

/// A worker with a turn hook that records which worker has the mutex before the wait.
class Worker {
public:
    explicit Worker(int connections) : loop_(conf_of(connections))
    {
        accept_mutex_ptr->store(0);
        accept_disabled = 0;
        loop_->listening[0].handler = [](Connection&) noexcept {};
        hook_.before = [](TurnHook&, Msec timer) noexcept {
            waits_with_mutex = accept_mutex_ptr->load() == static_cast<unsigned>(pid);
            return timer;
        };
        add_turn_hook(hook_);
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    ~Worker()
    {
        del_turn_hook(hook_);
        for (const int client : clients_) {
            ::close(client);
        }
        for (Connection& c : std::span{loop_->connections.get(), loop_->connection_n}) {
            if (c.fd != -1 && !c.read->accept) {
                close_accepted(c);
            }
        }
    }

    void turn() { loop_.turn(0); }

    void serve_client()
    {
        clients_.push_back(connect_to(loop_.path("s")));
        turn();
    }

    [[nodiscard]] long free() const { return static_cast<long>(loop_->free_connection_n); }
    [[nodiscard]] bool watches() const { return loop_->listening[0].connection->read->active; }

private:
    Loop loop_;
    TurnHook hook_{};
    std::vector<int> clients_{};
};

void show_turn(const Worker& worker)
{
    say("  a turn: accept_disabled is %ld, has the mutex: %s, watches the listener: %s",
        static_cast<long>(accept_disabled), yes_no(waits_with_mutex), yes_no(worker.watches()));
}

void show()
{
    Worker worker(32);
    say("32 connections, of which the listener uses one. 32 / 8 is 4. After client");
    for (int i = 1; i <= 31; i++) {
        const long before = worker.free();
        worker.serve_client();
        if (i >= 27) {
            say("  %d: %ld were free, so accept_disabled is 4 - %ld = %ld; had the mutex: %s", i,
                before, before, static_cast<long>(accept_disabled), yes_no(waits_with_mutex));
        }
    }

    say("No more clients connect, and the worker makes its turns:");
    for (int i = 0; i < 4; i++) {
        worker.turn();
        show_turn(worker);
    }

    say("The same again, but now another worker has acquired the mutex:");
    accept_disabled = 1;
    accept_mutex_ptr->store(1);
    for (int i = 0; i < 2; i++) {
        worker.turn();
        show_turn(worker);
    }
    accept_mutex_ptr->store(0);
}

void check(Checker& checker)
{
    for (const int connections : {16, 20, 31}) {
        Worker worker(connections);
        for (int i = 1; i < connections; i++) {
            const long free = worker.free();
            worker.serve_client();
            checker.same(
                1, std::to_string(connections) + " connections, " + std::to_string(free) + " free",
                accept_disabled, exercise::accept_disabled_at(connections, free));
        }
    }

    Worker worker(16);
    for (const long disabled : {-5L, 0L, 1L, 3L}) {
        accept_disabled = disabled;
        int turns = 0;
        for (worker.turn(); !waits_with_mutex; worker.turn()) {
            turns++;
        }
        checker.same(2, "accept_disabled is " + std::to_string(disabled), turns,
                     exercise::turns_without_the_mutex(disabled));
    }
}

}  // namespace

}  // namespace ngx::lesson

int main(int argc, char** argv)
{
    return ngx::lesson::run(argc, argv, ngx::lesson::show, ngx::lesson::check);
}
