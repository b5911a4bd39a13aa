#include "core/nginx.hpp"

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/inet.hpp"
#include "os/unix/process.hpp"
#include "test/core/fixture.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"

namespace ngx::test {

namespace {

/// Returns the messages about the sockets of the variable, from a process that tests a
/// configuration.
std::string inheriting(const std::string& variable)
{
    const TempDir dir;
    write_file(dir / "nginx.conf", "error_log log info; pid pid; events {}");
    (void)answer_of_child([&] {
        ::setenv("NGINX", variable.c_str(), 1);
        std::vector<std::string> words = {"ngxx", "-t",         "-q", "-p", dir.path(),
                                          "-c",   "nginx.conf", "-e", "log"};
        std::vector<char*> pointers;
        for (std::string& word : words) {
            pointers.push_back(word.data());
        }
        pointers.push_back(nullptr);
        return std::to_string(ngx::main(static_cast<int>(words.size()), pointers.data()));
    });
    return messages(read_file(dir / "log"));
}

/// A server that is about to start a new binary: a script that records its environment and
/// arguments.
struct Upgrade {
    explicit Upgrade(const std::string& directives)
        : cycle("pid p; env TZ=UTC; " + directives + "\nevents {}", Start::conf)
    {
        BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
        const std::string out = path("out");
        write_file(path("ngxx"), "#!/bin/sh\nenv > " + out + "\necho \"words: $*\" >> " + out);
        ::chmod(path("ngxx").c_str(), 0755);
        write_file(path("p"), "1\n");
        argv = {path("ngxx"), "-c", "a file"};
    }

    [[nodiscard]] std::string path(std::string_view name) const
    {
        return (cycle.dir() / name).string();
    }

    /// Returns which of the pid files exists.
    [[nodiscard]] std::string pid_files() const
    {
        return std::string(::access(path("p").c_str(), F_OK) == 0 ? "p " : "") +
               (::access(path("p.oldbin").c_str(), F_OK) == 0 ? "p.oldbin " : "");
    }

