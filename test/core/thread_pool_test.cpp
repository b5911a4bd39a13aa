#include "core/thread_pool.hpp"

#include <barrier>
#include <cerrno>
#include <csignal>
#include <functional>
#include <latch>
#include <list>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "event/event.hpp"
#include "test/core/fixture.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

/// A task that calls a function, and records whether it has returned to the loop.
class Work {
public:
    explicit Work(std::function<void()> function = [] {}) : function_(std::move(function))
    {
        task.ctx = this;
        task.handler = [](void* ctx, Log*) noexcept { static_cast<Work*>(ctx)->function_(); };
        task.event.data = this;
        task.event.handler = [](Event& ev) noexcept {
            Work& work = *static_cast<Work*>(ev.data);
            work.back++;
            work.back_on = std::this_thread::get_id();
            if (work.then) {
                work.then();
            }
        };
    }

    ThreadTask task{};
    std::function<void()> then{};  // on the loop's thread
    int back = 0;
    std::thread::id back_on{};

private:
    std::function<void()> function_;
};

std::string conf_of(std::string_view pools)
{
    return "master_process off; pid pid; events {} " + std::string(pools);
}

struct Pools : TestCycle {
    explicit Pools(std::string_view pools) : TestCycle(conf_of(pools))
    {
        BOOST_TEST_REQUIRE(ok(), log());
    }

    [[nodiscard]] ThreadPool& pool(std::string_view name) const
    {
        return *thread_pool_get(**this, name);
    }

    void turn_until_back(const Work& work)
    {
        while (work.back == 0) {
            turn();
        }
    }
};

std::string conf_refusal(std::string_view conf)
{
    const TestCycle cycle(conf, Start::conf);
    return cycle.ok() ? "it was accepted" : messages(cycle.log(), "emerg");
}

