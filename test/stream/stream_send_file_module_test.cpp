// Tests of send_file: the whole file is sent in each of the possible ways, however slowly the
// client reads it.

#include <cerrno>
#include <fcntl.h>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <sys/stat.h>

#include "core/thread_pool.hpp"
#include "core/times.hpp"
#include "event/event.hpp"
#include "event/event_timer.hpp"
#include "os/unix/files.hpp"
#include "test/stream/server.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

namespace {

bool is_epoll()
{
    const auto& suite = boost::unit_test::framework::master_test_suite();
    return suite.argc < 2 || std::string_view(suite.argv[1]) == "epoll";
}

/// Only epoll supports threads and asynchronous reads.
bool poller_is_epoll(boost::unit_test::test_unit_id)
{
    return is_epoll();
}

/// Returns the ways to send a file with this poller, as directives.
std::vector<std::string> ways()
{
    std::vector<std::string> all{"",
                                 "sendfile on;",
                                 "sendfile on; sendfile_max_chunk 10k;",
                                 "directio 1;",
                                 "output_buffers 1 512;",
                                 "output_buffers 3 7;"};
    if (is_epoll()) {
        for (const char* const way :
             {"aio on;", "aio on; directio 1;", "aio threads;", "aio threads; directio 1;",
              "aio threads; sendfile on;", "aio on; sendfile on;"}) {
            all.emplace_back(way);
        }
    }
    return all;
}

std::string text_of(std::size_t size)
{
    std::string text;
    for (int i = 0; text.size() < size; i++) {
        text.append(std::to_string(i)).append(" ");
    }
    text.resize(size);
    return text;
}

/// A text that is much larger than the buffers of two sockets, and not a multiple of any block
/// size.
const std::string& big_file()
{
    static const std::string text = text_of(3'000'001);
    return text;
}

/// A server that sends a file of its own directory.
struct FileServer {
    explicit FileServer(const std::string& text, const std::string& way = "",
                        const std::string& address = "127.0.0.1:PORT sndbuf=4k")
        : path(dir / "file")
        , server("server { listen " + address + "; send_file " + path.string() + "; " + way + " }")
    {
        write_file(path, text);
        BOOST_TEST_REQUIRE(server.cycle.ok(), server.log());
    }

    TempDir dir;
    std::filesystem::path path;
    Server server;
};

/// A file server whose client does not read, so that there is more to send.
struct StuckClient : FileServer {
    explicit StuckClient(const std::string& way = "") : FileServer(big_file(), way) {}

    Client client = server.connect(0, 4096);
    Connection& c = server.accepted();
};

/// Occupies the only thread of a pool, so that tasks wait in the queue.
struct HeldThread {
    explicit HeldThread(const Server& server)
    {
        task.ctx = &go;
        task.handler = [](void* ctx, Log*) noexcept { static_cast<std::latch*>(ctx)->wait(); };
        task.event.handler = [](Event&) noexcept {};
        if (thread_task_post(*thread_pool_get(*server.cycle, "one"), task) != Rc::ok) {
            throw std::runtime_error("no task");
        }
    }
    HeldThread(const HeldThread&) = delete;
    HeldThread& operator=(const HeldThread&) = delete;

    void release() { go.count_down(); }

