#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <system_error>
#include <thread>

#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

/// Returns another event method of the binary than the one under test.
std::string other_method()
{
    const auto& methods = setup().methods;
    return methods.front() == setup().method ? methods.back() : methods.front();
}

/// Repeatedly connects to a `return` server in its own thread, until stop() is called.
class Asker {
public:
    explicit Asker(std::uint16_t port, std::string_view text)
        : thread_([=, this] {
            while (!stop_) {
                try {
                    wrong_ += Client(port).receive_all() != text;
                    ++answers_;
                } catch (const std::system_error& error) {
                    errors_ += std::string(error.what()) + "\n";
                }
            }
        })
    {}
    ~Asker() { stop(); }

    void stop()
    {
        stop_ = true;
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    /// Except for answers(), these are called after stop().
    [[nodiscard]] std::size_t answers() const { return answers_; }
    [[nodiscard]] std::size_t wrong() const { return wrong_; }
    [[nodiscard]] const std::string& errors() const { return errors_; }

private:
    std::atomic<bool> stop_ = false;
    std::atomic<std::size_t> answers_ = 0;
    std::size_t wrong_ = 0;
    std::string errors_;
    std::thread thread_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(reload)

BOOST_AUTO_TEST_CASE(new_clients_get_the_new_text)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "return old;")};
    Server server(conf);
    BOOST_TEST(ask(port) == "old");
    conf.stream = server_block(port, "return new;");
    server.reload(conf);
    BOOST_TEST(ask(port) == "new");
}

BOOST_AUTO_TEST_CASE(a_new_listener_is_opened_and_a_removed_one_is_closed)
{
    const Port removed;
    const Port kept;
    const Port added;
    ServerConf conf{.stream = server_block(removed, "echo;") + server_block(kept, "return kept;")};
    Server server(conf);
    BOOST_TEST(connect_error(removed) == 0);
    BOOST_TEST(connect_error(added) == ECONNREFUSED);

    conf.stream = server_block(added, "return added;") + server_block(kept, "return kept;");
    server.reload(conf);
    BOOST_TEST(connect_error(removed) == ECONNREFUSED);
    BOOST_TEST(ask(kept) == "kept");
    BOOST_TEST(ask(added) == "added");
}

BOOST_AUTO_TEST_CASE(a_removed_unix_socket_is_deleted_and_a_kept_one_stays)
{
    const std::string kept = "server { listen unix:kept; return kept; }\n";
    ServerConf conf{.stream = kept + "server { listen unix:removed; return removed; }\n"};
    Server server(conf);
    BOOST_TEST(Client(server.dir() / "removed").receive_all() == "removed");
    conf.stream = kept;
    server.reload(conf);
    BOOST_TEST(!std::filesystem::exists(server.dir() / "removed"));
    BOOST_TEST(Client(server.dir() / "kept").receive_all() == "kept");
}

BOOST_AUTO_TEST_CASE(a_kept_listener_never_refuses_a_client)
{
    const Port port;
    const ServerConf conf{.stream = server_block(port, "return hello;"), .log_level = "notice"};
    Server server(conf);
    Asker asker(port, "hello");
    for (int i = 0; i < 20; ++i) {
        const std::size_t before = asker.answers();
        server.reload(conf);
        while (asker.answers() == before) {
            std::this_thread::yield();
        }
    }
    asker.stop();
    BOOST_TEST(asker.errors() == "");
    BOOST_TEST(asker.wrong() == 0U);
    BOOST_TEST(asker.answers() >= 20U);
}

BOOST_AUTO_TEST_CASE(clients_of_the_old_configuration_go_on)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "echo;")};
    Server server(conf);
    const Client old(port);
    BOOST_TEST(old.echo("before") == "before");

    conf.stream = server_block(port, "discard;");
    for (int i = 0; i < 3; ++i) {
        server.reload(conf);
        BOOST_TEST(old.echo("after") == "after");
    }
    old.finish();
    BOOST_TEST(old.receive_all() == "");
}