std::size_t threads_of_this_process()
{
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(thread_pool, *boost::unit_test::precondition(poller_is_built("epoll")))

BOOST_AUTO_TEST_CASE(a_task_runs_on_its_own_thread_and_comes_back_to_the_loop)
{
    Pools cycle("thread_pool a threads=1;");
    std::thread::id ran_on{};
    Work work([&] { ran_on = std::this_thread::get_id(); });
    BOOST_TEST((thread_task_post(cycle.pool("a"), work.task) == Rc::ok));
    cycle.turn_until_back(work);
    BOOST_TEST((ran_on != std::this_thread::get_id()));
    BOOST_TEST((work.back_on == std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(an_event_is_active_until_its_task_has_come_back)
{
    Pools cycle("thread_pool a threads=1;");
    Work work;
    BOOST_TEST((thread_task_post(cycle.pool("a"), work.task) == Rc::ok));
    BOOST_TEST(unsigned{work.task.event.active} == 1);
    BOOST_TEST(unsigned{work.task.event.complete} == 0);
    cycle.turn_until_back(work);
    BOOST_TEST(unsigned{work.task.event.active} == 0);
    BOOST_TEST(unsigned{work.task.event.complete} == 1);
}

BOOST_AUTO_TEST_CASE(a_task_that_is_active_is_refused)
{
    Pools cycle("thread_pool a threads=1;");
    std::latch go(1);
    Work work([&] { go.wait(); });
    BOOST_TEST((thread_task_post(cycle.pool("a"), work.task) == Rc::ok));
    BOOST_TEST((thread_task_post(cycle.pool("a"), work.task) == Rc::error));
    go.count_down();
    cycle.turn_until_back(work);
    BOOST_TEST(work.back == 1);
    BOOST_TEST(contains(cycle.log(), "[alert]"));
    BOOST_TEST(contains(cycle.log(), fmt::format("task #{} already active\n", work.task.id)));
}

BOOST_AUTO_TEST_CASE(one_thread_runs_the_tasks_in_their_order)
{
    Pools cycle("thread_pool a threads=1;");
    std::string order;
    std::list<Work> works;
    for (char c = 'a'; c <= 'z'; c++) {
        BOOST_TEST_REQUIRE(
            (thread_task_post(cycle.pool("a"),
                              works.emplace_back([&order, c] { order += c; }).task) == Rc::ok));
    }
    cycle.turn_until_back(works.back());
    BOOST_TEST(order == "abcdefghijklmnopqrstuvwxyz");
}

BOOST_AUTO_TEST_CASE(as_many_tasks_run_at_once_as_there_are_threads)
{
    Pools cycle("thread_pool a threads=4;");
    std::barrier all_four(4);
    std::list<Work> works;
    for (int i = 0; i < 4; i++) {
        Work& work = works.emplace_back([&] { all_four.arrive_and_wait(); });
        BOOST_TEST_REQUIRE((thread_task_post(cycle.pool("a"), work.task) == Rc::ok));
    }
    for (const Work& work : works) {
        cycle.turn_until_back(work);
    }
}

BOOST_AUTO_TEST_CASE(a_full_queue_refuses_a_task)
{
    Pools cycle("thread_pool a threads=1 max_queue=1;");
    std::latch started(1);
    std::latch go(1);
    Work first([&] {
        started.count_down();
        go.wait();
    });
    Work second;
    Work third;
    ThreadPool& tp = cycle.pool("a");
    BOOST_TEST((thread_task_post(tp, first.task) == Rc::ok));
    started.wait();
    BOOST_TEST((thread_task_post(tp, second.task) == Rc::ok));
    BOOST_TEST((thread_task_post(tp, third.task) == Rc::error));
    BOOST_TEST(unsigned{third.task.event.active} == 0);
    go.count_down();
    cycle.turn_until_back(second);
    BOOST_TEST(messages(cycle.log(), "error") ==
               "[error] thread pool \"a\" queue overflow: 1 tasks waiting\n");
    BOOST_TEST((thread_task_post(tp, third.task) == Rc::ok));
    cycle.turn_until_back(third);
}

BOOST_AUTO_TEST_CASE(a_task_may_be_posted_again_by_its_own_event)
{
    Pools cycle("thread_pool a threads=2;");
    ThreadPool& tp = cycle.pool("a");
    int runs = 0;
    Work work([&] { runs++; });
    work.then = [&] {
        if (work.back < 100) {
            (void)thread_task_post(tp, work.task);
        }
    };
    BOOST_TEST((thread_task_post(tp, work.task) == Rc::ok));
    while (work.back < 100) {
        cycle.turn();
    }
    BOOST_TEST(runs == 100);
}

BOOST_AUTO_TEST_CASE(no_task_of_many_in_many_threads_is_lost)
{
    Pools cycle("thread_pool a threads=4; thread_pool b threads=4;");
    std::list<Work> works;
    for (int i = 0; i < 5000; i++) {
        ThreadPool& tp = cycle.pool(i % 2 == 0 ? "a" : "b");
        BOOST_TEST_REQUIRE((thread_task_post(tp, works.emplace_back().task) == Rc::ok));
    }
    for (const Work& work : works) {
        cycle.turn_until_back(work);
        BOOST_TEST_REQUIRE(work.back == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_thread_receives_only_synchronous_signals)
{
    Pools cycle("thread_pool a threads=1;");
    sigset_t blocked;
    Work work([&] { ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked); });
    BOOST_TEST((thread_task_post(cycle.pool("a"), work.task) == Rc::ok));
    cycle.turn_until_back(work);
    for (const int signo : {SIGTERM, SIGQUIT, SIGHUP, SIGALRM, SIGCHLD, SIGUSR1, SIGIO, SIGWINCH}) {
        BOOST_TEST(sigismember(&blocked, signo) == 1, signo);
    }
    for (const int signo : {SIGILL, SIGFPE, SIGSEGV, SIGBUS}) {
        BOOST_TEST(sigismember(&blocked, signo) == 0, signo);
    }
    sigset_t own;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &own);
    BOOST_TEST(sigismember(&own, SIGTERM) == 0);
}

BOOST_AUTO_TEST_CASE(a_pool_that_ends_runs_waiting_tasks_first)
{
    const std::size_t threads = threads_of_this_process();
    int runs = 0;
    std::list<Work> works;
    {
        Pools cycle("thread_pool a threads=1;");
        BOOST_TEST(threads_of_this_process() == threads + 1);
        for (int i = 0; i < 100; i++) {
            Work& work = works.emplace_back([&] { runs++; });
            BOOST_TEST_REQUIRE((thread_task_post(cycle.pool("a"), work.task) == Rc::ok));
        }
    }
    BOOST_TEST(runs == 100);
    BOOST_TEST(threads_of_this_process() == threads);
    Pools next("thread_pool a threads=1;");
    Work work;
    BOOST_TEST((thread_task_post(next.pool("a"), work.task) == Rc::ok));
    next.turn_until_back(work);
    BOOST_TEST(works.back().back == 0);  // the loop did not fetch it
}

BOOST_AUTO_TEST_CASE(a_reload_leaves_a_pool_to_the_tasks_of_the_old_cycle)
{
    Pools cycle("thread_pool a threads=1;");
    ThreadPool& old = cycle.pool("a");
    std::latch go(1);
    Work waits([&] { go.wait(); });
    Work later;
    BOOST_TEST((thread_task_post(old, waits.task) == Rc::ok));
    BOOST_TEST_REQUIRE(cycle.reload(conf_of("thread_pool a threads=2;")), cycle.log());
    BOOST_TEST(&cycle.pool("a") != &old);
    Work next;
    BOOST_TEST((thread_task_post(cycle.pool("a"), next.task) == Rc::ok));
    BOOST_TEST((thread_task_post(old, later.task) == Rc::ok));
    cycle.turn_until_back(next);
    BOOST_TEST(waits.back == 0);
    go.count_down();
    cycle.turn_until_back(later);
    BOOST_TEST(waits.back == 1);
}

BOOST_AUTO_TEST_CASE(a_pool_whose_threads_cannot_be_started_is_an_alert)
{
    const TestCycle cycle(conf_of("thread_pool a threads=3;"), Start::conf);
    event_actions.notify = [](EventHandler) noexcept { return Rc::ok; };
    const FakeCall failing(Call::pthread_create, {.err = EAGAIN});
    BOOST_TEST((thread_pool_module.init_process(*cycle) == Rc::error));
    BOOST_TEST(messages(cycle.log(), "alert") ==
               "[alert] pthread_create() failed (11: Resource temporarily unavailable)\n");
    event_actions = {};
}

BOOST_AUTO_TEST_CASE(a_poller_without_notify_has_no_pools)
{
    const TestCycle cycle(conf_of("thread_pool a threads=3;"), Start::conf);
    BOOST_TEST((thread_pool_module.init_process(*cycle) == Rc::error));
    BOOST_TEST(messages(cycle.log(), "alert") ==
               "[alert] the configured event method cannot be used with thread pools\n");
}

BOOST_AUTO_TEST_CASE(a_pool_is_found_by_its_name)
{
    const TestCycle cycle(conf_of("thread_pool a threads=3; thread_pool default threads=1;"),
                          Start::conf);
    BOOST_TEST(thread_pool_get(*cycle, "a") != nullptr);
    BOOST_TEST(thread_pool_get(*cycle, thread_pool_default) != nullptr);
    BOOST_TEST(thread_pool_get(*cycle, "b") == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(thread_pool_directive)

BOOST_AUTO_TEST_CASE(a_pool_has_a_number_of_threads_and_may_have_one_of_tasks)
{
    for (const auto& [parameters, message] :
         std::vector<std::pair<std::string_view, std::string_view>>{
             {"max_queue=3", "\"thread_pool\" must have \"threads\" parameter in "},
             {"threads=0", "invalid threads value \"threads=0\" in "},
             {"threads=x", "invalid threads value \"threads=x\" in "},
             {"threads=", "invalid threads value \"threads=\" in "},
             {"threads=-1", "invalid threads value \"threads=-1\" in "},
             {"threads=1 max_queue=x", "invalid max_queue value \"max_queue=x\" in "},
             {"threads=1 queue=3", "invalid parameter \"queue=3\" in "},
             {"", "invalid number of arguments in \"thread_pool\" directive in "}}) {
        const std::string conf = fmt::format("events {{}} thread_pool a {};", parameters);
        BOOST_TEST(contains(conf_refusal(conf), message), conf << conf_refusal(conf));
    }
}

BOOST_AUTO_TEST_CASE(a_pool_is_defined_once)
{
    const std::string conf = "events {} thread_pool a threads=1; thread_pool a threads=1;";
    BOOST_TEST(contains(conf_refusal(conf), "duplicate thread pool \"a\" in "));
}

BOOST_AUTO_TEST_CASE(an_event_method_that_threads_cannot_wake_is_refused)
{
    for (const std::string& method : built_pollers_without_notify()) {
        const std::string conf = "thread_pool a threads=1; events { use " + method + "; }";
        BOOST_TEST(
            contains(conf_refusal(conf), "[emerg] the event method \"" + method +
                                             "\" cannot be used with thread pools, as \"a\" in "),
            conf_refusal(conf));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