    TestListen directive{};
    TestCycle cycle;
};

/// Returns the environment and the arguments of the new binary, one per line.
std::string given(const std::string& directives)
{
    return answer_of_child([&] {
        const Upgrade upgrade(directives);
        const pid_t child = exec_new_binary(*upgrade.cycle);
        ::waitpid(child, nullptr, 0);
        std::string said = upgrade.pid_files() + "\n" + read_file(upgrade.path("out"));
        for (const Listening& ls : upgrade.cycle->listening) {
            said += "socket " + std::to_string(ls.fd) + "\n";
        }
        return said;
    });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(nginx)

BOOST_AUTO_TEST_SUITE(sockets_of_an_older_binary)

/// Returns a socket that a child inherits.
Fd bound_socket()
{
    Addr addr;
    BOOST_TEST((parse_addr_port(addr, "127.0.0.1") == Rc::ok));
    Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
    BOOST_TEST(::bind(fd.get(), &addr.sockaddr.any, addr.socklen) == 0);
    return fd;
}

BOOST_AUTO_TEST_CASE(their_numbers_end_in_a_semicolon_or_a_colon)
{
    const Fd a = bound_socket();
    const Fd b = bound_socket();
    const std::string text = fmt::format("{};{}:", a.get(), b.get());
    BOOST_TEST(inheriting(text) == "[notice] using inherited sockets from \"" + text + "\"\n");
    BOOST_TEST(inheriting("") == "[notice] using inherited sockets from \"\"\n");
}

BOOST_AUTO_TEST_CASE(the_variable_is_ignored_from_the_first_malformed_number_on)
{
    const Fd a = bound_socket();
    for (const std::string rest : {"x;1;", ";", "-1;", "4294967296;", "1x;"}) {
        const std::string text = fmt::format("{};{}", a.get(), rest);
        BOOST_TEST(inheriting(text) ==
                   "[notice] using inherited sockets from \"" + text +
                       "\"\n[emerg] invalid socket number \"" + rest +
                       "\" in NGINX environment variable, ignoring the rest of the variable\n");
    }
}

BOOST_AUTO_TEST_CASE(a_number_that_nothing_ends_is_ignored)
{
    BOOST_TEST(inheriting("17") ==
               "[notice] using inherited sockets from \"17\"\n"
               "[emerg] invalid socket number \"17\" in NGINX environment variable, ignoring\n");
}

BOOST_AUTO_TEST_CASE(a_number_without_a_socket_is_skipped)
{
    BOOST_TEST(contains(inheriting("9999;"), "[crit] getsockname() of the inherited socket #9999 "
                                             "failed (9: Bad file descriptor)\n"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(a_new_binary)

BOOST_AUTO_TEST_CASE(it_gets_our_words_our_sockets_and_what_env_names)
{
    const std::string said = given("env A=1; test_listen 127.0.0.1:" + std::to_string(free_port()) +
                                   "; test_listen 127.0.0.1:" + std::to_string(free_port()) + ";");
    const auto socket_after = [&](std::size_t at) {
        const std::size_t number = said.find("\nsocket ", at) + 8;
        return said.substr(number, said.find('\n', number) - number);
    };
    const std::string first = socket_after(0);
    const std::string second = socket_after(said.find("\nsocket ") + 1);
    BOOST_TEST(contains(said, "\nNGINX=" + first + ";" + second + ";\n"), said);
    BOOST_TEST(contains(said, "\nA=1\n"));
    BOOST_TEST(contains(said, "\nTZ=UTC\n"));
    BOOST_TEST(contains(said, "\nSPARE=" + std::string(300, 'X') + "\n"));
    BOOST_TEST(contains(said, "\nwords: -c a file\n"));
    BOOST_TEST(!contains(said, "\nHOME="));
}

BOOST_AUTO_TEST_CASE(an_unusable_socket_is_not_passed_on)
{
    const std::string said = answer_of_child([] {
        const Upgrade upgrade("");
        Listening& ignored = upgrade.cycle->listening.emplace_back();
        ignored.fd = 77;
        ignored.ignore = 1;
        upgrade.cycle->listening.emplace_back();
        ::waitpid(exec_new_binary(*upgrade.cycle), nullptr, 0);
        upgrade.cycle->listening.clear();
        return read_file(upgrade.path("out"));
    });
    BOOST_TEST(contains(said, "NGINX=\n"), said);
}

BOOST_AUTO_TEST_CASE(the_old_pid_file_is_renamed_for_the_new_binary)
{
    BOOST_TEST(given("").starts_with("p.oldbin \n"));
}

BOOST_AUTO_TEST_CASE(a_binary_that_cannot_be_forked_gives_the_pid_file_back)
{
    const std::string said = answer_of_child([] {
        const Upgrade upgrade("");
        const FakeCall fails(Call::fork, {.err = EAGAIN});
        const pid_t child = exec_new_binary(*upgrade.cycle);
        return fmt::format("{} {}\n{}", child, upgrade.pid_files(),
                           messages(upgrade.cycle.log(), "alert"));
    });
    BOOST_TEST(said == "-1 p \n[alert] fork() failed while spawning \"new binary process\" "
                       "(11: Resource temporarily unavailable)\n");
}

BOOST_AUTO_TEST_CASE(without_our_pid_file_no_binary_is_started)
{
    const std::string said = answer_of_child([] {
        const Upgrade upgrade("");
        ::unlink(upgrade.path("p").c_str());
        const FakeCall forks(Call::fork, {}, 0);
        const pid_t child = exec_new_binary(*upgrade.cycle);
        const std::string wanted =
            fmt::format("[alert] rename() {0} to {0}.oldbin failed before executing new binary "
                        "process \"{1}\" (2: No such file or directory)\n",
                        upgrade.path("p"), argv[0]);
        const std::string alerts = messages(upgrade.cycle.log(), "alert");
        return fmt::format("{} {} {}", child, forks.calls(), alerts == wanted ? "" : alerts);
    });
    BOOST_TEST(said == "-1 0 ");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
