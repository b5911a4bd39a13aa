#include <cerrno>
#include <deque>
#include <limits>
#include <netinet/tcp.h>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/file.hpp"
#include "core/palloc.hpp"
#include "core/thread_pool.hpp"
#include "os/unix/files.hpp"
#include "test/os/unix/pair.hpp"
#include "test/support/cycle.hpp"
#include "test/support/forked.hpp"

namespace ngx::test {

namespace {

/// A file that contains the alphabet several times.
struct Sender : Pair {
    Sender()
    {
        for (int i = 0; i < 5000; i++) {
            text += "abcdefghijklmnopqrstuvwxyz";
        }
        write_file(path, text);
        descriptor = Fd(open_file(path.c_str(), O_RDONLY));
        file.fd = descriptor.get();
        file.name = path.native();
        file.log = &log.log;
        c.pool = create_pool(connection_pool_size, &log.log);
        c.tcp_nopush = TcpOption::disabled;  // as for every unix socket
    }
    ~Sender() { destroy_pool(c.pool); }

    /// Appends a part of the file to the chain.
    Buf& add_file(off_t from, off_t to)
    {
        Buf& b = pieces.add(nullptr, nullptr);
        b.memory = 0;
        b.in_file = 1;
        b.file = &file;
        b.file_pos = from;
        b.file_last = to;
        return b;
    }

    /// Appends a piece of memory to the chain.
    Buf& add_memory(std::string_view piece)
    {
        std::string& kept = memory.emplace_back(piece);
        return pieces.add(kept.data(), kept.data() + kept.size());
    }

    /// Returns the unsent rest after one call.
    Chain* send(off_t limit = 0) { return linux_sendfile_chain(c, pieces.chain(), limit); }

    /// Sends everything, in as many calls as needed. Returns what the peer received.
    std::string send_all()
    {
        std::string received;
        Chain* left = pieces.chain();
        for (calls = 0; left && calls < 1'000'000; calls++) {
            wev.ready = 1;
            left = linux_sendfile_chain(c, left, 0);
            BOOST_TEST_REQUIRE((left != chain_error), log.text);
            received += peer_receives();
        }
        return received;
    }

    TempDir dir;
    std::filesystem::path path = dir / "file";
    std::string text{};
    Fd descriptor{};
    File file{};
    Pieces pieces{};
    std::deque<std::string> memory{};
    int calls = 0;
};

/// The same on a TCP connection, for its options.
struct TcpSender : Sender {
    TcpSender()
    {
        const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in sa{};
        sa.sin_family = AF_INET;
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t len = sizeof(sa);
        auto* const any = reinterpret_cast<sockaddr*>(&sa);
        peer = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::bind(listener.get(), any, len) == -1 || ::listen(listener.get(), 1) == -1 ||
            ::getsockname(listener.get(), any, &len) == -1 ||
            ::connect(peer.get(), any, len) == -1) {
            throw std::runtime_error("no connection");
        }
        own = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        c.fd = own.get();
        c.tcp_nopush = TcpOption::unset;
    }

    [[nodiscard]] bool option(int name) const
    {
        int value = 0;
        socklen_t len = sizeof(value);
        ::getsockopt(c.fd, IPPROTO_TCP, name, &value, &len);
        return value != 0;
    }
};

/// A file that threads send: the test runs the task.
struct ThreadSender : Sender {
    ThreadSender()
    {
        file.thread_ctx = this;
        file.thread_handler = [](ThreadTask& task, File& f) noexcept {
            auto& sender = *static_cast<ThreadSender*>(f.thread_ctx);
            sender.posted++;
            task.event.active = sender.answer == Rc::ok;
            return sender.answer;
        };
    }

    /// Runs the thread's part, and then the loop's part when the task has returned.
    void run()
    {
        ThreadTask& task = *c.sendfile_task;
        task.handler(task.ctx, &log.log);
        task.event.active = 0;
        task.event.complete = 1;
    }

