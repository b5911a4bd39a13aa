#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <sys/select.h>

#include <vector>

#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// A configuration that must be refused. METHOD is replaced by the event method, METHODS in a
/// message by the list of all methods, and a bar at the start of the text by an events block.
struct BadConf {
    std::string text;
    std::string message;
    /// The line in the message; 0 if the message has none.
    int line = 1;

    [[nodiscard]] std::string file() const
    {
        const std::string use = "use " + setup().method + ";";
        std::string result =
            text.starts_with('|') ? "events { " + use + " }" + text.substr(1) : text;
        if (const std::size_t at = result.find("use METHOD;"); at != result.npos) {
            result.replace(at, 11, use);
        }
        return result;
    }

    [[nodiscard]] std::string whole_message(const std::string& path) const
    {
        std::string result = message;
        if (const std::size_t at = result.find("METHODS"); at != result.npos) {
            result.replace(at, 7, fmt::format("{}", fmt::join(setup().methods, ", ")));
        }
        return line == 0 ? result : fmt::format("{} in {}:{}", result, path, line);
    }
};

const std::vector<BadConf> syntax = {
    {"events {\n", "unexpected end of file, expecting \"}\"", 2},
    {"\n\n}\n", "unexpected \"}\"", 3},
    {"events { ; }\n", "unexpected \";\""},
    {"\n{ }\n", "unexpected \"{\"", 2},
    {"daemon off\n", "unexpected end of file, expecting \";\" or \"}\"", 2},
    {"daemon \"off\n;\n", "unexpected end of file, expecting \";\" or \"}\"", 3},
    {"daemon \"off\"x;\n", "unexpected \"x\""},
    {"daemon off }\n", "unexpected \"}\""},
    {"events;\n", "directive \"events\" has no opening \"{\""},
    {"daemon off { }\n", "directive \"daemon\" is not terminated by \";\""},
    {"\nenv " + std::string(5000, 'x') + ";\n", "too long parameter \"xxxxxxxxxx...\" started", 2},
    {"env \"" + std::string(5000, 'x') + "\n",
     "too long parameter, probably missing terminating \"\"\" character"},
};

const std::vector<BadConf> directives = {
    {"bogus on;\n", "unknown directive \"bogus\""},
    {"http {\n}\n", "unknown directive \"http\" (nginx has it, ngxx has not)"},
    {"htpp {\n}\n", "unknown directive \"htpp\" (did you mean http? nginx has it, ngxx has not)"},
    {"worker_proceses 2;\n",
     "unknown directive \"worker_proceses\" (did you mean worker_processes?)"},
    {"|\nstream {\n  daemon off;\n}\n", "\"daemon\" directive is not allowed here", 3},
    {"use METHOD;\n", "\"use\" directive is not allowed here"},
    {"daemon;\n", "invalid number of arguments in \"daemon\" directive"},
    {"daemon off off;\n", "invalid number of arguments in \"daemon\" directive"},
    {"daemon off;\ndaemon off;\n", "\"daemon\" directive is duplicate", 2},
    {"daemon maybe;\n",
     "invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\""},
    {"worker_rlimit_nofile many;\n", "\"worker_rlimit_nofile\" directive invalid number"},
    {"worker_rlimit_core much;\n", "\"worker_rlimit_core\" directive invalid value"},
    {"timer_resolution soon;\n", "\"timer_resolution\" directive invalid value"},
    {"worker_processes some;\n", "\"worker_processes\" directive invalid value"},
    {"worker_priority high;\n", "\"worker_priority\" directive invalid number"},
    {"worker_cpu_affinity 012;\n", "invalid character \"2\" in \"worker_cpu_affinity\""},
    {"debug_points never;\n", "invalid value \"never\""},
    {"error_log x.log loud;\n", "invalid log level \"loud\""},
    {"error_log memory:1m;\n", "\"memory:\" logs are not supported in \"memory:1m\""},
    {"load_module /nowhere/x.so;\n",
     "dlopen() \"/nowhere/x.so\" failed (/nowhere/x.so: cannot open shared object file: No such"
     " file or directory)"},
};

const std::vector<BadConf> events = {
    {"daemon off;\n", "no \"events\" section in configuration", 0},
    {"|\nevents { }\n", "\"events\" directive is duplicate", 2},
    {"events { use kqueue; }\n", "invalid event type \"kqueue\" (there are METHODS)"},
    {"events { use eventport; }\n", "invalid event type \"eventport\" (there are METHODS)"},
    {"events { use /dev/poll; }\n", "invalid event type \"/dev/poll\" (there are METHODS)"},
    {"events { use devpoll; }\n", "invalid event type \"devpoll\" (there are METHODS)"},
    {"events { use aio; }\n", "invalid event type \"aio\" (there are METHODS)"},
    {"events { use epol; }\n", "invalid event type \"epol\" (there are METHODS)"},
    {"events { use METHOD;\n  use poll; }\n", "\"use\" directive is duplicate", 2},
    {"events { worker_connections many; }\n", "invalid number \"many\""},
    {"events {\n worker_connections 8;\n worker_connections 8;\n}\n",
     "\"worker_connections\" directive is duplicate", 3},
    {"events { multi_accept maybe; }\n", "invalid value \"maybe\" in \"multi_accept\" directive, it"
                                         " must be \"on\" or \"off\""},
    {"events { accept_mutex_delay long; }\n", "\"accept_mutex_delay\" directive invalid value"},
    {"events { use METHOD; worker_connections 2; }\n"
     "stream { server { listen 127.0.0.1:1; listen 127.0.0.1:2; echo; } }\n",
     "2 worker_connections are not enough for 2 listening sockets", 0},
};

