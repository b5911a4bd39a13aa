#include "core/log.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <list>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/string.hpp"
#include "core/times.hpp"
#include "test/core/fixture.hpp"
#include "test/support/cycle.hpp"

namespace ngx::test {

namespace {

/// A fixed clock, and the process number 42.
struct Still {
    Still()
    {
        cached_time.publish(now);
        cached_err_log_time.publish(err_log_time);
        log_pid = 42;
        use_stderr = false;
    }
    Still(const Still&) = delete;
    Still& operator=(const Still&) = delete;

    ~Still()
    {
        log_pid = ::getpid();
        time_force_update();
        time_update();
    }

    Time now{.sec = 1000, .msec = 0, .gmtoff = 0};
    std::string_view err_log_time = "2026/01/02 03:04:05";
};

constexpr std::string_view line_start = "2026/01/02 03:04:05 [error] 42#42: ";

std::string repeat(std::size_t n)
{
    return std::string(n, 'x');
}

char* append_context(Log& log, char* buf, std::size_t len)
{
    return slprintf(buf, buf + len, ", {}", static_cast<const char*>(log.data));
}

/// A chain of logs with the given levels.
struct Chain : Still {
    explicit Chain(const std::vector<unsigned>& levels)
    {
        for (const unsigned level : levels) {
            Log* const last = texts.empty() ? nullptr : &texts.back().log;
            Log& added = texts.emplace_back(level).log;
            if (last) {
                last->next = &added;
            }
        }
    }

    /// Returns the logs that get a line of this level: "02".
    std::string reached(unsigned level)
    {
        log_error_core(level, &texts.front().log, 0, "x", {});
        std::string result;
        int i = 0;
        for (TestLog& log : texts) {
            result += log.text.empty() ? "" : std::to_string(i);
            log.text.clear();
            i++;
        }
        return result;
    }

    std::list<TestLog> texts{};
};

/// A log that writes to a file.
struct FileLog : Still {
    FileLog() { open((dir / "log").string()); }
    ~FileLog() { ::close(file.fd); }