    Rc answer = Rc::ok;
    int posted = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(linux_sendfile_chain)

BOOST_FIXTURE_TEST_CASE(memory_is_sent_by_one_writev, Sender)
{
    add_memory("abc");
    add_memory("def");
    const FakeCall writev(Call::writev, {}, 0);
    const FakeCall sendfile(Call::sendfile, {}, 0);
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(writev.calls() == 1);
    BOOST_TEST(sendfile.calls() == 0);
    BOOST_TEST(peer_receives() == "abcdef");
    BOOST_TEST(c.sent == 6);
}

BOOST_FIXTURE_TEST_CASE(a_piece_of_a_file_is_sent_by_one_sendfile, Sender)
{
    add_file(2, 5);
    const FakeCall writev(Call::writev, {}, 0);
    const FakeCall sendfile(Call::sendfile, {}, 0);
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(writev.calls() == 0);
    BOOST_TEST(sendfile.calls() == 1);
    BOOST_TEST(peer_receives() == "cde");
    BOOST_TEST(pieces[0].file_pos == 5);
    BOOST_TEST(c.sent == 3);
    BOOST_CHECK(wev.ready);
}

BOOST_FIXTURE_TEST_CASE(header_file_and_trailer_arrive_in_their_order, Sender)
{
    add_memory("header ");
    add_file(0, 3);
    add_memory(" between ");
    add_file(23, 26);
    add_memory(" trailer");
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(peer_receives() == "header abc between xyz trailer");
}

BOOST_FIXTURE_TEST_CASE(pieces_side_by_side_in_a_file_go_in_one_call, Sender)
{
    add_file(0, 3);
    add_file(3, 4);
    add_file(4, 9);
    add_file(10, 12);
    const FakeCall sendfile(Call::sendfile, {}, 0);
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(sendfile.calls() == 2);
    BOOST_TEST(peer_receives() == "abcdefghikl");
}

BOOST_FIXTURE_TEST_CASE(a_socket_that_takes_one_byte_at_a_time_gets_them_all, Sender)
{
    add_memory("header ");
    add_file(0, 100);
    add_memory(" trailer");
    const FakeCall writev(Call::writev, {.at_most = 1}, FakeCall::always);
    const FakeCall sendfile(Call::sendfile, {.at_most = 1}, FakeCall::always);
    BOOST_TEST(send_all() == "header " + text.substr(0, 100) + " trailer");
    BOOST_TEST(sendfile.calls() == 100);
    BOOST_TEST(c.sent == 115);
}

BOOST_FIXTURE_TEST_CASE(a_socket_that_is_full_now_and_then_gets_all, Sender)
{
    shrink();
    add_memory("header ");
    add_file(0, static_cast<off_t>(text.size()));
    add_memory(" trailer");
    BOOST_TEST((send_all() == "header " + text + " trailer"));
    BOOST_TEST(calls > 1);
}

BOOST_FIXTURE_TEST_CASE(a_sendfile_that_stops_early_is_called_until_the_socket_is_full, Sender)
{
    add_file(0, 26);
    const FakeCall sendfile(Call::sendfile, {.at_most = 5}, 2);
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(sendfile.calls() == 3);
    BOOST_TEST(peer_receives() == text.substr(0, 26));
}

BOOST_FIXTURE_TEST_CASE(a_full_socket_is_no_error, Sender)
{
    add_file(0, 26);
    const FakeCall sendfile(Call::sendfile, {.err = EAGAIN});
    BOOST_TEST(send() == pieces.chain());
    BOOST_CHECK(!wev.ready);
    BOOST_CHECK(!wev.error);
    BOOST_TEST(log.text == "");
}

BOOST_FIXTURE_TEST_CASE(a_sendfile_that_a_signal_interrupts_is_repeated, Sender)
{
    add_file(0, 26);
    const FakeCall sendfile(Call::sendfile, {.err = EINTR}, 3);
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(sendfile.calls() == 4);
    BOOST_TEST(peer_receives() == text.substr(0, 26));
}

BOOST_FIXTURE_TEST_CASE(no_call_is_made_while_the_event_is_not_ready, Sender)
{
    add_file(0, 26);
    wev.ready = 0;
    const FakeCall sendfile(Call::sendfile, {}, 0);
    BOOST_TEST(send() == pieces.chain());
    BOOST_TEST(sendfile.calls() == 0);
}

BOOST_FIXTURE_TEST_CASE(a_file_that_was_truncated_is_an_alert, Sender)
{
    add_file(100, static_cast<off_t>(text.size()));
    std::filesystem::resize_file(path, 100);
    BOOST_TEST(send() == chain_error);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "sendfile() reported that \"" + path.string() +
                                      "\" was truncated at 100\n"));
}

