#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "core/module_api.hpp"
#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

RunResult run_server(std::vector<std::string> arguments)
{
    arguments.insert(arguments.begin(), setup().binary);
    return run(std::move(arguments));
}

/// Removes time and process from the lines of a log.
std::string without_times(const std::string& text)
{
    std::string result;
    for (std::string line : lines_of(text)) {
        const std::size_t process = line.find("] ") + 2;
        if (line.substr(0, 2) == "20" && process < line.size()) {
            line.erase(process, line.find(": ", process) + 2 - process);
            line.erase(0, line.find('['));
        }
        result += line + "\n";
    }
    return result;
}

/// A prefix with a configuration that no server runs.
struct Prefix {
    TempDir dir;
    Port port;
    ServerConf conf{.stream = server_block(port, "return hello;")};

    Prefix() { write(conf.text()); }

    void write(const std::string& text) const { write_file(path(), text); }
    [[nodiscard]] std::string path() const { return dir / "nginx.conf"; }

    /// Returns the arguments for this prefix, and more.
    [[nodiscard]] std::vector<std::string> with(std::vector<std::string> more) const
    {
        more.insert(more.begin(), {"-p", dir.path(), "-c", path()});
        return more;
    }
};

/// A server with its own arguments. It is ready when its pid file exists. The destructor terminates
/// it.
class StartedServer {
public:
    StartedServer(std::vector<std::string> arguments, std::filesystem::path pid_path)
        : child_((arguments.insert(arguments.begin(), setup().binary), std::move(arguments)))
        , pid_path_(std::move(pid_path))
    {
        wait_for_text(pid_path_, "\n", patience(), 1, &child_);
    }
    ~StartedServer()
    {
        child_.signal(SIGTERM);
        BOOST_TEST(child_.wait(patience()).exited_with(0));
        BOOST_TEST(!std::filesystem::exists(pid_path_));
    }

private:
    Child child_;
    std::filesystem::path pid_path_;
};

/// Whether a process accepts at the socket.
bool is_open(const std::filesystem::path& socket)
{
    try {
        const Client client(socket);
        return true;
    } catch (const std::runtime_error&) {
        return false;
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(command_line)

BOOST_AUTO_TEST_CASE(v_prints_the_version)
{
    const RunResult result = run_server({"-v"});
    BOOST_TEST(result.status.exited_with(0));
    BOOST_TEST(result.out == "");
    const std::string name = "ngxx version: ngxx/";
    BOOST_TEST_REQUIRE(result.err.substr(0, name.size()) == name);
    const std::string version = result.err.substr(name.size());
    BOOST_TEST(version.find_first_not_of("0123456789.") == version.size() - 1, version);
    BOOST_TEST(count(version, ".") == 2U, version);
}

BOOST_AUTO_TEST_CASE(V_lists_the_modules_in_the_order_of_the_table)
{
    const RunResult result = run_server({"-V"});
    BOOST_TEST(result.status.exited_with(0));
    std::string wanted = "modules: ngx_core_module ngx_errlog_module ngx_conf_module"
                         " ngx_events_module ngx_event_core_module";
    for (const std::string& method : setup().methods) {
        wanted += " ngx_" + method + "_module";
    }
    wanted += " ngx_thread_pool_module ngx_stream_module ngx_stream_core_module"
              " ngx_stream_access_module ngx_stream_proxy_module ngx_stream_upstream_module"
              " ngx_stream_return_module ngx_stream_upstream_least_conn_module"
              " ngx_stream_echo_module ngx_stream_discard_module ngx_stream_send_file_module";
    BOOST_TEST(count(result.err, wanted) == 1U, result.err);
    BOOST_TEST(count(result.err, "\nconfigure arguments: --prefix=") == 1U, result.err);
    const std::string methods =
        fmt::format("\nevent methods: {}\n", fmt::join(setup().methods, " "));
    BOOST_TEST(count(result.err, methods) == 1U, result.err);
    const std::string api = fmt::format("\nmodule API version: {}\n", module_api_version);
    BOOST_TEST(count(result.err, api) == 1U, result.err);
}

BOOST_AUTO_TEST_CASE(h_explains_every_option)
{
    for (const char* const option : {"-h", "-?"}) {
        const RunResult result = run_server({option});
        BOOST_TEST(result.status.exited_with(0));
        for (const char* const line :
             {"-?,-h ", "-v ", "-V ", "-t ", "-T ", "-q ", "-s signal ", "-p prefix ",
              "-e filename ", "-c filename ", "-g directives "}) {
            BOOST_TEST(count(result.err, std::string("\n  ") + line) == 1U, result.err);
        }
    }
}

BOOST_AUTO_TEST_CASE(unknown_options_and_missing_values_are_reported)
{
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
        {{"-x"}, "invalid option: \"x\""},
        {{"-txyz"}, "invalid option: \"x\""},
        {{""}, "invalid option: \"\""},
        {{"word"}, "invalid option: \"word\""},
        {{"-c"}, "option \"-c\" requires file name"},
        {{"-p"}, "option \"-p\" requires directory name"},
        {{"-g"}, "option \"-g\" requires parameter"},
        {{"-s", "nonsense"}, "invalid option: \"-s nonsense\""},
        {{"--"}, "invalid option: \"-\""},
        {{"--version"}, "invalid option: \"-\""},
        {{"-t", "--"}, "invalid option: \"-\""},
        {{"-t-"}, "invalid option: \"-\""},
        {{"-", "word"}, "invalid option: \"word\""},
    };
    for (const auto& [arguments, message] : cases) {
        const RunResult result = run_server(arguments);
        BOOST_TEST(result.status.exited_with(1), message);
        BOOST_TEST(result.err == "ngxx: " + message + "\n");
    }
}

BOOST_AUTO_TEST_CASE(a_value_may_begin_as_an_option_does)
{
    const TempDir dir;
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"-p", dir.path(), "-t", "-c", "-q"},
          {"-p", dir.path(), "-tc-q"}}) {
        const RunResult result = run_server(arguments);
        BOOST_TEST(result.status.exited_with(1));
        BOOST_TEST(count(result.err, fmt::format("open() \"{}\" failed", (dir / "-q").string())) ==
                       1U,
                   result.err);
    }
}