    void open(const std::string& name)
    {
        if (file.fd != invalid_file) {
            ::close(file.fd);
        }
        file.fd = ::open(name.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        BOOST_TEST_REQUIRE(file.fd != invalid_file);
    }

    [[nodiscard]] std::string text() const { return read_file(dir / "log"); }

    TempDir dir{};
    OpenFile file{};
    Log log{.log_level = log_info, .file = &file};
};

/// Returns the text that a function writes to descriptor 2, in a child process.
std::string stderr_of(const std::function<void()>& function)
{
    const TempDir dir;
    const std::string name = dir / "stderr";
    const std::string ended = answer_of_child([&]() -> std::string {
        const int fd = ::open(name.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
        ::dup2(fd, STDERR_FILENO);
        function();
        return "";
    });
    BOOST_TEST(ended == "");
    return read_file(name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(log)

BOOST_FIXTURE_TEST_CASE(a_line_has_time_level_process_connection_message_and_errno, FileLog)
{
    log_error(log_err, &log, 0, "plain {} and {:02x}", 1, 10);
    log.connection = 7;
    log_error(log_emerg, &log, ENOENT, "open() \"{}\" failed", "a");
    log.connection = 0;
    log_error(log_info, &log, 0, "");
    BOOST_TEST(text() == std::string(line_start) +
                             "plain 1 and 0a\n"
                             "2026/01/02 03:04:05 [emerg] 42#42: *7 open() \"a\" failed "
                             "(2: No such file or directory)\n"
                             "2026/01/02 03:04:05 [info] 42#42: \n");
}

BOOST_FIXTURE_TEST_CASE(each_level_has_its_word, Still)
{
    TestLog all(log_debug_all);
    for (unsigned level = log_emerg; level <= log_debug_level; level++) {
        log_error_core(level, &all.log, 0, "x", {});
    }
    std::string words;
    for (std::size_t at = 0; (at = all.text.find('[', at)) != all.text.npos; at++) {
        words += all.text.substr(at, all.text.find(']', at) + 1 - at);
    }
    BOOST_TEST(words == "[emerg][alert][crit][error][warn][notice][info][debug]");
}

BOOST_FIXTURE_TEST_CASE(a_level_above_the_logs_is_not_logged, FileLog)
{
    for (unsigned level = log_emerg; level <= log_info; level++) {
        log.log_level = level - 1;
        log_error(level, &log, 0, "not {}", level);
        log.log_level = level;
        log_error(level, &log, 0, "this {}", level);
    }
    BOOST_TEST(messages(text()) == "[emerg] this 1\n[alert] this 2\n[crit] this 3\n[error] this 4\n"
                                   "[warn] this 5\n[notice] this 6\n[info] this 7\n");
}

BOOST_FIXTURE_TEST_CASE(debug_lines_need_their_mask_and_a_debug_build, FileLog)
{
    log.log_level = log_debug_event | log_debug_stream;
    log_debug(log_debug_event, &log, 0, "event");
    log_debug(log_debug_core, &log, 0, "core");
    log_debug(log_debug_stream, &log, ENOENT, "stream");
    const std::string lines = "2026/01/02 03:04:05 [debug] 42#42: event\n"
                              "2026/01/02 03:04:05 [debug] 42#42: stream "
                              "(2: No such file or directory)\n";
    BOOST_TEST(text() == (have_debug ? lines : ""));
}

BOOST_FIXTURE_TEST_CASE(the_handler_of_a_log_adds_its_text_except_to_debug_lines, FileLog)
{
    log.log_level = log_debug_all;
    log.handler = append_context;
    log.data = const_cast<char*>("client: 1.2.3.4");
    log_error(log_err, &log, EPIPE, "send() failed");
    log_error_core(log_debug_level, &log, 0, "detail", {});
    BOOST_TEST(text() == std::string(line_start) +
                             "send() failed (32: Broken pipe), client: 1.2.3.4\n"
                             "2026/01/02 03:04:05 [debug] 42#42: detail\n");
}

BOOST_AUTO_TEST_CASE(a_line_goes_to_each_log_until_the_first_below_its_level)
{
    Chain falling({log_info, log_warn, log_crit});
    BOOST_TEST(falling.reached(log_info) == "0");
    BOOST_TEST(falling.reached(log_notice) == "0");
    BOOST_TEST(falling.reached(log_warn) == "01");
    BOOST_TEST(falling.reached(log_crit) == "012");
    BOOST_TEST(falling.reached(log_emerg) == "012");
    BOOST_TEST(falling.reached(log_debug_level) == "");

    Chain rising({log_warn, log_crit, log_info});
    BOOST_TEST(rising.reached(log_warn) == "0");
    BOOST_TEST(rising.reached(log_crit) == "012");
}

BOOST_AUTO_TEST_CASE(debug_connection_sends_all_lines_to_the_whole_chain)
{
    Chain chain({log_debug_connection | log_debug_all, log_crit, log_emerg});
    BOOST_TEST(chain.reached(log_info) == "012");
    BOOST_TEST(chain.reached(log_debug_level) == "012");

    Chain not_at_head({log_err, log_debug_connection | log_debug_all});
    BOOST_TEST(not_at_head.reached(log_err) == "01");
    BOOST_TEST(not_at_head.reached(log_info) == "");
}

BOOST_FIXTURE_TEST_CASE(a_line_is_cut_to_2048_bytes_with_its_line_feed, FileLog)
{
    log.handler = append_context;
    log.data = const_cast<char*>("context");
    log_error(log_err, &log, 0, "{}", repeat(5000));
    BOOST_TEST(text() == std::string(line_start) + repeat(2047 - line_start.size()) + "\n");
}

BOOST_FIXTURE_TEST_CASE(a_line_that_just_fits_is_whole_and_a_handler_gets_what_is_left, FileLog)
{
    const std::string fits = repeat(2047 - line_start.size() - std::strlen(", cont"));
    log.handler = append_context;
    log.data = const_cast<char*>("context");
    log_error(log_err, &log, 0, "{}", fits);
    BOOST_TEST(text() == std::string(line_start) + fits + ", cont\n");
}

BOOST_FIXTURE_TEST_CASE(a_long_message_is_cut_to_leave_room_for_its_errno, FileLog)
{
    log_error(log_err, &log, ENOENT, "{}", repeat(5000));
    const std::string line = text();
    BOOST_TEST(line.ends_with("xxx... (2: No such file or directory)\n"));
    BOOST_TEST(line.size() == 2047U - 50 + std::strlen("... (2: No such file or directory)\n"));
}

BOOST_AUTO_TEST_CASE(an_errno_has_its_number_and_text_and_is_cut_with_the_room)
{
    const auto text = [](std::size_t used, std::size_t size, Err err) {
        std::string buf(size, '#');
        std::fill_n(buf.begin(), used, 'x');
        char* const last = buf.data() + size;
        const char* const end = log_errno(buf.data() + used, last, err);
        BOOST_TEST_REQUIRE((end >= buf.data() && end <= last));
        return buf.substr(0, static_cast<std::size_t>(end - buf.data()));
    };
    BOOST_TEST(text(0, 100, ENOENT) == " (2: No such file or directory)");
    BOOST_TEST(text(3, 53, EPERM) == "xxx (1: Operation not permitted)");
    BOOST_TEST(text(4, 53, EPERM) == "xxx... (1: Operation not permitted)");
    BOOST_TEST(text(60, 60, EPERM) == repeat(10) + "... (1: Operation not permitted)");
    BOOST_TEST(text(0, 100, 9999) == " (9999: Unknown error)");
    BOOST_TEST(text(50, 50, EILSEQ) == "... (84: Invalid or incomplete multibyte or wide c");
}

BOOST_FIXTURE_TEST_CASE(errno_is_preserved, FileLog)
{
    errno = EDOM;
    log_error(log_err, &log, ENOENT, "x");
    BOOST_TEST(errno == EDOM);
    ::close(file.fd);
    file.fd = invalid_file;
    log_error(log_err, &log, ENOENT, "x");
    BOOST_TEST(errno == EDOM);
}

BOOST_FIXTURE_TEST_CASE(after_a_full_disk_no_line_is_written_in_the_same_second, FileLog)
{
    const std::string name = dir / "log";
    open("/dev/full");
    log_error(log_err, &log, 0, "lost");
    BOOST_TEST(log.disk_full_time == now.sec);

    open(name);
    log_error(log_err, &log, 0, "not written");
    BOOST_TEST(text() == "");
    now.sec++;
    log_error(log_err, &log, 0, "written");
    BOOST_TEST(text() == std::string(line_start) + "written\n");
}

BOOST_FIXTURE_TEST_CASE(a_thread_may_log_while_the_loop_updates_the_time, FileLog)
{
    // Fewer updates than slots, so that the slot that the thread reads is not written again.
    constexpr int updates = 60;

    for (const std::string& name : {std::string(dir / "log"), std::string("/dev/full")}) {
        open(name);
        std::atomic<int> lines{0};
        const std::jthread thread([&](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                log_error(log_err, &log, 0, "line");
                lines++;
                lines.notify_one();
            }
        });
        for (int i = 0; i < updates; i++) {
            const int before = lines;
            time_force_update();
            time_update();
            lines.wait(before);
        }
    }

    std::istringstream written(text());
    for (std::string line; std::getline(written, line);) {
        BOOST_TEST_REQUIRE(line.size() == line_start.size() + 4, line);
        BOOST_TEST_REQUIRE(line.ends_with(" [error] 42#42: line"), line);
    }
}

BOOST_FIXTURE_TEST_CASE(another_failure_to_write_does_not_stop_the_next_line, FileLog)
{
    const std::string name = dir / "log";
    file.fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    log_error(log_err, &log, 0, "lost");
    BOOST_TEST(log.disk_full_time == 0);
    open(name);
    log_error(log_err, &log, 0, "written");
    BOOST_TEST(messages(text()) == "[error] written\n");
}

BOOST_FIXTURE_TEST_CASE(at_first_warnings_and_errors_are_copied_to_stderr, FileLog)
{
    const std::string copy = stderr_of([&] {
        use_stderr = true;
        log.connection = 3;
        log_error(log_warn, &log, 0, "warning");
        log_error(log_emerg, &log, ENOENT, "error");
        log_error(log_notice, &log, 0, "notice");
        use_stderr = false;
        log_error(log_emerg, &log, 0, "later");
    });
    BOOST_TEST(copy == "ngxx: [warn] warning\n"
                       "ngxx: [emerg] error (2: No such file or directory)\n");
    BOOST_TEST(messages(text(), "notice") == "[notice] *3 notice\n");
}

BOOST_AUTO_TEST_CASE(a_line_that_stderr_got_as_a_log_is_not_copied_there)
{
    const std::string copy = stderr_of([] {
        const Still still;
        use_stderr = true;
        OpenFile file{.fd = STDERR_FILENO};
        Log log{.log_level = log_info, .file = &file};
        log_error(log_emerg, &log, 0, "once");
    });
    BOOST_TEST(copy == "2026/01/02 03:04:05 [emerg] 42#42: once\n");
}

BOOST_AUTO_TEST_CASE(a_message_for_stderr_has_the_servers_name_and_an_errno)
{
    const std::string text = stderr_of([] {
        log_stderr(0, "plain {}", 1);
        log_stderr(ENOENT, "open() failed");
        log_stderr(0, "{}", repeat(5000));
    });
    BOOST_TEST(text == "ngxx: plain 1\n"
                       "ngxx: open() failed (2: No such file or directory)\n"
                       "ngxx: " +
                           repeat(2047 - std::strlen("ngxx: ")) + "\n");
}

BOOST_AUTO_TEST_CASE(the_first_log_is_a_file_behind_the_prefix_or_stderr)
{
    const TempDir dir;
    const auto first_line = [&](const char* prefix, const char* name) {
        Log* const log = log_init(prefix, name);
        BOOST_TEST(log->log_level == log_notice);
        log_error(log_notice, log, 0, "line of {}", name);
        ::close(log->file->fd);
    };
    first_line((dir.path().string() + "/").c_str(), "a.log");
    first_line(dir.path().c_str(), "b.log");
    first_line("/none", (dir / "c.log").c_str());
    BOOST_TEST(messages(read_file(dir / "a.log")) == "[notice] line of a.log\n");
    BOOST_TEST(messages(read_file(dir / "b.log")) == "[notice] line of b.log\n");
    BOOST_TEST(messages(read_file(dir / "c.log")).starts_with("[notice] line of /"));

    BOOST_TEST(log_init(nullptr, "")->file->fd == STDERR_FILENO);
}

BOOST_AUTO_TEST_CASE(a_first_log_that_cannot_be_opened_is_replaced_by_stderr)
{
    const std::string text = stderr_of([] {
        const Log* const log = log_init("/none", "a.log");
        ::_exit(log->file->fd == STDERR_FILENO ? 0 : 1);
    });
    BOOST_TEST(text == "ngxx: [alert] could not open error log file: open() \"/none/a.log\" "
                       "failed (set another by -e FILE) (2: No such file or directory)\n");
}

BOOST_AUTO_TEST_CASE(the_first_log_that_is_a_file_is_found)
{
    OpenFile file;
    Log last{};
    Log middle{.file = &file, .next = &last};
    Log head{.next = &middle};
    BOOST_TEST(log_get_file_log(&head) == &middle);
    BOOST_TEST(log_get_file_log(&last) == nullptr);
    BOOST_TEST(log_get_file_log(nullptr) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
