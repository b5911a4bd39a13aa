/// \file
/// Tries the contract on every event module of the build: a suite for each module, in it a suite
/// for each chapter, in it a case for each promise. A case is skipped, with the reason, if the
/// module does not declare what the promise needs.
///
///     contract_test --run_test=epoll --report_level=detailed

#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>

#include <map>
#include <string>

#include "core/module.hpp"
#include "event/event.hpp"
#include "test/event/contract/promise.hpp"

namespace ngx::contract {

namespace {

namespace ut = boost::unit_test;

/// As declared(), which starts the event module, but does so only once for each module.
unsigned known_capabilities(const Subject& subject)
{
    static std::map<std::string, unsigned> known;
    const auto found = known.find(subject.use);
    return found != known.end() ? found->second
                                : known.emplace(subject.use, declared(subject)).first->second;
}

boost::test_tools::assertion_result is_declared(const Promise& promise, const Subject& subject)
{
    const unsigned missing = promise.needs & ~known_capabilities(subject);
    boost::test_tools::assertion_result result(missing == 0);
    result.message() << "not declared: " << capability_names(missing);
    return result;
}

void try_promise(const Promise& promise, const Subject& subject)
{
    const Verdict verdict = run(promise, subject);
    for (const std::string& note : verdict.notes()) {
        BOOST_TEST_MESSAGE(note);
    }
    for (const std::string& finding : verdict.findings()) {
        BOOST_TEST_ERROR(finding);
    }
    BOOST_TEST((verdict.outcome() == Outcome::kept), promise.explanation);
}

ut::test_suite* make_suite(std::string_view name)
{
    return new ut::test_suite(std::string(name), __FILE__, __LINE__);
}

void add_chapters(ut::test_suite& suite, const Subject& subject)
{
    for (const Chapter& chapter : chapters()) {
        ut::test_suite* const chapter_suite = make_suite(chapter.name);
        for (const Promise& promise : chapter.promises) {
            auto* const test_case =
                ut::make_test_case([&promise, subject] { try_promise(promise, subject); },
                                   std::string(promise.name), __FILE__, __LINE__);
            test_case->add_precondition(
                [&promise, subject](ut::test_unit_id) { return is_declared(promise, subject); });
            chapter_suite->add(test_case);
        }
        suite.add(chapter_suite);
    }
}

bool add_all()
{
    for (Module* const* module = modules; *module; module++) {
        if ((*module)->type != ModuleType::event) {
            continue;
        }
        const auto& ctx = *static_cast<const EventModule*>((*module)->ctx);
        if (!ctx.actions.init) {
            continue;  // event_core is not a poller
        }
        ut::test_suite* const suite = make_suite(ctx.name);
        add_chapters(*suite, Subject{.use = std::string(ctx.name)});
        ut::framework::master_test_suite().add(suite);
    }
    ut::framework::master_test_suite().p_name.value = "event_contract";
    return true;
}

}  // namespace

}  // namespace ngx::contract

int main(int argc, char** argv)
{
    return boost::unit_test::unit_test_main(&ngx::contract::add_all, argc, argv);
}