BOOST_AUTO_TEST_CASE(a_dash_alone_is_ignored)
{
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"-", "-v"}, {"-v", "-"}}) {
        const RunResult result = run_server(arguments);
        BOOST_TEST(result.status.exited_with(0));
        BOOST_TEST(result.err.starts_with("ngxx version: "));
    }
}

BOOST_AUTO_TEST_CASE(t_tests_a_file_while_a_server_runs_on_its_ports)
{
    const Port port;
    Server server({.stream = server_block(port, "return hello;")});
    const RunResult result = run(server.command({"-t"}));
    BOOST_TEST(result.status.exited_with(0));
    BOOST_TEST(result.err == fmt::format("ngxx: the configuration file {0} syntax is ok\n"
                                         "ngxx: configuration file {0} test is successful\n",
                                         server.conf_path().string()));
    BOOST_TEST(read_file(server.pid_path()) == fmt::format("{}\n", server.pid()));
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(t_reports_errors)
{
    const Prefix prefix;
    prefix.write("events { }\nbogus on;\n");
    const RunResult result = run_server(prefix.with({"-t"}));
    BOOST_TEST(result.status.exited_with(1));
    BOOST_TEST(without_times(result.err) ==
               fmt::format("[emerg] unknown directive \"bogus\" in {0}:2\n"
                           "ngxx: configuration file {0} test failed\n",
                           prefix.path()));
}

BOOST_AUTO_TEST_CASE(T_writes_all_files_of_the_configuration)
{
    Prefix prefix;
    write_file(prefix.dir / "more.conf", "# nothing\n");
    prefix.conf.main = "include more.conf;";
    prefix.write(prefix.conf.text());
    const RunResult result = run_server(prefix.with({"-T"}));
    BOOST_TEST(result.status.exited_with(0));
    BOOST_TEST(result.out == fmt::format("# configuration file {}:\n{}\n"
                                         "# configuration file {}:\n# nothing\n\n",
                                         prefix.path(), prefix.conf.text(),
                                         (prefix.dir / "more.conf").string()));
}

BOOST_AUTO_TEST_CASE(q_leaves_only_errors)
{
    const Prefix prefix;
    for (const auto& arguments : {std::vector<std::string>{"-t", "-q"}, {"-qt"}, {"-tq"}}) {
        const RunResult result = run_server(prefix.with(arguments));
        BOOST_TEST(result.status.exited_with(0));
        BOOST_TEST(result.err == "");
    }
    prefix.write("bogus on;");
    const RunResult result = run_server(prefix.with({"-t", "-q"}));
    BOOST_TEST(result.status.exited_with(1));
    BOOST_TEST(count(result.err, "[emerg]") == 1U, result.err);
}

BOOST_AUTO_TEST_CASE(s_stop_and_quit_end_the_server)
{
    for (const char* const signal : {"stop", "quit"}) {
        const Port port;
        Server server({.stream = server_block(port, "return hello;")});
        const RunResult result = run(server.command({"-s", signal}));
        BOOST_TEST(result.status.exited_with(0));
        BOOST_TEST(without_times(result.err) == "[notice] signal process started\n");
        BOOST_TEST(server.child().wait(patience()).exited_with(0), signal);
    }
}

BOOST_AUTO_TEST_CASE(s_reload_and_reopen_reach_the_server)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "return old;")};
    Server server(conf);
    conf.stream = server_block(port, "return new;");
    server.write_conf(conf);
    BOOST_TEST(run(server.command({"-s", "reload"})).status.exited_with(0));
    server.wait_for_log("event method\n", 2);
    BOOST_TEST(ask(port) == "new");

    std::filesystem::rename(server.log_path(), server.dir() / "error.log.1");
    BOOST_TEST(run(server.command({"-s", "reopen"})).status.exited_with(0));
    BOOST_TEST(ask(port) == "new");
    server.wait_for_log("*2 client ");
}

