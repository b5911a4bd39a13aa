/// \file
/// nginx as the oracle: Debian's nginx and ngxx test each case with -t, and their messages are
/// compared.
///
///     oracle_test [options of Boost.Test] -- OURS DIRECTORY
///
/// OURS is the server to test; DIRECTORY has the written cases. If OURS is nginx itself, the suite
/// tests itself: all messages must agree, and the known differences do not apply. With
/// --log_level=all it prints the messages of both for each case.

#define BOOST_TEST_NO_MAIN
#include <boost/algorithm/string/join.hpp>
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "test/oracle/case.hpp"
#include "test/oracle/known_difference.hpp"
#include "test/oracle/outcome.hpp"
#include "test/support/process.hpp"

namespace ngx::test::oracle {

namespace {

constexpr const char* nginx_path = "/usr/sbin/nginx";
constexpr const char* stream_module_path = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// The limit under which both servers run; some messages contain it.
constexpr std::size_t open_files = 1024;

/// The exit status that meson interprets as "skipped".
constexpr int skipped = 77;

/// Returns the reason why the oracle cannot be used, or an empty text.
std::string oracle_is_missing()
{
    for (const char* path : {nginx_path, stream_module_path}) {
        if (!std::filesystem::exists(path)) {
            return std::string("there is no ") + path;
        }
    }
    return "";
}

/// Turns off the leak check of a server with the address sanitizer, which takes ten times as long
/// as the test of a configuration; other tests use it.
std::map<std::string, std::string> environment()
{
    const char* options = std::getenv("ASAN_OPTIONS");
    return {{"ASAN_OPTIONS", std::string(options != nullptr ? options : "") + ":detect_leaks=0"}};
}

class Server {
public:
    std::string path;
    /// The directives before those of each case.
    std::string directives;
    std::string version;  // the output of -V

    explicit Server(const std::string& binary) : path(std::filesystem::absolute(binary))
    {
        if (std::filesystem::equivalent(path, nginx_path)) {
            directives = std::string("load_module ") + stream_module_path + "; ";
        }
        version = run({path, "-V"}).err;
    }

    [[nodiscard]] bool is_built_with(std::string_view word) const
    {
        return version.find(word) != std::string::npos;
    }

    [[nodiscard]] Outcome ask(const Case& asked, std::uint16_t port) const
    {
        const TempDir dir;
        for (const auto& [name, text] : asked.files) {
            write_file(dir / name, expand(text, dir.path(), port));
        }
        const ProcessOptions options{
            .cwd = dir.path(), .env = environment(), .open_files = open_files};
        return read_outcome(run(command_line(asked, dir, port), options), dir.path());
    }

private:
    [[nodiscard]] std::vector<std::string> command_line(const Case& asked, const TempDir& dir,
                                                        std::uint16_t port) const
    {
        std::vector<std::string> argv{path};
        if (!asked.arguments.empty()) {
            for (const std::string& argument : asked.arguments) {
                argv.push_back(expand(argument, dir.path(), port));
            }
            return argv;
        }
        argv.insert(argv.end(), {"-t", "-p", dir.path(), "-c", dir / "nginx.conf", "-e", "stderr"});
        argv.insert(argv.end(), asked.flags.begin(), asked.flags.end());

        std::string all_directives = directives;
        if (!asked.own_pid) {
            all_directives += "pid " + (dir / "pid").string() + "; ";
        }
        all_directives += expand(asked.directives, dir.path(), port);
        if (!all_directives.empty()) {
            argv.insert(argv.end(), {"-g", all_directives});
        }
        return argv;
    }
};

struct Counts {
    std::size_t cases = 0;
    std::size_t agreed = 0;
    std::size_t differed_as_known = 0;
    /// The number of cases accepted with the warning that the server has no debug logging.
    std::size_t without_debug = 0;

    [[nodiscard]] std::size_t failed() const
    {
        return cases - agreed - differed_as_known - without_debug;
    }
};

struct Session {
    Server nginx{nginx_path};
    Server ours;
    std::vector<Case> cases;
    Counts counts;

    Session(const std::string& our_path, const std::filesystem::path& directory)
        : ours(our_path)
        , cases(written_cases(directory))
    {
        std::ranges::move(generated_cases(), std::back_inserter(cases));
    }

    [[nodiscard]] bool is_self_test() const { return !ours.directives.empty(); }
};

void print(std::ostream& out, const std::string& who, const Outcome& outcome)
{
    out << "--- " << who << ' ' << outcome.status << '\n';
    for (const Message& message : outcome.messages) {
        out << "    " << message << '\n';
    }
    if (!outcome.out.empty()) {
        out << "    standard output:\n" << outcome.out;
    }
}

std::string report(const Case& asked, const Outcome& nginx, const Outcome& ours)
{
    std::ostringstream out;
    out << asked.name << '\n';
    if (!asked.place.empty()) {
        out << "at " << asked.place << '\n';
    }
    for (const auto& [name, text] : asked.files) {
        out << "--- " << name << '\n' << text.substr(0, 1000) << '\n';
    }
    if (!asked.directives.empty()) {
        out << "--- -g\n" << asked.directives << '\n';
    }
    if (!asked.arguments.empty()) {
        out << "--- arguments\n" << boost::algorithm::join(asked.arguments, "\n") << '\n';
    }
    print(out, "nginx", nginx);
    print(out, "ours", ours);
    return out.str();
}

/// Returns whether the server warns that debug_connection has no effect. A server without debug
/// logging must accept any such directive with this warning.
bool warns_of_missing_debug(const Outcome& outcome)
{
    return outcome.status.exited_with(0) && !outcome.messages.empty() &&
           outcome.messages[0].severity == "warn" &&
           outcome.messages[0].quoted() == std::vector<std::string>{"debug_connection"};
}

struct Answers {
    Outcome nginx;
    Outcome ours;