const std::vector<BadConf> stream = {
    {"|\nstream { }\nstream { }\n", "\"stream\" directive is duplicate", 3},
    {"|\nstream {\n  server { echo; }\n}\n", "no \"listen\" is defined for server", 3},
    {"|\nstream { server { listen 127.0.0.1:99999; echo; } }\n",
     "invalid port in \"127.0.0.1:99999\" of the \"listen\" directive", 2},
    {"|\nstream { server { listen 127.0.0.1:1 shiny; echo; } }\n", "invalid parameter \"shiny\"",
     2},
    {"|\nstream { map $a $b { } }\n", "unknown directive \"map\" (nginx has it, ngxx has not)", 2},
    {"|\nstream { server { lsten 127.0.0.1:1; } }\n",
     "unknown directive \"lsten\" (did you mean listen?)", 2},
    {"|\nstream { server { listen 127.0.0.1:1 backlog=0; echo; } }\n",
     "invalid backlog \"backlog=0\"", 2},
    {"|\nstream { server { listen 127.0.0.1:1 udp backlog=9; echo; } }\n",
     "\"listen\" directive \"backlog\" parameter is incompatible with \"udp\"", 2},
    {"|\nstream { server { listen 127.0.0.1:1;\n listen 127.0.0.1:1; echo; } }\n",
     "a duplicate listen 127.0.0.1:1", 3},
    {"|\nstream { server { listen 127.0.0.1:1; return $bogus; } }\n", "unknown \"bogus\" variable",
     0},
    {"|\nstream { server { listen 127.0.0.1:1; return '${pid'; } }\n",
     "the closing bracket in \"pid\" variable is missing", 2},
    {"|\nstream { echo_buffer_size big; }\n", "\"echo_buffer_size\" directive invalid value", 2},
    {"|\nstream { echo_buffer_size 0; }\n", "\"echo_buffer_size\" directive must not be zero", 2},
};

/// Checks that a start and a reload refuse each configuration with one log line.
void check_refused(const std::vector<BadConf>& all)
{
    const Port port;
    const ServerConf good{.stream = server_block(port, "return hello;")};
    Server server(good);
    for (const BadConf& bad : all) {
        const std::string message = bad.whole_message(server.conf_path());
        write_file(server.conf_path(), bad.file());
        const RunResult start = run(server.command());
        BOOST_TEST(start.status.exited_with(1), bad.text);
        BOOST_TEST(lines_of(start.err).size() == 1U, start.err);
        BOOST_TEST(start.err.ends_with(": " + message + "\n"), start.err << "not " << message);
        BOOST_TEST(count(start.err, " [emerg] ") == 1U, start.err);

        server.reload_refused(bad.file(), message + "\n");
        BOOST_TEST(ask(port) == "hello");
    }
    server.reload(good);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bad_conf)

BOOST_AUTO_TEST_CASE(bad_syntax_is_reported_in_one_line_and_changes_nothing)
{
    check_refused(syntax);
}

BOOST_AUTO_TEST_CASE(bad_directives_are_reported_in_one_line_and_change_nothing)
{
    check_refused(directives);
}

BOOST_AUTO_TEST_CASE(a_bad_events_block_is_reported_and_changes_nothing)
{
    check_refused(events);
}

BOOST_AUTO_TEST_CASE(a_bad_stream_block_is_reported_and_changes_nothing)
{
    check_refused(stream);
}

BOOST_AUTO_TEST_CASE(a_bad_line_of_an_included_file_is_reported_with_that_file)
{
    const TempDir dir;
    write_file(dir / "nginx.conf", "events { }\ninclude more.conf;\n");
    write_file(dir / "more.conf", "\n\nbogus on;\n");
    const RunResult start = run({setup().binary, "-p", dir.path(), "-c", "nginx.conf"});
    BOOST_TEST(start.status.exited_with(1));
    BOOST_TEST(start.err.ends_with(fmt::format(": unknown directive \"bogus\" in {}:3\n",
                                               (dir / "more.conf").string())),
               start.err);

    std::filesystem::remove(dir / "more.conf");
    const RunResult missing = run({setup().binary, "-p", dir.path(), "-c", "nginx.conf"});
    BOOST_TEST(missing.err.ends_with(fmt::format(": open() \"{}\" failed (2: No such file or "
                                                 "directory) in {}:2\n",
                                                 (dir / "more.conf").string(),
                                                 (dir / "nginx.conf").string())),
               missing.err);
}

BOOST_AUTO_TEST_CASE(select_is_refused_with_more_connections_than_it_can_hold,
                     *precondition(method_is_select))
{
    const Port port;
    const std::string limit =
        fmt::format("the maximum number of files supported by select() is {}", FD_SETSIZE);
    ServerConf conf{.stream = server_block(port, "return hello;"),
                    .events = fmt::format("worker_connections {};", FD_SETSIZE)};
    Server server(conf);
    conf.events = fmt::format("worker_connections {};", FD_SETSIZE + 1);
    server.reload_refused(conf.text(), limit);
    BOOST_TEST(ask(port) == "hello");
    const RunResult start = run(server.command());
    BOOST_TEST(start.status.exited_with(1));
    BOOST_TEST(start.err.ends_with(limit + "\n"), start.err);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