BOOST_FIXTURE_TEST_CASE(a_failure_of_sendfile_is_an_error, Sender)
{
    add_file(0, 26);
    const FakeCall sendfile(Call::sendfile, {.err = EIO});
    BOOST_TEST(send() == chain_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "sendfile() failed (5: Input/output error)\n"));
}

BOOST_FIXTURE_TEST_CASE(a_peer_that_is_gone_is_an_error, Sender)
{
    add_file(0, 26);
    peer.close();
    ::signal(SIGPIPE, SIG_IGN);  // sendfile() has no flag against it
    BOOST_TEST(send() == chain_error);
    BOOST_TEST(contains(log.text, "sendfile() failed (32: Broken pipe)\n"));
}

BOOST_FIXTURE_TEST_CASE(a_limit_leaves_the_rest_and_the_event_ready, Sender)
{
    add_memory("header ");
    add_file(0, 100'000);
    BOOST_TEST(send(3) == pieces.chain());
    BOOST_CHECK(wev.ready);
    BOOST_TEST(peer_receives() == "hea");
    const auto page = static_cast<off_t>(pagesize);
    BOOST_TEST(send(4 + 10) == pieces.link(1));
    BOOST_CHECK(wev.ready);
    BOOST_TEST(pieces[1].file_pos == page);  // a page is sent completely
}

BOOST_FIXTURE_TEST_CASE(no_call_is_for_more_than_two_gigabytes, Sender)
{
    constexpr off_t big = off_t{5} << 30;
    std::filesystem::resize_file(path, big);
    add_file(0, big);
    const FakeCall sendfile(Call::sendfile, {.result = std::numeric_limits<int>::max() - 4096});
    BOOST_TEST(send() == pieces.chain());
    BOOST_TEST(sendfile.calls() == 1);
    BOOST_TEST(c.sent == std::numeric_limits<int>::max() - 4096);
    BOOST_CHECK(wev.ready);
}

BOOST_FIXTURE_TEST_CASE(an_empty_piece_of_a_file_calls_debug_point, Sender)
{
    const TestCycle cycle("events {}", Start::conf);
    add_file(7, 7);
    BOOST_TEST(send() == chain_error);
}

BOOST_FIXTURE_TEST_CASE(memory_before_a_file_is_corked, TcpSender)
{
    add_memory("header ");
    add_file(0, 26);
    BOOST_TEST(send() == nullptr);
    BOOST_TEST((c.tcp_nopush == TcpOption::set));
    BOOST_TEST(option(TCP_CORK));
}

BOOST_FIXTURE_TEST_CASE(a_cork_replaces_nodelay, TcpSender)
{
    BOOST_TEST((tcp_nodelay(c) == Rc::ok));
    BOOST_TEST(option(TCP_NODELAY));
    add_memory("header ");
    add_file(0, 26);
    BOOST_TEST(send() == nullptr);
    BOOST_TEST((c.tcp_nodelay == TcpOption::unset));
    BOOST_TEST(!option(TCP_NODELAY));
    BOOST_TEST(option(TCP_CORK));
}

BOOST_FIXTURE_TEST_CASE(nothing_is_corked_without_memory_before_a_file, TcpSender)
{
    add_file(0, 26);
    add_memory(" trailer");
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(!option(TCP_CORK));
    BOOST_TEST((c.tcp_nopush == TcpOption::unset));
}

BOOST_FIXTURE_TEST_CASE(a_connection_may_do_without_a_cork, TcpSender)
{
    c.tcp_nopush = TcpOption::disabled;
    add_memory("header ");
    add_file(0, 26);
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(!option(TCP_CORK));
}

BOOST_FIXTURE_TEST_CASE(an_option_that_cannot_be_set_is_an_error_unless_a_signal_was_there,
                        TcpSender)
{
    add_memory("header ");
    add_file(0, 26);
    {
        const FakeCall setsockopt(Call::setsockopt, {.err = ENOBUFS});
        BOOST_TEST(send() == chain_error);
        BOOST_TEST(contains(log.text, "setsockopt(TCP_CORK) failed (105: No buffer space"));
    }
    const FakeCall setsockopt(Call::setsockopt, {.err = EINTR});
    BOOST_TEST(send() == nullptr);
    BOOST_TEST((c.tcp_nopush == TcpOption::unset));
}

BOOST_FIXTURE_TEST_CASE(a_thread_sends_the_file_of_the_chain, ThreadSender)
{
    add_file(0, 26);
    BOOST_TEST(send() == pieces.chain());
    BOOST_TEST(posted == 1);
    BOOST_TEST(peer_receives() == "");
    BOOST_CHECK(wev.ready);
    run();
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(posted == 1);
    BOOST_TEST(peer_receives() == text.substr(0, 26));
    BOOST_TEST(c.sent == 26);
}

BOOST_FIXTURE_TEST_CASE(the_rest_of_a_threads_send_is_posted_again, ThreadSender)
{
    add_file(0, 26);
    const FakeCall sendfile(Call::sendfile, {.at_most = 10}, FakeCall::always);
    for (int i = 1; i <= 3; i++) {
        BOOST_TEST(send() == pieces.chain());
        BOOST_TEST(posted == i);
        run();
    }
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(peer_receives() == text.substr(0, 26));
}

BOOST_FIXTURE_TEST_CASE(a_socket_that_a_thread_found_full_is_waited_for, ThreadSender)
{
    add_file(0, 26);
    BOOST_TEST(send() == pieces.chain());
    const FakeCall sendfile(Call::sendfile, {.err = EAGAIN});
    run();
    BOOST_TEST(send() == pieces.chain());
    BOOST_TEST(posted == 1);
    BOOST_CHECK(!wev.ready);
}

BOOST_FIXTURE_TEST_CASE(room_that_was_reported_meanwhile_is_tried_at_once, ThreadSender)
{
    add_file(0, 26);
    BOOST_TEST(send() == pieces.chain());
    {
        const FakeCall sendfile(Call::sendfile, {.err = EAGAIN});
        run();
    }
    wev.complete = 1;  // as epoll sets it
    BOOST_TEST(send() == pieces.chain());
    BOOST_TEST(posted == 2);
    BOOST_CHECK(wev.ready);
    run();
    BOOST_TEST(send() == nullptr);
    BOOST_TEST(peer_receives() == text.substr(0, 26));
}

BOOST_FIXTURE_TEST_CASE(a_thread_repeats_a_call_that_a_signal_interrupts, ThreadSender)
{
    add_file(0, 26);
    BOOST_TEST(send() == pieces.chain());
    const FakeCall sendfile(Call::sendfile, {.err = EINTR}, 2);
    run();
    BOOST_TEST(sendfile.calls() == 3);
    BOOST_TEST(send() == nullptr);
}

BOOST_FIXTURE_TEST_CASE(a_failure_in_a_thread_is_an_error_of_the_chain, ThreadSender)
{
    add_file(0, 26);
    BOOST_TEST(send() == pieces.chain());
    const FakeCall sendfile(Call::sendfile, {.err = EIO});
    run();
    BOOST_TEST(send() == chain_error);
    BOOST_CHECK(wev.error);
    BOOST_TEST(contains(log.text, "sendfile() failed (5: Input/output error)\n"));
}

BOOST_FIXTURE_TEST_CASE(a_truncated_file_is_an_alert_when_a_thread_sends, ThreadSender)
{
    add_file(100, 200);
    std::filesystem::resize_file(path, 100);
    BOOST_TEST(send() == pieces.chain());
    run();
    BOOST_TEST(send() == chain_error);
    BOOST_TEST(contains(log.text, "\" was truncated at 100\n"));
}

BOOST_FIXTURE_TEST_CASE(a_task_that_no_pool_takes_is_an_error, ThreadSender)
{
    add_file(0, 26);
    answer = Rc::error;
    BOOST_TEST(send() == chain_error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