    /// Returns whether a server could not listen. No case wants that: another process has taken the
    /// port since it was found free.
    [[nodiscard]] bool port_was_taken() const
    {
        const auto in_use = [](const Message& message) {
            return message.text.find("(98: Address already in use)") != std::string::npos;
        };
        return std::ranges::any_of(nginx.messages, in_use) ||
               std::ranges::any_of(ours.messages, in_use);
    }
};

Answers ask_both(Session& session, const Case& asked)
{
    for (;;) {
        const std::uint16_t port = free_port();
        Outcome nginx = session.nginx.ask(asked, port);
        Answers answers{session.is_self_test() ? std::move(nginx) : reworded(std::move(nginx)),
                        session.ours.ask(asked, port)};
        if (!answers.port_was_taken()) {
            return answers;
        }
    }
}

void check(Session& session, const Case& asked)
{
    const auto [nginx, ours] = ask_both(session, asked);
    const bool self_test = session.is_self_test();
    const Agreement agreement = compare(nginx, ours);

    const KnownDifference* known =
        self_test ? nullptr : find_known_difference(asked.name, session.ours.version).difference;
    const Agreement wanted = known != nullptr ? known->agreement : Agreement::full;
    const bool excused = asked.needs_debug && !session.ours.is_built_with("--with-debug") &&
                         warns_of_missing_debug(ours);

    const bool passed = agreement == wanted || excused;
    ++session.counts.cases;
    if (agreement == wanted) {
        ++(known != nullptr ? session.counts.differed_as_known : session.counts.agreed);
    } else if (passed) {
        ++session.counts.without_debug;
    }
    BOOST_CHECK_MESSAGE(passed, "agreement is " << agreement << ", wanted " << wanted
                                                << (known != nullptr ? " because " : "")
                                                << (known != nullptr ? known->reason : "")
                                                << ", in " << report(asked, nginx, ours));
}

void every_case_has_a_name_of_its_own(const Session& session)
{
    std::set<std::string> names;
    for (const Case& asked : session.cases) {
        BOOST_TEST(names.insert(asked.name).second, asked.name);
    }
}

void every_known_difference_decides_about_a_case(const Session& session)
{
    std::set<const std::string*> used;
    for (const Case& asked : session.cases) {
        used.insert(find_known_difference(asked.name, session.ours.version).pattern);
    }
    for (const KnownDifference& known : known_differences()) {
        if (!session.ours.is_built_with(known.with)) {
            continue;
        }
        for (const std::string& pattern : known.patterns) {
            BOOST_TEST(used.contains(&pattern), pattern);
        }
    }
}

void add_tests(Session& session)
{
    namespace unit_test = boost::unit_test;
    auto& master = unit_test::framework::master_test_suite();
    const auto add = [&master](const std::string& name, auto body) {
        master.add(unit_test::make_test_case(body, name, __FILE__, __LINE__));
    };
    for (const Case& asked : session.cases) {
        add(asked.place + " " + asked.name, [&session, &asked] { check(session, asked); });
    }
    add("every case has a name of its own",
        [&session] { every_case_has_a_name_of_its_own(session); });
    add("every known difference decides about a case",
        [&session] { every_known_difference_decides_about_a_case(session); });
}

int test(int argc, char** argv)
{
    static Session* session = nullptr;
    Session here(argv[argc - 2], argv[argc - 1]);
    session = &here;

    const auto init = [] {
        add_tests(*session);
        return true;
    };
    const int status = boost::unit_test::unit_test_main(init, argc, argv);
    const Counts& counts = here.counts;
    std::cout << "nginx as oracle: " << counts.cases << " cases, " << counts.agreed << " agree, "
              << counts.differed_as_known << " differ as known, " << counts.without_debug
              << " lack debug logging, " << counts.failed() << " fail\n";
    return status;
}

}  // namespace

}  // namespace ngx::test::oracle

int main(int argc, char** argv)
{
    if (argc < 4 || argv[argc - 3] != std::string_view("--")) {
        std::cerr << "usage: oracle_test [options of Boost.Test] -- OURS DIRECTORY\n";
        return 2;
    }
    if (const std::string why = ngx::test::oracle::oracle_is_missing(); !why.empty()) {
        std::cout << "nginx as oracle: skipped, " << why << '\n';
        return ngx::test::oracle::skipped;
    }
    return ngx::test::oracle::test(argc, argv);
}