BOOST_AUTO_TEST_CASE(s_needs_the_pid_of_a_server)
{
    const Prefix prefix;
    const std::string pid_path = prefix.dir / "ngxx.pid";
    const auto stop = [&] {
        const RunResult result = run_server(prefix.with({"-s", "stop"}));
        BOOST_TEST(result.status.exited_with(1));
        return without_times(result.err);
    };
    const std::string started = "[notice] signal process started\n";
    BOOST_TEST(stop() == started + "[error] open() \"" + pid_path +
                             "\" failed (2: No such file or directory)\n");
    write_file(pid_path, "many\n");
    BOOST_TEST(stop() == started + "[error] invalid PID number \"many\" in \"" + pid_path + "\"\n");

    Child ended({"true"});
    BOOST_TEST(ended.wait(patience()).exited_with(0));
    write_file(pid_path, fmt::format("{}\n", ended.pid()));
    BOOST_TEST(stop() == fmt::format("{}[alert] kill({}, 15) failed (3: No such process)\n",
                                     started, ended.pid()));
}

BOOST_AUTO_TEST_CASE(s_sends_no_signal_if_the_file_is_broken)
{
    const Port port;
    Server server({.stream = server_block(port, "return hello;")});
    write_file(server.conf_path(), "bogus on;\n");
    const RunResult result = run(server.command({"-s", "stop"}));
    BOOST_TEST(result.status.exited_with(1));
    BOOST_TEST(without_times(result.err) == fmt::format("[emerg] unknown directive \"bogus\" in "
                                                        "{}:1\n",
                                                        server.conf_path().string()));
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(g_gives_directives_that_the_file_lacks)
{
    const Prefix prefix;
    const std::string events = "events { use " + setup().method + "; }\n";
    prefix.write(events + "stream {\n" + server_block(prefix.port, "return hello;") + "}\n");
    const std::string directives = "daemon off; master_process off; error_log g.log notice; "
                                   "pid g.pid;";
    const StartedServer server(prefix.with({"-g", directives}), prefix.dir / "g.pid");
    BOOST_TEST(ask(prefix.port) == "hello");
    BOOST_TEST(count(read_file(prefix.dir / "g.log"),
                     "using the \"" + setup().method + "\" event method\n") == 1U);
    BOOST_TEST(count(read_file(prefix.dir / "g.log"), "[warn]") == 0U);
}

BOOST_AUTO_TEST_CASE(g_and_the_file_may_not_both_give_a_directive)
{
    const Prefix prefix;
    const RunResult twice = run_server(prefix.with({"-g", "pid other.pid;"}));
    BOOST_TEST(twice.status.exited_with(1));
    BOOST_TEST(without_times(twice.err) ==
               fmt::format("[emerg] \"pid\" directive is duplicate in {}:3\n", prefix.path()));

    const RunResult wrong = run_server(prefix.with({"-g", "bogus on;"}));
    BOOST_TEST(wrong.status.exited_with(1));
    BOOST_TEST(without_times(wrong.err) == "[emerg] unknown directive \"bogus\" in command line\n");
}

BOOST_AUTO_TEST_CASE(e_names_the_log_of_what_precedes_the_file)
{
    const Prefix prefix;
    prefix.write("bogus on;\n");
    const RunResult result = run_server(prefix.with({"-e", "first.log"}));
    BOOST_TEST(result.status.exited_with(1));
    const std::string message =
        fmt::format("[emerg] unknown directive \"bogus\" in {}:1\n", prefix.path());
    BOOST_TEST(result.err == "ngxx: " + message);
    BOOST_TEST(without_times(read_file(prefix.dir / "first.log")) == message);
}

BOOST_AUTO_TEST_CASE(e_names_the_log_of_a_file_that_names_none)
{
    const Prefix prefix;
    prefix.write(fmt::format("daemon off; master_process off; pid ngxx.pid;\n"
                             "events {{ use {}; worker_connections 2; }}\nstream {{\n{}}}\n",
                             setup().method, server_block(prefix.port, "return hello;")));
    const StartedServer server(prefix.with({"-e", "e.log"}), prefix.dir / "ngxx.pid");
    BOOST_TEST(ask(prefix.port) == "");
    wait_for_text(prefix.dir / "e.log", "2 worker_connections are not enough", patience());
}

BOOST_AUTO_TEST_CASE(p_may_end_in_a_slash_and_c_may_be_relative_to_it)
{
    const Prefix prefix;
    for (const char* const end : {"", "/"}) {
        const StartedServer server({"-p", prefix.dir.path().string() + end, "-c", "nginx.conf"},
                                   prefix.dir / "ngxx.pid");
        BOOST_TEST(ask(prefix.port) == "hello");
    }
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_reported)
{
    const TempDir dir;
    const RunResult result = run_server({"-p", dir.path(), "-c", "nginx.conf"});
    BOOST_TEST(result.status.exited_with(1));
    BOOST_TEST(without_times(result.err) ==
               fmt::format("[emerg] open() \"{}\" failed (2: No such file or directory)\n",
                           (dir / "nginx.conf").string()));
}

BOOST_AUTO_TEST_CASE(a_second_server_tries_five_times_for_the_port)
{
    const Prefix prefix;
    Server server({.stream = server_block(prefix.port, "return hello;")});
    const RunResult result = run_server(prefix.with({}));
    BOOST_TEST(result.status.exited_with(1));
    const std::string in_use =
        fmt::format("ngxx: [emerg] bind() to {} failed (98: Address already in use)\n",
                    prefix.port.at("127.0.0.1"));
    const std::string errors = in_use + in_use + in_use + in_use + in_use;
    BOOST_TEST(result.err == errors + "ngxx: [emerg] still could not bind()\n");
    const std::string log = read_file(prefix.dir / "error.log");
    BOOST_TEST(count(log, "try again to bind() after 500ms\n") == 5U);
    BOOST_TEST(!std::filesystem::exists(prefix.dir / "ngxx.pid"));
    BOOST_TEST(ask(prefix.port) == "hello");
}

BOOST_AUTO_TEST_CASE(a_unix_socket_that_a_killed_server_left_is_removed)
{
    const std::string stream = "server { listen unix:socket; return hello; }\n";
    Server killed({.stream = stream});
    killed.kill();
    // The kernel releases the rings of iouring some time after the end of the process.
    wait_until("the socket is closed", [&] { return !is_open(killed.dir() / "socket"); });
    const Server server({.stream = "server { listen unix:" + (killed.dir() / "socket").string() +
                                   "; return hello; }\n"});
    BOOST_TEST(Client(killed.dir() / "socket").receive_all() == "hello");
    BOOST_TEST(count(server.log(), fmt::format("[warn] {0}#{0}: unix:{1}/socket was left behind by "
                                               "a server that is gone, removed\n",
                                               server.pid(), killed.dir().string())) == 1U);
}

BOOST_AUTO_TEST_CASE(a_unix_socket_in_use_is_an_error)
{
    const Server other({.stream = "server { listen unix:socket; return hello; }\n"});
    Prefix prefix;
    const std::filesystem::path socket = other.dir() / "socket";
    prefix.conf.stream = "server { listen unix:" + socket.string() + "; echo; }\n";
    prefix.write(prefix.conf.text());
    const RunResult result = run_server(prefix.with({}));
    BOOST_TEST(result.status.exited_with(1));
    BOOST_TEST(count(result.err, fmt::format("[emerg] bind() to unix:{} failed (98: Address "
                                             "already in use)\n",
                                             socket.string())) == 5U);
    BOOST_TEST(count(result.err, "[emerg] still could not bind()\n") == 1U);
    BOOST_TEST(Client(socket).receive_all() == "hello");
}

BOOST_AUTO_TEST_CASE(more_connections_than_descriptors_are_a_warning)
{
    const Port port;
    Server server(
        {.stream = server_block(port, "return hello;"), .events = "worker_connections 65;"}, 64);
    BOOST_TEST(count(server.log(), fmt::format("[warn] {0}#{0}: 65 worker_connections exceed open "
                                               "file resource limit: 64\n",
                                               server.pid())) == 1U);
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