    std::latch go{1};
    ThreadTask task{};
};

ServerConf one_thread(const std::string& stream)
{
    return {.stream = stream, .main = "master_process off; pid pid; thread_pool one threads=1;"};
}

/// A session whose task waits for a thread.
struct InFlight {
    explicit InFlight(const std::string& way)
        : stream("server { listen 127.0.0.1:PORT; send_file " + (dir / "file").string() +
                 "; aio threads=one; " + way + " }")
        , server(one_thread(stream))
    {
        write_file(dir / "file", text_of(100'000));
        client = std::make_unique<Client>(server.connect());
        c = &server.accepted();
    }

    TempDir dir;
    std::string stream;
    Server server;
    HeldThread thread{server};
    std::unique_ptr<Client> client{};
    Connection* c = nullptr;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_send_file_module)

BOOST_AUTO_TEST_CASE(a_file_is_sent_in_each_way_and_the_connection_closed)
{
    for (const std::string& way : ways()) {
        for (const std::size_t size : {1U, 511U, 512U, 513U, 32'768U, 100'000U}) {
            const FileServer files(text_of(size), way, "127.0.0.1:PORT");
            const Client client = files.server.connect();
            const std::string got = files.server.serve([&client] { return client.receive_all(); });
            BOOST_TEST((got == text_of(size)), way << " " << size << files.server.log());
            files.server.finish();
        }
    }
}

BOOST_AUTO_TEST_CASE(a_slow_client_gets_all_of_it_in_each_way)
{
    for (const std::string& way : ways()) {
        if (way.find("output_buffers 3 7") != way.npos) {
            continue;  // half a million reads
        }
        const FileServer files(big_file(), way);
        const Client client = files.server.connect(0, 4096);
        const std::string got = files.server.serve([&client] { return client.receive_all(); });
        BOOST_TEST((got == big_file()), way << files.server.log());
        files.server.finish();
    }
}

BOOST_AUTO_TEST_CASE(a_file_is_sent_to_a_unix_socket)
{
    for (const std::string& way : ways()) {
        const FileServer files(text_of(100'000), way, "unix:DIR/a");
        const Client client = files.server.connect();
        const std::string got = files.server.serve([&client] { return client.receive_all(); });
        BOOST_TEST((got == text_of(100'000)), way << files.server.log());
    }
}

BOOST_AUTO_TEST_CASE(an_empty_file_only_closes)
{
    const FileServer files("");
    BOOST_TEST(answer(files.server) == "");
}

BOOST_AUTO_TEST_CASE(sendfile_is_used_when_asked_for_and_then_alone)
{
    const FileServer files(text_of(1000), "sendfile on;", "unix:DIR/a");
    const FakeCall sendfile(Call::sendfile, {}, 0);
    const FakeCall pread(Call::pread, {}, 0);
    const FakeCall writev(Call::writev, {}, 0);
    BOOST_TEST(answer(files.server) == text_of(1000));
    BOOST_TEST(sendfile.calls() == 1);
    BOOST_TEST(pread.calls() + writev.calls() == 0);
}

BOOST_AUTO_TEST_CASE(a_file_that_fits_needs_two_calls_and_no_event,
                     *boost::unit_test::precondition(sends_by_calls))
{
    const FileServer files(text_of(1000), "", "unix:DIR/a");
    const Client client = files.server.connect();
    const FakeCall pread(Call::pread, {}, 0);
    const FakeCall writev(Call::writev, {}, 0);
    files.server.accept();
    BOOST_TEST(pread.calls() == 1);
    BOOST_TEST(writev.calls() == 1);
    BOOST_TEST(files.server.connections().empty());
}

BOOST_AUTO_TEST_CASE(a_path_is_relative_to_the_prefix)
{
    const Server server("server { listen unix:DIR/a; send_file sub/file; }");
    write_file(server.cycle.dir() / "sub/file", "from the prefix");
    BOOST_TEST(answer(server) == "from the prefix");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_missing_or_none_is_an_error_and_closes)
{
    const Server server("server { listen unix:DIR/a; send_file missing; }"
                        "server { listen unix:DIR/b; send_file directory; }"
                        "server { listen unix:DIR/c; send_file fifo; }");
    std::filesystem::create_directory(server.cycle.dir() / "directory");
    ::mkfifo((server.cycle.dir() / "fifo").c_str(), 0600);
    for (std::size_t i = 0; i < 3; i++) {
        BOOST_TEST(answer(server, i) == "");
    }
    const std::string log = server.log();
    BOOST_TEST(contains(log, "[error]"));
    BOOST_TEST(contains(log, "/missing\" failed (2: No such file or directory) while sending a "
                             "file, client: unix:, server: unix:"));
    BOOST_TEST(contains(log, "/directory\" is a directory while sending a file"));
    BOOST_TEST(contains(log, "/fifo\" is not a regular file while sending a file"));
}

BOOST_AUTO_TEST_CASE(no_descriptor_is_left)
{
    const FileServer files(text_of(1000), "", "unix:DIR/a");
    const int before = ::dup(0);
    ::close(before);
    for (int i = 0; i < 5; i++) {
        BOOST_TEST(answer(files.server) == text_of(1000));
    }
    const int after = ::dup(0);
    ::close(after);
    BOOST_TEST(before == after);
}

BOOST_AUTO_TEST_CASE(a_file_that_is_truncated_on_its_way_is_an_alert_and_closes)
{
    for (const std::string& way : ways()) {
        if (way.find("output_buffers") != way.npos) {
            continue;
        }
        const FileServer files(big_file(), way);
        const Client client = files.server.connect(0, 4096);
        Connection& c = files.server.accepted();
        files.server.turn_until([&c] { return !c.write->ready; });
        std::filesystem::resize_file(files.path, 1000);
        const std::string got = files.server.serve([&client] { return client.receive_all(); });
        BOOST_TEST(got.size() < big_file().size(), way);
        files.server.finish();
        BOOST_TEST(contains(files.server.log(), "[alert]"), way);
        BOOST_TEST((contains(files.server.log(), "pread() read only") ||
                    contains(files.server.log(), "was truncated at")),
                   way);
    }
}

BOOST_AUTO_TEST_CASE(a_read_that_fails_ends_the_session)
{
    const FileServer files(text_of(1000), "", "unix:DIR/a");
    const FakeCall pread(Call::pread, {.err = EIO});
    BOOST_TEST(answer(files.server) == "");
    BOOST_TEST(
        contains(files.server.log(), "/file\" failed (5: Input/output error) while sending"));
}

BOOST_AUTO_TEST_CASE(the_send_timeout_is_a_minute)
{
    const StuckClient stuck("sendfile on;");
    const Msec left = stuck.c.write->timer_key - current_msec;
    BOOST_TEST(left <= 60'000);
    BOOST_TEST(left > 50'000);
    Server::pass(left);
    BOOST_TEST(stuck.server.connections().empty());
    BOOST_TEST(contains(stuck.server.log(),
                        "connection timed out (110: Connection timed out) while sending a file"));
}

BOOST_AUTO_TEST_CASE(the_time_can_be_set)
{
    const StuckClient stuck("send_file_timeout 500ms;");
    BOOST_TEST(stuck.c.write->timer_key - current_msec <= 500);
}

BOOST_AUTO_TEST_CASE(a_client_that_closes_is_noticed_in_each_way)
{
    for (const std::string& way : ways()) {
        StuckClient stuck(way);
        stuck.client.reset();
        stuck.server.finish();
        // A reset while a thread's sendfile() runs only ends that call; the next one gets EPIPE.
        const std::string log = stuck.server.log();
        BOOST_TEST((contains(log, "failed (104: Connection reset by peer) while ") ||
                    contains(log, "failed (32: Broken pipe) while ")),
                   way << log);
    }
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_asked_to_close_closes)
{
    const StuckClient stuck;
    stuck.c.close = 1;
    stuck.c.read->handler(*stuck.c.read);
    BOOST_TEST(stuck.server.connections().empty());
    BOOST_TEST(event_timer_rbtree.empty());
}

BOOST_AUTO_TEST_CASE(a_poller_that_fails_ends_the_session)
{
    const FileServer files(big_file(), "", "unix:DIR/a");
    const Client client = files.server.connect();
    files.server.accept_with_failing_poller();
    BOOST_TEST(files.server.connections().empty());
}

BOOST_AUTO_TEST_CASE(a_session_outlives_its_client_until_its_task_is_done,
                     *boost::unit_test::precondition(poller_is_epoll))
{
    for (const char* const way : {"sendfile on;", "sendfile off;"}) {
        InFlight flight(way);
        flight.client->reset();
        // The poller reports the reset, and another client, whose task waits behind the first.
        const Client other = flight.server.connect();
        flight.server.accept();
        BOOST_TEST(flight.server.connections().size() == 2, way);
        flight.thread.release();
        const std::string got = flight.server.serve([&other] { return other.receive_all(); });
        BOOST_TEST((got == text_of(100'000)), way);
        flight.server.finish();
    }
}

BOOST_AUTO_TEST_CASE(a_session_that_is_asked_to_close_waits_for_its_task,
                     *boost::unit_test::precondition(poller_is_epoll))
{
    for (const char* const way : {"sendfile on;", "sendfile off;"}) {
        InFlight flight(way);
        flight.c->close = 1;
        flight.c->read->handler(*flight.c->read);
        flight.c->read->handler(*flight.c->read);
        BOOST_TEST(flight.server.connections().size() == 1, way);
        flight.thread.release();
        flight.server.finish();
        BOOST_TEST(event_timer_rbtree.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_task_that_takes_too_long_is_an_alert_and_waited_for,
                     *boost::unit_test::precondition(poller_is_epoll))
{
    InFlight flight("sendfile off;");
    BOOST_TEST(!flight.c->write->timer_set());
    for (std::size_t n = 1; n <= 2; n++) {
        Server::pass(60'000);
        BOOST_TEST(count(flight.server.log(), "thread operation took too long while sending") == n);
    }
    flight.thread.release();
    const std::string got = flight.server.serve([&flight] { return flight.client->receive_all(); });
    BOOST_TEST((got == text_of(100'000)));
}

BOOST_AUTO_TEST_CASE(a_pool_that_takes_no_task_ends_the_session,
                     *boost::unit_test::precondition(poller_is_epoll))
{
    const Server server(
        {.stream = "server { listen unix:DIR/a; send_file file; aio threads=one; }",
         .main = "master_process off; pid pid; thread_pool one threads=1 max_queue=0;"});
    write_file(server.cycle.dir() / "file", text_of(1000));
    std::unique_ptr<HeldThread> held;
    while (!held) {  // until the thread waits for a task
        try {
            held = std::make_unique<HeldThread>(server);
        } catch (const std::runtime_error&) {
            std::this_thread::yield();
        }
    }
    BOOST_TEST(answer(server) == "");
    BOOST_TEST(contains(server.log(), "thread pool \"one\" queue overflow: 0 tasks waiting"));
    held->release();
    server.turn_until([&held] { return held->task.event.complete != 0; });
}

BOOST_AUTO_TEST_CASE(the_default_pool_has_32_threads_and_is_made_when_used,
                     *boost::unit_test::precondition(poller_is_epoll))
{
    const auto threads = [] {
        const std::filesystem::directory_iterator tasks("/proc/self/task");
        return std::distance(begin(tasks), end(tasks));
    };
    const auto before = threads();
    {
        const Server server("server { listen unix:DIR/a; send_file x; }");
        BOOST_TEST(threads() == before);
    }
    const Server server("aio threads; server { listen unix:DIR/a; send_file x; }");
    BOOST_TEST(threads() == before + 32);
}

BOOST_AUTO_TEST_CASE(a_reload_leaves_a_file_to_its_old_threads,
                     *boost::unit_test::precondition(poller_is_epoll))
{
    InFlight flight("sendfile on;");
    const std::string stream = "server { listen 127.0.0.1:PORT; return new; }";
    BOOST_TEST(flight.server.reload(stream));
    flight.thread.release();
    const std::string got = flight.server.serve([&flight] { return flight.client->receive_all(); });
    BOOST_TEST((got == text_of(100'000)));
}

BOOST_AUTO_TEST_CASE(servers_inherit_the_values_of_the_block)
{
    const Server server("sendfile on; send_file_timeout 5s;"
                        "server { listen unix:DIR/a; send_file file; }"
                        "server { listen unix:DIR/b; send_file file; sendfile off; }");
    write_file(server.cycle.dir() / "file", "text");
    const FakeCall sendfile(Call::sendfile, {}, 0);
    BOOST_TEST(answer(server, 0) == "text");
    BOOST_TEST(sendfile.calls() == 1);
    BOOST_TEST(answer(server, 1) == "text");
    BOOST_TEST(sendfile.calls() == 1);
}

BOOST_AUTO_TEST_CASE(values_that_make_no_sense_are_refused)
{
    for (const auto& [directives, message] :
         std::vector<std::pair<std::string_view, std::string_view>>{
             {"send_file a; send_file b;", "\"send_file\" directive is duplicate in "},
             {"send_file '';", "\"send_file\" directive needs a path in "},
             {"sendfile maybe;", "invalid value \"maybe\" in \"sendfile\" directive"},
             {"aio maybe;", "\"aio\" directive invalid value in "},
             {"aio threads=;", "\"aio\" directive invalid value in "},
             {"aio off; aio off;", "\"aio\" directive is duplicate in "},
             {"aio threads=none;", "unknown thread pool \"none\" in "},
             {"directio x;", "\"directio\" directive invalid value in "},
             {"directio off; directio off;", "\"directio\" directive is duplicate in "},
             {"directio_alignment 1000;", "\"directio_alignment\" directive must be a power of 2"},
             {"directio_alignment 0;", "\"directio_alignment\" directive must be a power of 2"},
             {"output_buffers 0 1;", "\"output_buffers\" directive invalid value in "},
             {"output_buffers 2 1000; directio 1;",
              "with \"directio\" the size of \"output_buffers\" must be a multiple of "
              "\"directio_alignment\", 512 in "}}) {
        const std::string why =
            refusal("server { listen unix:DIR/a; " + std::string(directives) + " }");
        BOOST_TEST(contains(why, message), why);
    }
}

BOOST_AUTO_TEST_CASE(an_event_method_without_aio_or_threads_refuses_them)
{
    for (const std::string& use : built_pollers_without_notify()) {
        for (const bool before : {true, false}) {
            const std::string events = "events { use " + use + "; }\n";
            const auto refused = [&](const std::string& directive) {
                const std::string stream = "stream { " + directive + " }\n";
                const TestCycle cycle(before ? events + stream : stream + events, Start::conf);
                return cycle.ok() ? "it was accepted" : cycle.log();
            };
            BOOST_TEST(contains(refused("aio on;"), "[emerg]"));
            BOOST_TEST(
                contains(refused("aio on;"),
                         "\"aio on\" is unsupported by the event method \"" + use + "\" in "));
            BOOST_TEST(contains(refused("aio threads;"),
                                "the event method \"" + use +
                                    "\" cannot be used with thread pools, as \"default\" in "));
            BOOST_TEST(refused("aio off;") == "it was accepted");
        }
    }
}

BOOST_AUTO_TEST_CASE(without_aio_in_the_kernel_the_file_is_read_at_once,
                     *boost::unit_test::precondition(poller_is_epoll))
{
    const FakeCall io_setup(Call::io_setup, {.err = ENOSYS});
    const FileServer files(text_of(100'000), "aio on;", "unix:DIR/a");
    const Client client = files.server.connect();
    const std::string got = files.server.serve([&client] { return client.receive_all(); });
    BOOST_TEST((got == text_of(100'000)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