BOOST_AUTO_TEST_CASE(clients_of_the_old_configuration_keep_its_timeouts_and_its_log)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "echo; echo_timeout 1s;"), .log_file = "old.log"};
    Server server(conf);
    const std::filesystem::path old_log = server.log_path();
    const Client old(port);
    BOOST_TEST(old.echo("x") == "x");

    conf.log_file = "new.log";
    conf.stream = server_block(port, "echo; echo_timeout 1h;");
    server.reload(conf);
    const Client young(port);
    BOOST_TEST(young.echo("x") == "x");

    BOOST_TEST(old.receive_all() == "");
    wait_for_text(old_log, "*1 connection timed out", patience(), 1, &server.child());
    BOOST_TEST(count(server.log(), "*1 ") == 0U);
    BOOST_TEST(count(server.log(), "*2 client") == 1U);
    BOOST_TEST(young.echo("y") == "y");
}

BOOST_AUTO_TEST_CASE(a_removed_listener_does_not_take_its_clients_with_it)
{
    const Port removed;
    const Port kept;
    ServerConf conf{.stream = server_block(removed, "echo;") + server_block(kept, "return kept;")};
    Server server(conf);
    const Client old(removed);
    BOOST_TEST(old.echo("before") == "before");
    conf.stream = server_block(kept, "return kept;");
    server.reload(conf);
    BOOST_TEST(old.echo("after") == "after");
}

BOOST_AUTO_TEST_CASE(a_broken_file_changes_nothing_and_is_reported_with_its_line)
{
    const Port port;
    const ServerConf conf{.stream = server_block(port, "return hello;")};
    Server server(conf);
    server.reload_refused("events { use " + setup().method + "; }\nstream {\n  bogus on;\n}\n",
                          fmt::format("[emerg] {0}#{0}: unknown directive \"bogus\" in {1}:3\n",
                                      server.pid(), server.conf_path().string()));
    BOOST_TEST(ask(port) == "hello");

    std::filesystem::remove(server.conf_path());
    server.allow("nginx.conf\" failed");
    server.signal(SIGHUP);
    server.wait_for_log("open() \"" + server.conf_path().string() + "\" failed (2: No such");
    BOOST_TEST(ask(port) == "hello");

    server.reload(conf);
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(the_event_method_cannot_be_changed, *precondition(methods_can_be_changed))
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "return hello;")};
    Server server(conf);
    conf.method = other_method();
    server.reload_refused(
        conf.text(),
        fmt::format("the event type cannot be changed by a reload: \"{}\" is asked for, \"{}\" is "
                    "in use",
                    conf.method, setup().method));
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(leaving_out_use_does_not_change_the_event_method)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "return hello;")};
    Server server(conf);
    std::string text = conf.text();
    const std::string use = "use " + setup().method + ";";
    text.erase(text.find(use), use.size());

    if (setup().method == setup().methods.front()) {
        write_file(server.conf_path(), text);
        server.signal(SIGHUP);
        server.wait_for_log("using the \"" + setup().method + "\" event method", 2);
    } else {
        server.reload_refused(text, "the event type cannot be changed by a reload");
    }
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(an_address_in_use_changes_nothing)
{
    const Port port;
    const Port taken;
    ServerConf conf{.stream = server_block(port, "return hello;")};
    Server server(conf);
    const Server other({.stream = server_block(taken, "return other;")});

    conf.stream = server_block(port, "return new;") + server_block(taken, "return new;");
    server.allow(
        fmt::format("bind() to {} failed (98: Address already in use)", taken.at("127.0.0.1")));
    server.reload_refused(conf.text(), "still could not bind()\n");
    BOOST_TEST(count(server.log(), "Address already in use") == 5U);
    BOOST_TEST(count(server.log(), "try again to bind() after 500ms") == 5U);
    BOOST_TEST(ask(port) == "hello");
    BOOST_TEST(ask(taken) == "other");
}

BOOST_AUTO_TEST_CASE(the_log_goes_to_another_file)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "return hello;")};
    Server server(conf);
    const std::filesystem::path old_log = server.log_path();
    conf.log_file = "another.log";
    server.reload(conf);
    const std::string old_lines = read_file(old_log);
    BOOST_TEST(ask(port) == "hello");
    server.wait_for_log("*1 client 127.0.0.1:");
    BOOST_TEST(read_file(old_log) == old_lines);
}

