/// \file
/// That the contract finds what it is there to find: each of the event modules that are broken on
/// purpose breaks its promise, in this process and for the program that tries modules.
///
///     detection_test [options of Boost.Test] -- FILE_OF_MODULES PROGRAM

#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <dlfcn.h>
#include <filesystem>
#include <set>
#include <span>
#include <stdexcept>
#include <string>

#include "test/event/contract/bench.hpp"
#include "test/event/contract/faulty_poller.hpp"
#include "test/event/contract/promise.hpp"
#include "test/support/process.hpp"

namespace ngx::contract {

namespace {

namespace ut = boost::unit_test;

std::string modules_file;
std::string program;

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

void fault_is_found(const Fault& fault)
{
    const Promise& promise = promise_of(fault.breaks);
    const Verdict right = run(promise, Subject{.use = "epoll"});
    if (promise.needs != capability::oneshot) {
        BOOST_TEST((right.outcome() == Outcome::kept), text_of(right));
    }

    // A fault may be that something does not come, so it is not waited for as long.
    const Subject faulty{
        .use = std::string(fault.name),
        .load_modules = {modules_file},
        .patience = std::chrono::milliseconds(200),
    };
    const Verdict wrong = run(promise, faulty);
    BOOST_TEST((wrong.outcome() == Outcome::broken), fault.breaks);
    BOOST_TEST(!wrong.findings().empty());
    BOOST_TEST_MESSAGE(fault.breaks << text_of(wrong));
}

/// The program says so, too, and its exit status.
void program_finds(const Fault& fault)
{
    const std::string promise(fault.breaks);
    const test::RunResult result =
        test::run({program, "--load-module", modules_file, "--use", std::string(fault.name),
                   "--promise", promise, "--patience", "200"},
                  {}, std::chrono::seconds(60));
    BOOST_TEST(result.status.exited_with(1), result.err);
    BOOST_TEST(result.out.find("  broken        " + promise + "\n") != std::string::npos,
               result.out);
    BOOST_TEST(result.out.find("0 promises kept, 1 broken, 0 not declared") != std::string::npos,
               result.out);
}

void is_kept_where_one_shot_is_declared(const Promise& promise)
{
    const Verdict without = run(promise, Subject{.use = "epoll"});
    BOOST_TEST((without.outcome() == Outcome::not_declared));
    BOOST_TEST(without.notes().at(0) == "not declared: one-shot events (use_oneshot_event)");

    const Verdict with = run(promise, Subject{.use = "oneshot", .load_modules = {modules_file}});
    BOOST_TEST((with.outcome() == Outcome::kept), promise.name << text_of(with));
}

std::span<const Fault> load_faults()
{
    void* const handle = ::dlopen(modules_file.c_str(), RTLD_NOW);
    const void* const symbol = handle ? ::dlsym(handle, "faults") : nullptr;
    if (!symbol) {
        throw std::runtime_error(::dlerror());
    }
    return *static_cast<const std::span<const Fault>*>(symbol);
}

void read_command_line()
{
    const auto& suite = ut::framework::master_test_suite();
    if (suite.argc != 3) {
        throw std::runtime_error("usage: detection_test [options] -- FILE_OF_MODULES PROGRAM");
    }
    modules_file = std::filesystem::absolute(suite.argv[1]);
    program = std::filesystem::absolute(suite.argv[2]);
}

bool add_faults()
{
    read_command_line();
    auto* const here = new ut::test_suite("fault", __FILE__, __LINE__);
    auto* const outside = new ut::test_suite("program", __FILE__, __LINE__);
    for (const Fault& fault : load_faults()) {
        const std::string name(fault.name);
        here->add(
            ut::make_test_case([&fault] { fault_is_found(fault); }, name, __FILE__, __LINE__));
        outside->add(
            ut::make_test_case([&fault] { program_finds(fault); }, name, __FILE__, __LINE__));
    }
    ut::framework::master_test_suite().add(here);
    ut::framework::master_test_suite().add(outside);
    ut::framework::master_test_suite().p_name.value = "event_contract_detection";
    return true;
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

BOOST_AUTO_TEST_CASE(each_promise_has_a_name_of_its_own_and_a_sentence)
{
    std::set<std::string_view> names;
    for (const Chapter& chapter : chapters()) {
        BOOST_TEST(!chapter.promises.empty(), chapter.name);
        for (const Promise& promise : chapter.promises) {
            BOOST_TEST(names.insert(promise.name).second, promise.name);
            BOOST_TEST(promise.explanation.ends_with('.'), promise.name);
            BOOST_TEST(promise.keep, promise.name);
        }
    }
}

BOOST_AUTO_TEST_CASE(what_is_thrown_breaks_a_promise)
{
    const Promise promise{
        .name = "throws",
        .keep = [](Bench&) { throw std::runtime_error("on purpose"); },
    };
    const Verdict verdict = run(promise, Subject{.use = "epoll"});
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
    const Verdict verdict = run(promise, Subject{.use = "epoll"});
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
