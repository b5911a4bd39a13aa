/// \file
/// Tests of the contract itself: each event module with an intended fault breaks its promise, in
/// this process and in the program that tries modules. Also tests the program's exceptions and
/// formats.
///
///     detection_test [options of Boost.Test] -- PROGRAM FILE_OF_MODULES...

#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <csignal>
#include <dlfcn.h>
#include <filesystem>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "test/event/contract/allocations.hpp"
#include "test/event/contract/bench.hpp"
#include "test/event/contract/faulty_poller.hpp"
#include "test/event/contract/promise.hpp"
#include "test/support/process.hpp"

namespace ngx::contract {

namespace {

namespace ut = boost::unit_test;

std::string program;

/// A file of modules, each of which is a poller with a fault.
struct FaultyPollers {
    std::string file{};
    std::string base{};  // the poller's name
    std::span<const Fault> faults{};
};
std::vector<FaultyPollers> all_faulty;

const Promise& promise_of(std::string_view name)
{
    for (const Chapter& chapter : chapters()) {
        const auto found = std::ranges::find(chapter.promises, name, &Promise::name);
        if (found != chapter.promises.end()) {
            return *found;
        }
    }
    throw std::runtime_error("there is no promise " + std::string(name));
}

std::string text_of(const Verdict& verdict)
{
    std::string text;
    for (const std::string& finding : verdict.findings()) {
        text += "\n" + finding;
    }
    return text;
}

/// Restores the signal mask, because a fault may leave signals blocked.
class KeptMask {
public:
    KeptMask() { ::pthread_sigmask(SIG_BLOCK, nullptr, &before_); }
    KeptMask(const KeptMask&) = delete;
    KeptMask& operator=(const KeptMask&) = delete;
    ~KeptMask() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

/// Whether the fault can be tried on this poller, and the poller declares what the promise needs.
/// With a sanitizer, which replaces the heap functions, allocations are not counted.
bool applies(const Fault& fault, const FaultyPollers& pollers)
{
    if (fault.breaks == "no_action_allocates" && !Allocations::are_counted()) {
        return false;
    }
    const Promise& promise = promise_of(fault.breaks);
    const unsigned declares = declared({.use = pollers.base});
    const bool edges = (declares & capability::clear) != 0;
    const unsigned missing = promise.needs & ~declares & ~capability::oneshot;
    return missing == 0 && (fault.upon & (edges ? upon_edges : upon_levels)) != 0;
}

void fault_is_found(const Fault& fault, const FaultyPollers& pollers)
{
    const KeptMask kept;
    const Promise& promise = promise_of(fault.breaks);
    const Verdict right = run(promise, Subject{.use = pollers.base});
    if (promise.needs != capability::oneshot) {
        BOOST_TEST((right.outcome() == Outcome::kept), text_of(right));
    }

    // The fault may be that an event is not reported. The wait for it is shorter than usual.
    const Subject faulty{
        .use = std::string(fault.name),
        .load_modules = {pollers.file},
        .patience = std::chrono::milliseconds(200),
    };
    const Verdict wrong = run(promise, faulty);
    BOOST_TEST((wrong.outcome() == Outcome::broken), fault.breaks);
    BOOST_TEST(!wrong.findings().empty());
    BOOST_TEST_MESSAGE(fault.breaks << text_of(wrong));
}

/// Runs the program with the promise that the fault breaks, and more arguments.
test::RunResult run_program(const Fault& fault, const FaultyPollers& pollers,
                            const std::vector<std::string>& more = {})
{
    std::vector<std::string> command = {
        program,     "--load-module",           pollers.file, "--use", std::string(fault.name),
        "--promise", std::string(fault.breaks), "--patience", "200"};
    command.insert(command.end(), more.begin(), more.end());
    return test::run(command);
}

/// Checks that the program reports the broken promise, also with its exit status.
void program_finds(const Fault& fault, const FaultyPollers& pollers)
{
    // Only some random walks find a rare fault. The walk of this seed does.
    const test::RunResult result = run_program(fault, pollers, {"--seed", "7"});
    BOOST_TEST(result.status.exited_with(1), result.err);
    BOOST_TEST(result.out.find(fmt::format("  broken        {}\n", fault.breaks)) !=
                   std::string::npos,
               result.out);
    BOOST_TEST(result.out.find("0 promises kept, 1 broken, 0 not declared") != std::string::npos,
               result.out);
}

void is_kept_where_one_shot_is_declared(const Promise& promise)
{
    for (const FaultyPollers& pollers : all_faulty) {
        const Verdict without = run(promise, Subject{.use = pollers.base});
        BOOST_TEST((without.outcome() == Outcome::not_declared));
        BOOST_TEST(without.notes().at(0) == "not declared: one-shot events (use_oneshot_event)");

        const Verdict with =
            run(promise, Subject{.use = "oneshot", .load_modules = {pollers.file}});
        BOOST_TEST((with.outcome() == Outcome::kept),
                   pollers.base << ": " << promise.name << text_of(with));
    }
}

FaultyPollers load(const std::string& file)
{
    void* const handle = ::dlopen(file.c_str(), RTLD_NOW);
    const void* const faults = handle ? ::dlsym(handle, "faults") : nullptr;
    const void* const base = faults ? ::dlsym(handle, "faults_base") : nullptr;
    if (!base) {
        throw std::runtime_error(::dlerror());
    }
    return {file, std::string(*static_cast<const std::string_view*>(base)),
            *static_cast<const std::span<const Fault>*>(faults)};
}

void read_command_line()
{
    const auto& suite = ut::framework::master_test_suite();
    if (suite.argc < 3) {
        throw std::runtime_error("usage: detection_test [options] -- PROGRAM FILE_OF_MODULES...");
    }
    program = std::filesystem::absolute(suite.argv[1]);
    for (int i = 2; i < suite.argc; i++) {
        all_faulty.push_back(load(std::filesystem::absolute(suite.argv[i])));
    }
}

/// Adds a suite for each poller, and in it one suite for each way to try its faults.
void add_faults_of(const FaultyPollers& pollers)
{
    auto* const here = new ut::test_suite("fault", __FILE__, __LINE__);
    auto* const outside = new ut::test_suite("program", __FILE__, __LINE__);
    for (const Fault& fault : pollers.faults) {
        if (!applies(fault, pollers)) {
            continue;
        }
        const std::string name(fault.name);
        here->add(
            ut::make_test_case([&] { fault_is_found(fault, pollers); }, name, __FILE__, __LINE__));
        outside->add(
            ut::make_test_case([&] { program_finds(fault, pollers); }, name, __FILE__, __LINE__));
    }
    auto* const suite = new ut::test_suite(pollers.base, __FILE__, __LINE__);
    suite->add(here);
    suite->add(outside);
    ut::framework::master_test_suite().add(suite);
}

bool add_faults()
{
    read_command_line();
    std::ranges::for_each(all_faulty, add_faults_of);
    ut::framework::master_test_suite().p_name.value = "event_contract_detection";
    return true;
}

bool has(const test::RunResult& result, std::string_view text)
{
    return result.out.find(text) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(contract)

BOOST_AUTO_TEST_CASE(one_shot_promises_are_kept_where_one_shot_is_declared)
{
    for (const Chapter& chapter : chapters()) {
        for (const Promise& promise : chapter.promises) {
            if (promise.needs == capability::oneshot) {
                is_kept_where_one_shot_is_declared(promise);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_poller_without_edges_of_an_eventfd_keeps_all_promises_of_channels_and_edges)
{
    for (const FaultyPollers& pollers : all_faulty) {
        for (const std::string chapter : {"channel", "edge", "lifecycle", "server", "walk"}) {
            const test::RunResult result =
                test::run({program, "--load-module", pollers.file, "--use",
                           "eventfds_for_one_report", "--chapter", chapter, "--quiet"},
                          {}, std::chrono::seconds(120));
            BOOST_TEST(result.status.exited_with(0), pollers.base << result.out << result.err);
        }
    }
}

BOOST_AUTO_TEST_CASE(each_promise_has_its_own_name_and_a_sentence)
{
    std::set<std::string_view> names;
    for (const Chapter& chapter : chapters()) {
        BOOST_TEST(!chapter.promises.empty(), chapter.name);
        for (const Promise& promise : chapter.promises) {
            BOOST_TEST(names.insert(promise.name).second, promise.name);
            BOOST_TEST(promise.explanation.ends_with('.'), promise.name);
            BOOST_TEST((promise.keep != nullptr) != (promise.serve != nullptr), promise.name);
        }
    }
}

BOOST_AUTO_TEST_CASE(each_new_promise_is_broken_by_a_fault)
{
    std::set<std::string_view> broken;
    for (const FaultyPollers& pollers : all_faulty) {
        for (const Fault& fault : pollers.faults) {
            broken.insert(fault.breaks);
        }
    }
    for (const Chapter& chapter : chapters()) {
        if (chapter.name == "channel" || chapter.name == "process" || chapter.name == "walk" ||
            chapter.name == "server") {
            for (const Promise& promise : chapter.promises) {
                BOOST_TEST(broken.contains(promise.name), promise.name);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(an_excepted_promise_may_be_broken_and_must_not_be_kept)
{
    const FaultyPollers& pollers = all_faulty.front();
    const Fault& fault = pollers.faults.front();
    const std::string except = fmt::format("--except={}=it cannot know", fault.breaks);

    const test::RunResult broken = run_program(fault, pollers, {except});
    BOOST_TEST(broken.status.exited_with(0), broken.out << broken.err);
    BOOST_TEST(has(broken, "  excepted      "), broken.out);
    BOOST_TEST(has(broken, "because it cannot know\n"), broken.out);
    BOOST_TEST(has(broken, "0 promises kept, 0 broken, 0 not declared, 1 excepted"), broken.out);

    const test::RunResult kept =
        test::run({program, "--use", pollers.base, "--promise", std::string(fault.breaks), except});
    BOOST_TEST(kept.status.exited_with(1), kept.out << kept.err);
    BOOST_TEST(has(kept, "because it cannot know; seen: kept"), kept.out);
    BOOST_TEST(has(kept, "0 promises kept, 1 broken, 0 not declared"), kept.out);
}

BOOST_AUTO_TEST_CASE(an_exception_needs_a_promise_and_a_reason)
{
    for (const std::string text :
         {"no_such_promise=reason", "a_timeout_is_waited_for", "a_timeout_is_waited_for="}) {
        const test::RunResult result =
            test::run({program, "--use", all_faulty.front().base, "--except", text});
        BOOST_TEST(result.status.exited_with(2), text);
        BOOST_TEST(!result.err.empty());
    }
}

BOOST_AUTO_TEST_CASE(tap_has_a_line_for_each_promise)
{
    const FaultyPollers& pollers = all_faulty.front();
    const Fault& fault = pollers.faults.front();
    const test::RunResult kept = test::run({program, "--use", pollers.base, "--chapter", "oneshot",
                                            "--chapter", "posting", "--format", "tap"});
    BOOST_TEST(kept.out.starts_with("TAP version 13\n1..8\n"), kept.out);
    BOOST_TEST(has(kept, "\nok 1 - oneshot/a_one_shot_event_is_reported_once # SKIP "), kept.out);
    BOOST_TEST(has(kept, "\nok 8 - posting/"), kept.out);

    const test::RunResult broken = run_program(fault, pollers, {"--format=tap"});
    BOOST_TEST(has(broken, "\nnot ok 1 - "), broken.out);
    BOOST_TEST(has(broken, "\n# "), broken.out);
    const test::RunResult excepted = run_program(
        fault, pollers, {"--format=tap", fmt::format("--except={}=reason", fault.breaks)});
    BOOST_TEST(has(excepted, " # TODO reason\n"), excepted.out);
}

BOOST_AUTO_TEST_CASE(junit_has_a_case_for_each_promise)
{
    const FaultyPollers& pollers = all_faulty.front();
    const Fault& fault = pollers.faults.front();
    const test::RunResult broken = run_program(fault, pollers, {"--format=junit"});
    BOOST_TEST(has(broken, "tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\""), broken.out);
    BOOST_TEST(has(broken, fmt::format("name=\"{}\"", fault.breaks)), broken.out);
    BOOST_TEST(has(broken, "<failure message=\""), broken.out);
    const test::RunResult excepted = run_program(
        fault, pollers, {"--format=junit", fmt::format("--except={}=a < b", fault.breaks)});
    BOOST_TEST(has(excepted, "<skipped message=\"excepted: a &lt; b\">"), excepted.out);
    BOOST_TEST(run_program(fault, pollers, {"--format=xml"}).status.exited_with(2));
}

BOOST_AUTO_TEST_CASE(a_walk_is_the_same_for_the_same_seed)
{
    const FaultyPollers& pollers = all_faulty.front();
    const auto fault =
        std::ranges::find(pollers.faults, "each_seventeenth_del_is_lost", &Fault::name);
    BOOST_TEST_REQUIRE((fault != pollers.faults.end()));
    const auto story = [&](const std::string& seed) {
        const std::string out = run_program(*fault, pollers, {"--seed", seed}).out;
        const std::size_t begin = out.find("--seed " + seed + ", step ");
        BOOST_TEST_REQUIRE(begin != out.npos, out);
        return out.substr(begin, out.find('\n', begin) - begin);
    };
    const std::string first = story("7");
    BOOST_TEST(story("7") == first);
    BOOST_TEST(story("8").substr(8) != first.substr(8));
}

BOOST_AUTO_TEST_CASE(what_is_thrown_breaks_a_promise)
{
    const Promise promise{
        .name = "throws",
        .keep = [](Bench&) { throw std::runtime_error("on purpose"); },
    };
    const Verdict verdict = run(promise, Subject{.use = all_faulty.front().base});
    BOOST_TEST((verdict.outcome() == Outcome::broken));
    BOOST_TEST(verdict.findings().at(0) == "expected: nothing is thrown; seen: on purpose");
}

BOOST_AUTO_TEST_CASE(what_a_handler_throws_breaks_a_promise)
{
    const Promise promise{
        .name = "throws",
        .keep =
            [](Bench& b) {
                Link& link = b.open();
                link.on_write = [](Link&) { throw std::runtime_error("on purpose"); };
                b.watch(link.write());
                b.turn(1000);
            },
    };
    const Verdict verdict = run(promise, Subject{.use = all_faulty.front().base});
    BOOST_TEST((verdict.outcome() == Outcome::broken));
}

BOOST_AUTO_TEST_CASE(a_module_that_is_not_there_keeps_no_promise)
{
    const Promise promise{.name = "nothing", .keep = [](Bench&) {}};
    const Verdict verdict = run(promise, Subject{.use = "nothing"});
    BOOST_TEST((verdict.outcome() == Outcome::broken));
    BOOST_TEST(verdict.findings().at(0).find("invalid event type \"nothing\"") !=
               std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_finding_says_what_was_expected_and_what_was_seen)
{
    Verdict verdict;
    verdict.same("a number", 1U, 1);
    verdict.same("a flag", true, true);
    BOOST_TEST((verdict.outcome() == Outcome::kept));

    verdict.same("a number", 1, 2);
    verdict.same("a flag", true, false);
    verdict.same("a result", Rc::error, Rc::ok);
    verdict.same("a text", "one", std::string("two"));
    verdict.expect(false, "two is one");
    BOOST_TEST((verdict.outcome() == Outcome::broken));
    const std::vector<std::string> expected = {
        "a number: expected 2, seen 1",
        "a flag: expected no, seen yes",
        "a result: expected ok, seen error",
        "a text: expected \"two\", seen \"one\"",
        "expected: two is one",
    };
    BOOST_TEST(verdict.findings() == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::contract

int main(int argc, char** argv)
{
    return boost::unit_test::unit_test_main(&ngx::contract::add_faults, argc, argv);
}