BOOST_AUTO_TEST_CASE(a_fifo_does_not_block_a_reload)
{
    for (const int workers : {1, 0}) {
        const Port port;
        ServerConf conf{.stream = server_block(port, "return hello;"), .workers = workers};
        Server server(conf);
        const std::string fifo = server.dir() / "fifo";
        BOOST_TEST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);

        ServerConf with_fifo = conf;
        with_fifo.main = "error_log fifo;";
        server.reload_refused(with_fifo.text(), "fifo\" failed (6: No such device or address)\n");
        with_fifo.main = "include fifo;";
        server.reload_refused(with_fifo.text(), "fifo\" is a FIFO in ");
        BOOST_TEST(ask(port) == "hello");

        // With a reader that does not read, it accepts as much as it has room for.
        const Fd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
        with_fifo.main = "error_log fifo info;";
        server.reload(with_fifo);
        for (int i = 0; i < 400; ++i) {
            BOOST_TEST_REQUIRE(ask(port) == "hello");
        }
        server.reload(conf);
    }
}

BOOST_AUTO_TEST_CASE(a_full_stderr_does_not_block_the_master)
{
    const Port port;
    const TempDir dir;
    ServerConf conf{.stream = server_block(port, "return hello;"), .workers = 1};
    conf.log_file = "stderr";
    conf.log_level = "notice";
    write_file(dir / "nginx.conf", conf.text());
    const std::string pipe = dir / "pipe";
    BOOST_TEST_REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    const Fd reader(::open(pipe.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    Child server({"sh", "-c", "exec \"$0\" -p \"$1\" -c nginx.conf -e stderr 2>\"$2\"",
                  setup().binary, dir.path(), pipe});
    wait_until("the server listens", [&] { return connect_error(port) == 0; });
    BOOST_TEST(ask(port) == "hello");

    const std::string line(2048, 'x');
    while (::write(reader.get(), line.data(), line.size()) > 0) {}
    conf.stream = server_block(port, "return world;");
    write_file(dir / "nginx.conf", conf.text());
    server.signal(SIGHUP);
    wait_until("the master has started the new worker",
               [&] { return children_of(server.pid()).size() == 2; });

    // The workers wait for the reader when they log.
    std::string lines(1 << 16, '\0');
    while (::read(reader.get(), lines.data(), lines.size()) > 0) {}
    wait_until("the new worker serves", [&] { return ask(port) == "world"; });
    server.signal(SIGTERM);
    while (server.running()) {
        (void)!::read(reader.get(), lines.data(), lines.size());
        std::this_thread::yield();
    }
    BOOST_TEST(server.wait(patience()).exited_with(0));
}

BOOST_AUTO_TEST_CASE(the_pid_file_is_renamed)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "return hello;")};
    Server server(conf);
    const std::filesystem::path old_pid = server.pid_path();
    conf.pid_file = "another.pid";
    server.reload(conf);
    BOOST_TEST(read_file(server.pid_path()) == fmt::format("{}\n", server.pid()));
    BOOST_TEST(!std::filesystem::exists(old_pid));
}

BOOST_AUTO_TEST_CASE(more_connections_are_there_after_a_reload_that_adds_some)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "echo;"), .events = "worker_connections 4;"};
    Server server(conf);
    server.allow("worker_connections are not enough");
    const Client first(port);
    const Client second(port);
    BOOST_TEST(first.echo("x") == "x");
    BOOST_TEST(second.echo("x") == "x");
    BOOST_TEST(Client(port).until_closed() == "");

    conf.events = "worker_connections 6;";
    server.reload(conf);
    const Client third(port);
    BOOST_TEST(third.echo("x") == "x");
    BOOST_TEST(first.echo("x") == "x");
}

BOOST_AUTO_TEST_CASE(timer_resolution_comes_and_goes)
{
    const Port port;
    ServerConf conf{.stream = server_block(port, "echo; echo_timeout 500ms;")};
    Server server(conf);
    const auto waits_of_idle_client = [&] {
        const std::size_t before = server.waits();
        BOOST_TEST(Client(port).receive_all() == "");
        return server.waits() - before;
    };
    BOOST_TEST(waits_of_idle_client() < 10U);
    conf.main = "timer_resolution 10ms;";
    server.reload(conf);
    BOOST_TEST(waits_of_idle_client() >= 20U);
    conf.main = "";
    server.reload(conf);
    BOOST_TEST(waits_of_idle_client() < 10U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
