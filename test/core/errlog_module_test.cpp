#include "core/errlog_module.hpp"

#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/cycle.hpp"
#include "test/core/fixture.hpp"
#include "test/support/cycle.hpp"

namespace ngx::test {

namespace {

/// Returns the chain of logs of a configuration: "a.log:4 stderr:4".
std::string chain_of(const Cycle& cycle)
{
    std::string text;
    for (const Log* log = &cycle.new_log; log; log = log->next) {
        std::string name = log->file ? log->file->name : "writer";
        name = name.empty() ? "stderr" : name.substr(name.rfind('/') + 1);
        text += fmt::format("{}{}:{:x}", text.empty() ? "" : " ", name, log->log_level);
    }
    return text;
}

std::string chain_of(std::string_view conf)
{
    TestCycle cycle(std::string(conf) + " events {}", Start::conf);
    BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    return chain_of(*cycle);
}

std::string refusal(std::string_view conf)
{
    Reader reader({&errlog_module});
    return reader.parse(conf) ? "not refused" : reader.said();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(the_error_log_directive)

BOOST_AUTO_TEST_CASE(the_level_is_error_unless_it_is_named)
{
    BOOST_TEST(chain_of("error_log a;") == "a:4");
    const std::vector<std::string> words = {"emerg", "alert",  "crit", "error",
                                            "warn",  "notice", "info"};
    for (std::size_t i = 0; i < words.size(); i++) {
        BOOST_TEST(chain_of("error_log a " + words[i] + ";") == "a:" + std::to_string(i + 1));
    }
    BOOST_TEST(chain_of("error_log a debug;") == "a:7ffffff0");
}

BOOST_AUTO_TEST_CASE(debug_masks_are_combined)
{
    BOOST_TEST(chain_of("error_log a debug_core;") == "a:10");
    BOOST_TEST(chain_of("error_log a debug_alloc debug_mutex;") == "a:60");
    BOOST_TEST(chain_of("error_log a debug_event debug_http debug_mail debug_stream;") == "a:780");
}

BOOST_AUTO_TEST_CASE(a_level_cannot_be_named_twice_nor_be_unknown)
{
    const std::string in = " in nginx.conf:1\n";
    BOOST_TEST(refusal("error_log a info info;") == "[emerg] duplicate log level \"info\"" + in);
    BOOST_TEST(refusal("error_log a info warn;") == "[emerg] duplicate log level \"warn\"" + in);
    BOOST_TEST(refusal("error_log a debug_core info;") ==
               "[emerg] duplicate log level \"info\"" + in);
    BOOST_TEST(refusal("error_log a info debug_core;") ==
               "[emerg] invalid log level \"debug_core\"" + in);
    BOOST_TEST(refusal("error_log a debug debug_core;") ==
               "[emerg] invalid log level \"debug_core\"" + in);
    for (const std::string word : {"none", "Info", "debug_none", "err", "\"\"", "4", "stderr"}) {
        const std::string bare = word == "\"\"" ? "" : word;
        BOOST_TEST(refusal("error_log a " + word + ";") ==
                   "[emerg] invalid log level \"" + bare + "\"" + in);
    }
    BOOST_TEST(refusal("error_log;") ==
               "[emerg] invalid number of arguments in \"error_log\" directive" + in);
}

BOOST_AUTO_TEST_CASE(logs_are_ordered_by_level)
{
    BOOST_TEST(chain_of("error_log a crit; error_log b info; error_log c warn;") == "b:7 c:5 a:3");
    BOOST_TEST(chain_of("error_log a info; error_log b info; error_log c info;") == "a:7 b:7 c:7");
    BOOST_TEST(chain_of("error_log a; error_log b debug; error_log c;") == "b:7ffffff0 a:4 c:4");
    BOOST_TEST(chain_of("error_log a; error_log a info;") == "a:7 a:4");
}

BOOST_AUTO_TEST_CASE(the_head_keeps_its_address_when_a_log_goes_before_it)
{
    Reader reader({&errlog_module});
    Log* const head = &reader.cycle->new_log;
    BOOST_TEST_REQUIRE(reader.parse("error_log a;"));
    BOOST_TEST(head->file->name.ends_with("/a"));
    BOOST_TEST_REQUIRE(reader.parse("error_log b info;"));
    BOOST_TEST(head->file->name.ends_with("/b"));
    BOOST_TEST(head->next->file->name.ends_with("/a"));
    BOOST_TEST(head->next->next == nullptr);
}

BOOST_AUTO_TEST_CASE(a_log_of_another_level_starts_its_own_chain)
{
    Reader reader({&errlog_module});
    Log* head = nullptr;
    reader.cf.args = {"error_log", "a", "warn"};
    BOOST_TEST(log_set_log(reader.cf, head) == conf_ok);
    BOOST_TEST_REQUIRE(head != nullptr);
    BOOST_TEST(head->log_level == log_warn);

    const Log* const first = head;
    reader.cf.args = {"error_log", "b", "info"};
    BOOST_TEST(log_set_log(reader.cf, head) == conf_ok);
    BOOST_TEST(head == first);
    BOOST_TEST(head->log_level == log_info);
    BOOST_TEST(head->next->log_level == log_warn);
    BOOST_TEST(reader.cycle->new_log.log_level == 0U);
}

BOOST_AUTO_TEST_CASE(without_error_log_the_default_file_is_added)
{
    BOOST_TEST(chain_of("include /dev/null; # error_log\n") == "error.log:4");
    BOOST_TEST(chain_of("error_log stderr crit;") == "stderr:3");
    BOOST_TEST(chain_of("error_log syslog:server=unix:/none crit;") == "error.log:4 writer:3");
    BOOST_TEST(chain_of("error_log syslog:server=unix:/none info;") == "writer:7 error.log:4");
}

BOOST_AUTO_TEST_CASE(a_log_in_memory_is_refused_by_name)
{
    BOOST_TEST(refusal("error_log memory:32m debug;") ==
               "[emerg] \"memory:\" logs are not supported in \"memory:32m\" in nginx.conf:1\n");
    BOOST_TEST(chain_of("error_log memory;") == "memory:4");
}

BOOST_AUTO_TEST_CASE(descriptor_2_is_not_redirected_if_no_log_has_a_file)
{
    Log memory{};
    Cycle cycle;
    cycle.log = &memory;
    BOOST_TEST((log_redirect_stderr(cycle) == Rc::ok));
}

BOOST_AUTO_TEST_CASE(descriptor_2_is_redirected_unless_stderr_is_a_log)
{
    const auto write_through = [](const std::string& conf) {
        TestCycle cycle(conf + " events {}", Start::conf);
        BOOST_TEST_REQUIRE(cycle.ok());
        const std::string ended = answer_of_child([&] {
            const bool done = log_redirect_stderr(*cycle) == Rc::ok;
            return std::string(done && ::write(STDERR_FILENO, "", 1) == 1 ? "done" : "failed");
        });
        BOOST_TEST(ended == "done");
        return cycle.log().find('\0') != std::string::npos;
    };
    BOOST_TEST(write_through("error_log error.log;"));
    BOOST_TEST(!write_through("error_log error.log; error_log stderr;"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
