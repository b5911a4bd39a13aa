// Titles overwrite a process's arguments, so each case runs in a child.

#include "os/unix/setproctitle.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "test/support/forked.hpp"
#include "test/support/log.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

namespace {

/// Arguments and variables adjacent in memory, as the kernel stores them, with other data behind.
class Words {
public:
    /// With a gap, the variables are not adjacent.
    explicit Words(const std::vector<std::string>& words, const std::vector<std::string>& variables,
                   bool gap = false)
    {
        for (const std::string& word : words) {
            argv_at_.push_back(add(word));
        }
        room_ = memory_.size();
        memory_ += gap ? "gap" : "";
        for (const std::string& variable : variables) {
            environ_at_.push_back(add(variable));
        }
        room_ = gap ? room_ : memory_.size();
        memory_ += "behind";

        argv_ = pointers(argv_at_);
        environ_ = pointers(environ_at_);
        environ = environ_.data();
    }
    Words(const Words&) = delete;
    Words& operator=(const Words&) = delete;

    char** argv() { return argv_.data(); }

    /// Returns the number of bytes for a title and its terminating zero.
    [[nodiscard]] std::size_t room() const { return room_; }

    [[nodiscard]] std::string title() const { return memory_.substr(0, memory_.find('\0')); }

    /// Returns whether the room behind the title is zero and the data behind it unchanged.
    [[nodiscard]] bool clean() const
    {
        return std::string_view(memory_).substr(0, room_).find_first_not_of('\0', title().size()) ==
                   std::string_view::npos &&
               memory_.ends_with("behind");
    }

    [[nodiscard]] bool contains(const char* p) const
    {
        return p >= memory_.data() && p < memory_.data() + memory_.size();
    }

private:
    std::size_t add(const std::string& word)
    {
        const std::size_t at = memory_.size();
        memory_ += word;
        memory_ += '\0';
        return at;
    }

    std::vector<char*> pointers(const std::vector<std::size_t>& offsets)
    {
        std::vector<char*> result;
        for (const std::size_t at : offsets) {
            result.push_back(memory_.data() + at);
        }
        result.push_back(nullptr);
        return result;
    }

    std::string memory_{};
    std::vector<std::size_t> argv_at_{};
    std::vector<std::size_t> environ_at_{};
    std::size_t room_ = 0;
    std::vector<char*> argv_{};
    std::vector<char*> environ_{};
};

/// Returns the address of this program's first argument.
char* first_word()
{
    constexpr int field = 48 - 2;  // arg_start, counted from the field behind the name
    const std::string stat = read_file("/proc/self/stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string skipped;
    for (int i = 1; i < field; i++) {
        fields >> skipped;
    }
    std::uintptr_t address = 0;
    fields >> address;
    return reinterpret_cast<char*>(address);
}

const std::vector<std::string> two_variables = {"FIRST=1", "SECOND=two words"};

}  // namespace

BOOST_AUTO_TEST_SUITE(setproctitle)

BOOST_AUTO_TEST_CASE(the_list_of_processes_shows_the_title)
{
    const Forked child = in_child([](int fd) {
        TestLog log;
        char* argv[] = {first_word(), nullptr, nullptr};
        init_setproctitle(argv);
        ngx::setproctitle("t", &log.log);
        const std::string shown = read_file("/proc/self/cmdline");
        say(fd, shown.substr(0, shown.find('\0')));
    });
    BOOST_TEST(child.text == "ngxx: t");
}

BOOST_AUTO_TEST_CASE(a_title_replaces_the_arguments_and_the_environment)
{
    const Forked child = in_child([](int fd) {
        TestLog log;
        Words words({"ngxx", "-c", "a"}, two_variables);
        init_setproctitle(words.argv());
        ngx::setproctitle("worker process", &log.log);
        say(fd, words.title() + (words.clean() ? ", clean; " : ", not clean; "));
        ngx::setproctitle("x", &log.log);
        say(fd, words.title() + (words.clean() ? ", clean" : ", not clean"));
    });
    BOOST_TEST(child.text == "ngxx: worker process, clean; ngxx: x, clean");
}

BOOST_AUTO_TEST_CASE(a_title_is_cut_to_the_available_room)
{
    const Forked child = in_child([](int fd) {
        TestLog log;
        Words words({"ngxx", "-c", "a"}, two_variables);
        init_setproctitle(words.argv());
        ngx::setproctitle(std::string(1000, 'x'), &log.log);
        say(fd, fmt::format("{} of {}, {}", words.title().size(), words.room(), words.clean()));
    });
    // ngxx -c a FIRST=1 SECOND=two words, each with its terminating zero
    BOOST_TEST(child.text == "34 of 35, true");
}

BOOST_AUTO_TEST_CASE(variables_at_other_addresses_are_not_overwritten)
{
    const Forked child = in_child([](int fd) {
        TestLog log;
        Words words({"ngxx", "-c", "a"}, two_variables, true);
        init_setproctitle(words.argv());
        ngx::setproctitle(std::string(1000, 'x'), &log.log);
        say(fd, fmt::format("{} of {}, {}", words.title(), words.room(), words.clean()));
    });
    BOOST_TEST(child.text == "ngxx: xxx of 10, true");
}

BOOST_AUTO_TEST_CASE(the_environment_survives)
{
    const Forked child = in_child([](int fd) {
        TestLog log;
        Words words({"ngxx"}, two_variables);
        init_setproctitle(words.argv());
        ngx::setproctitle(std::string(1000, 'x'), &log.log);
        for (char** var = environ; *var; var++) {
            say(fd, std::string(words.contains(*var) ? "left behind: " : "") + *var + ",");
        }
        say(fd, std::getenv("SECOND"));
    });
    BOOST_TEST(child.text == "FIRST=1,SECOND=two words,two words");
}

BOOST_AUTO_TEST_CASE(a_program_that_prepared_no_room_has_no_title)
{
    const Forked child = in_child([](int fd) {
        TestLog log(log_debug_all);
        const std::string before = read_file("/proc/self/cmdline");
        ngx::setproctitle("t", &log.log);
        say(fd, (read_file("/proc/self/cmdline") == before ? "as before" : "changed") + log.text);
    });
    BOOST_TEST(child.text == "as before");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
