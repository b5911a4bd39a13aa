// The effect of recv() and readv() on a read event: each case runs with both.

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <tuple>

#include <boost/test/unit_test.hpp>

#include "event/event.hpp"
#include "os/unix/os.hpp"
#include "test/os/unix/pair.hpp"

namespace ngx::test {

namespace {

struct Recv {
    static constexpr Call call = Call::recv;
    static constexpr std::string_view name = "recv() failed";

    static ssize_t read(Connection& c, char* buf, std::size_t size)
    {
        return unix_recv(c, buf, size);
    }
};

struct Readv {
    static constexpr Call call = Call::readv;
    static constexpr std::string_view name = "readv() failed";

    static ssize_t read(Connection& c, char* buf, std::size_t size)
    {
        Pieces pieces;
        pieces.add_free(buf, buf + size);
        return ngx::readv_chain(c, pieces.chain(), 0);
    }
};

using Readers = std::tuple<Recv, Readv>;

/// A pair whose connection reads with Reader.
template <typename Reader>
struct Reading : Pair {
    using Pair::Pair;

    ssize_t read(std::size_t size)
    {
        buf.assign(size, '.');
        return Reader::read(c, buf.data(), size);
    }

    std::string buf{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(recv)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_read_returns_the_data_that_has_arrived, Reader, Readers)
{
    Reading<Reader> r;
    r.peer_sends("hello");
    BOOST_TEST(r.read(8) == 5);
    BOOST_TEST(r.buf == "hello...");
    BOOST_CHECK(!r.rev.eof);
    BOOST_CHECK(!r.rev.error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_read_takes_no_more_than_was_asked_for, Reader, Readers)
{
    for (const Mode mode : {Mode::level, Mode::greedy, Mode::rdhup}) {
        Reading<Reader> r(mode);
        r.peer_sends("hello");
        BOOST_TEST(r.read(2) == 2);
        BOOST_TEST(r.buf == "he");
        BOOST_CHECK(r.rev.ready);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_full_read_counts_the_rest, Reader, Readers)
{
    Reading<Reader> r;
    r.peer_sends("hello");
    BOOST_TEST(r.read(2) == 2);
    BOOST_TEST(r.rev.available == 3);
    BOOST_TEST(r.read(2) == 2);
    BOOST_TEST(r.rev.available == 1);
    BOOST_TEST(r.read(2) == 1);
    BOOST_TEST(r.rev.available == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_short_read_leaves_nothing_to_a_level_poller, Reader, Readers)
{
    Reading<Reader> r(Mode::level);
    r.peer_sends("hello");
    r.read(8);
    BOOST_CHECK(!r.rev.ready);
}

// The poller reports again only after EAGAIN.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_short_read_does_not_stop_a_greedy_poller, Reader, Readers)
{
    Reading<Reader> r(Mode::greedy);
    r.peer_sends("hello");
    r.read(8);
    BOOST_CHECK(r.rev.ready);
    BOOST_TEST(r.rev.available == -1);
    BOOST_TEST(r.read(8) == io_again);
    BOOST_CHECK(!r.rev.ready);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_short_read_is_the_last_where_the_end_of_data_is_reported, Reader,
                              Readers)
{
    Reading<Reader> r(Mode::rdhup);
    r.peer_sends("hello");
    BOOST_TEST(r.read(8) == 5);
    BOOST_CHECK(!r.rev.ready);
    BOOST_TEST(r.rev.available == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_short_read_before_a_reported_end_of_data_is_not_the_last, Reader,
                              Readers)
{
    Reading<Reader> r(Mode::rdhup);
    r.rev.pending_eof = 1;
    r.peer_sends("hello");
    r.peer.close();
    BOOST_TEST(r.read(8) == 5);
    BOOST_CHECK(r.rev.ready);
    BOOST_TEST(r.rev.available == 0);

    BOOST_TEST(r.read(8) == 0);
    BOOST_CHECK(r.rev.eof);
    BOOST_CHECK(!r.rev.ready);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(no_call_is_made_when_all_was_reported_and_read, Reader, Readers)
{
    Reading<Reader> r(Mode::rdhup);
    r.peer_sends("late");
    r.rev.available = 0;
    const FakeCall call(Reader::call, {}, 0);
    BOOST_TEST(r.read(8) == io_again);
    BOOST_TEST(call.calls() == 0);
    BOOST_CHECK(!r.rev.ready);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(other_pollers_make_the_call_though_nothing_is_known, Reader, Readers)
{
    for (const Mode mode : {Mode::level, Mode::greedy}) {
        Reading<Reader> r(mode);
        r.peer_sends("late");
        r.rev.available = 0;
        BOOST_TEST(r.read(8) == 4);
    }
}

// use_epoll_rdhup does not change when another poller is used.
BOOST_AUTO_TEST_CASE_TEMPLATE(the_report_of_the_end_of_data_counts_for_epoll_only, Reader, Readers)
{
    Reading<Reader> r(Mode::level);
    use_epoll_rdhup = true;
    r.peer_sends("late");
    r.rev.available = 0;
    BOOST_TEST(r.read(8) == 4);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(exactly_what_was_reported_leaves_the_event_ready, Reader, Readers)
{
    Reading<Reader> r(Mode::rdhup);
    r.rev.available = 5;
    r.peer_sends("hello");
    BOOST_TEST(r.read(5) == 5);
    BOOST_TEST(r.rev.available == 0);
    BOOST_CHECK(r.rev.ready);
    BOOST_TEST(r.read(5) == io_again);
    BOOST_CHECK(!r.rev.ready);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(more_than_was_reported_means_that_an_edge_will_come, Reader, Readers)
{
    Reading<Reader> r(Mode::greedy);
    r.rev.available = 3;
    r.peer_sends("hello");
    BOOST_TEST(r.read(5) == 5);
    BOOST_TEST(r.rev.available == 0);
    BOOST_CHECK(!r.rev.ready);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_end_of_data_reads_as_zero, Reader, Readers)
{
    for (const Mode mode : {Mode::level, Mode::greedy, Mode::rdhup}) {
        Reading<Reader> r(mode);
        r.peer.close();
        BOOST_TEST(r.read(8) == 0);
        BOOST_CHECK(r.rev.eof);
        BOOST_CHECK(!r.rev.ready);
        BOOST_CHECK(!r.rev.error);
        BOOST_TEST(r.log.text == "");
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(nothing_to_read_is_no_error, Reader, Readers)
{
    for (const Mode mode : {Mode::level, Mode::greedy, Mode::rdhup}) {
        Reading<Reader> r(mode);
        BOOST_TEST(r.read(8) == io_again);
        BOOST_CHECK(!r.rev.ready);
        BOOST_CHECK(!r.rev.eof);
        BOOST_CHECK(!r.rev.error);
        BOOST_TEST(r.log.text == "");
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_read_that_a_signal_interrupts_is_repeated, Reader, Readers)
{
    Reading<Reader> r;
    r.peer_sends("hello");
    const FakeCall call(Reader::call, {.err = EINTR}, 3);
    BOOST_TEST(r.read(5) == 5);
    BOOST_TEST(call.calls() == 4);
    BOOST_CHECK(r.rev.ready);
    BOOST_TEST(r.log.text == "");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_error_is_logged_and_recorded, Reader, Readers)
{
    Reading<Reader> r;
    const FakeCall call(Reader::call, {.err = EFAULT});
    BOOST_TEST(r.read(5) == io_error);
    BOOST_CHECK(r.rev.error);
    BOOST_CHECK(!r.rev.ready);
    BOOST_TEST(contains(r.log.text, "[alert]"));
    BOOST_TEST(contains(r.log.text, std::string(Reader::name) + " (14: Bad address)\n"));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_level_of_a_reset_is_the_connections, Reader, Readers)
{
    const std::array wanted{std::pair{ConnectionError::alert, "[error]"},
                            std::pair{ConnectionError::err, "[error]"},
                            std::pair{ConnectionError::info, "[info]"},
                            std::pair{ConnectionError::ignore_einval, "[info]"}};
    for (const auto& [log_error, level] : wanted) {
        Reading<Reader> r;
        r.c.log_error = log_error;
        const FakeCall call(Reader::call, {.err = ECONNRESET});
        BOOST_TEST(r.read(5) == io_error);
        BOOST_CHECK(r.rev.error);
        BOOST_TEST(contains(r.log.text, level));
        BOOST_TEST(contains(r.log.text, "(104: Connection reset by peer)\n"));
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_reset_that_is_to_be_ignored_reads_as_the_end_of_data, Reader,
                              Readers)
{
    Reading<Reader> r;
    r.c.log_error = ConnectionError::ignore_econnreset;
    const FakeCall call(Reader::call, {.err = ECONNRESET});
    BOOST_TEST(r.read(5) == 0);
    BOOST_CHECK(!r.rev.error);
    BOOST_CHECK(!r.rev.ready);
    BOOST_TEST(r.log.text == "");
}

// A unix socket that is closed with unread data resets its peer.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_reset_of_the_kernels_is_an_error, Reader, Readers)
{
    Reading<Reader> r;
    BOOST_TEST(::send(r.c.fd, "unread", 6, 0) == 6);
    r.peer.close();
    BOOST_TEST(r.read(5) == io_error);
    BOOST_TEST(contains(r.log.text, "(104: Connection reset by peer)\n"));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(data_that_cannot_be_counted_is_an_error, Reader, Readers)
{
    Reading<Reader> r;
    r.peer_sends("hello");
    const FakeCall ioctl(Call::ioctl, {.err = EBADF});
    BOOST_TEST(r.read(2) == io_error);
    BOOST_CHECK(r.rev.error);
    BOOST_CHECK(!r.rev.ready);
    BOOST_TEST(contains(r.log.text, "ioctl(FIONREAD) failed (9: Bad file descriptor)\n"));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(data_is_counted_only_after_a_full_read, Reader, Readers)
{
    Reading<Reader> r(Mode::greedy);
    r.peer_sends("hello");
    const FakeCall ioctl(Call::ioctl, {}, 0);
    r.read(8);
    BOOST_TEST(ioctl.calls() == 0);
    r.peer_sends("hello");
    r.read(5);
    BOOST_TEST(ioctl.calls() == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
