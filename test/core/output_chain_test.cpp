#include "core/output_chain.hpp"

#include <cerrno>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/connection.hpp"
#include "core/file.hpp"
#include "core/thread_pool.hpp"
#include "event/event.hpp"
#include "event/event_posted.hpp"
#include "os/unix/files.hpp"
#include "test/support/cycle.hpp"
#include "test/support/fake_calls.hpp"
#include "test/support/log.hpp"
#include "test/support/process.hpp"

namespace ngx::test {

namespace {

/// A chain with parts of a file, and a filter that accepts as much as the test allows.
struct Output {
    Output()
    {
        for (int i = 0; text.size() < 5000; i++) {
            text += std::to_string(i) + " ";
        }
        write_file(path, text);
        descriptor = Fd(open_file(path.c_str(), O_RDONLY));
        file.fd = descriptor.get();
        file.name = path.native();
        file.log = &log.log;
        ctx.pool = pool;
        ctx.bufs = {2, 1024};
        ctx.filter_ctx = this;
        ctx.output_filter = [](void* data, Chain* in) noexcept {
            return static_cast<Output*>(data)->take(in);
        };
    }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    ~Output() { destroy_pool(pool); }

    Buf& add_file(off_t from, off_t to)
    {
        Buf& b = bufs.emplace_back();
        b.in_file = 1;
        b.file = &file;
        b.file_pos = from;
        b.file_last = to;
        add(b);
        return b;
    }

    Buf& add_memory(std::string_view piece)
    {
        Buf& b = bufs.emplace_back();
        b.pos = const_cast<char*>(piece.data());
        b.last = b.pos + piece.size();
        b.memory = 1;
        add(b);
        return b;
    }

    void add(Buf& b)
    {
        links.push_back({.buf = &b});
        if (links.size() > 1) {
            links[links.size() - 2].next = &links.back();
        }
    }

    Rc start() { return output_chain(ctx, links.empty() ? nullptr : &links.front()); }
    Rc go_on() { return output_chain(ctx, nullptr); }

    /// Calls output_chain() until it is done. Returns the last result.
    Rc run()
    {
        Rc rc = start();
        for (int i = 0; rc == Rc::again && i < 100'000; i++) {
            rc = go_on();
        }
        return rc;
    }

    /// The filter: accepts at most `room` bytes in a call.
    Rc take(Chain* in)
    {
        for (; in; in = in->next) {
            kept.push_back(in->buf);
            sizes.push_back(buf_size(*in->buf));
        }
        std::size_t left = room;
        while (!kept.empty() && left > 0) {
            Buf& b = *kept.front();
            const std::size_t n = std::min(left, buf_size(b));
            if (buf_in_memory(b)) {
                got.append(b.pos, n);
                b.pos += n;
            } else if (b.in_file) {
                from_file++;
                got += text.substr(static_cast<std::size_t>(b.file_pos), n);
                b.file_pos += static_cast<off_t>(n);
            }
            left -= n;
            last |= b.last_buf != 0;
            if (buf_size(b) > 0) {
                break;
            }
            kept.pop_front();
        }
        return failing ? Rc::error : kept.empty() ? Rc::ok : Rc::again;
    }

    TestLog log;
    TempDir dir;
    std::filesystem::path path = dir / "file";
    std::string text{};
    Fd descriptor{};
    File file{};
    Pool* pool = create_pool(connection_pool_size, &log.log);
    std::deque<Buf> bufs{};
    std::deque<Chain> links{};
    OutputChainCtx ctx{};

    std::size_t room = 1'000'000;
    bool failing = false;
    std::deque<Buf*> kept{};
    std::vector<std::size_t> sizes{};  // sizes of the received pieces
    std::string got{};
    int from_file = 0;
    bool last = false;
};

/// Uses direct reads. If the file system does not support them, the file is read normally.
struct DirectOutput : Output {
    DirectOutput() { file.directio = directio_on(file.fd) != -1; }
};

/// Uses reads in threads: the test completes a task.
struct ThreadOutput : Output {
    ThreadOutput()
    {
        ctx.thread_handler = [](ThreadTask&, File& f) noexcept {
            auto& output = *static_cast<ThreadOutput*>(f.thread_ctx);
            output.ctx.aio = output.answer == Rc::ok;
            return output.answer;
        };
    }

    void complete()
    {
        file.thread_task->handler(file.thread_task->ctx, &log.log);
        file.thread_task->event.complete = 1;
        ctx.aio = false;
    }

    Rc answer = Rc::ok;
};

/// A connection under a chain_writer.
struct Writer {
    Writer()
    {
        c.pool = pool;
        c.log = &log.log;
        c.data = this;
        c.write = &wev;
        wev.log = &log.log;
        wev.ready = 1;
        ctx.connection = &c;
        c.send_chain = [](Connection& conn, Chain* in, off_t max) noexcept {
            auto& writer = *static_cast<Writer*>(conn.data);
            writer.limit = max;
            if (writer.fails) {
                return chain_error;
            }
            std::size_t n = std::exchange(writer.takes, 0);
            for (; in && n > 0; in = in->next, n--) {
                in->buf->pos = in->buf->last;
            }
            return in;
        };
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer()
    {
        posted_next_events.clear();
        destroy_pool(pool);
    }

    Chain* chain(std::size_t n)
    {
        bufs.resize(n);
        links.resize(n);
        for (std::size_t i = 0; i < n; i++) {
            bufs[i].pos = text.data();
            bufs[i].last = text.data() + text.size();
            bufs[i].memory = 1;
            links[i] = {&bufs[i], i + 1 < n ? &links[i + 1] : nullptr};
        }
        return links.data();
    }

    TestLog log;
    Pool* pool = create_pool(connection_pool_size, &log.log);
    std::string text = "text";
    std::vector<Buf> bufs{};
    std::vector<Chain> links{};
    Connection c;
    Event wev;
    ChainWriterCtx ctx{};
    std::size_t takes = 0;  // number of buffers that the next call accepts
    bool fails = false;
    off_t limit = -1;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(output_chain_)

BOOST_FIXTURE_TEST_CASE(memory_is_passed_unchanged, Output)
{
    add_memory("header ");
    add_memory("and more");
    BOOST_TEST((start() == Rc::ok));
    BOOST_TEST(got == "header and more");
    BOOST_TEST(ctx.allocated == 0);
}

BOOST_FIXTURE_TEST_CASE(with_sendfile_a_file_is_passed_unchanged, Output)
{
    ctx.sendfile = true;
    add_memory("header ");
    add_file(0, 5000);
    BOOST_TEST((start() == Rc::ok));
    BOOST_TEST(got == "header " + text.substr(0, 5000));
    BOOST_TEST(from_file == 1);
    BOOST_TEST(ctx.allocated == 0);
}

BOOST_FIXTURE_TEST_CASE(without_sendfile_a_file_is_read_into_buffers, Output)
{
    add_memory("header ");
    add_file(10, 4500);
    BOOST_TEST((run() == Rc::ok));
    BOOST_TEST(got == "header " + text.substr(10, 4490));
    BOOST_TEST(from_file == 0);
    BOOST_TEST(ctx.allocated <= 2);
}

BOOST_FIXTURE_TEST_CASE(a_filter_that_takes_one_byte_at_a_time_gets_them_all, Output)
{
    room = 1;
    add_memory("header ");
    add_file(0, 3000);
    add_memory(" trailer");
    BOOST_TEST((run() == Rc::ok));
    BOOST_TEST(got == "header " + text.substr(0, 3000) + " trailer");
}

BOOST_FIXTURE_TEST_CASE(the_number_of_buffers_is_limited, Output)
{
    room = 0;
    add_file(0, 5000);
    BOOST_TEST((start() == Rc::again));
    for (int i = 0; i < 10; i++) {
        BOOST_TEST((go_on() == Rc::again));
    }
    BOOST_TEST(ctx.allocated == 2);
    BOOST_TEST(kept.size() == 2U);
    room = 1'000'000;
    Rc rc = Rc::again;
    for (int i = 0; rc == Rc::again && i < 100; i++) {
        rc = go_on();
    }
    BOOST_TEST((rc == Rc::ok));
    BOOST_TEST(ctx.allocated == 2);
    BOOST_TEST(got == text.substr(0, 5000));
}

BOOST_FIXTURE_TEST_CASE(a_small_last_piece_gets_a_buffer_of_its_size, Output)
{
    add_file(0, 10).last_buf = 1;
    BOOST_TEST((run() == Rc::ok));
    BOOST_TEST(got == text.substr(0, 10));
    BOOST_TEST(last);
    BOOST_TEST(sizes == (std::vector<std::size_t>{10}));
}

BOOST_FIXTURE_TEST_CASE(only_the_last_piece_of_the_last_buffer_is_the_last, Output)
{
    room = 100;
    add_file(0, 2048).last_buf = 1;
    BOOST_TEST((start() == Rc::again));
    while (got.size() < 1000) {
        BOOST_TEST_REQUIRE((go_on() == Rc::again));
        BOOST_TEST(!last);
    }
}

BOOST_FIXTURE_TEST_CASE(a_short_read_is_an_alert, Output)
{
    add_file(0, 2000);
    std::filesystem::resize_file(path, 1500);
    BOOST_TEST((run() == Rc::error));
    BOOST_TEST(contains(log.text, "[alert]"));
    BOOST_TEST(contains(log.text, "pread() read only 476 of 976 from \"" + path.string() + "\"\n"));
}

BOOST_FIXTURE_TEST_CASE(a_read_that_fails_is_an_error, Output)
{
    add_file(0, 2000);
    const FakeCall pread(Call::pread, {.err = EIO});
    BOOST_TEST((run() == Rc::error));
    BOOST_TEST(contains(log.text, "pread() \"" + path.string() + "\" failed (5: Input/output "));
}

BOOST_FIXTURE_TEST_CASE(a_filter_that_fails_ends_the_chain, Output)
{
    failing = true;
    add_memory("header");
    add_file(0, 2000);
    BOOST_TEST((start() == Rc::error));
}

BOOST_FIXTURE_TEST_CASE(an_empty_piece_is_an_alert_and_left_out, Output)
{
    const TestCycle cycle("events {}", Start::conf);
    add_memory("header ");
    add_file(5, 5);
    add_memory("trailer");
    BOOST_TEST((run() == Rc::ok));
    BOOST_TEST(got == "header trailer");
    BOOST_TEST(contains(log.text, "zero size buf in output t:0 f:1 5-5\n"));
}

BOOST_FIXTURE_TEST_CASE(with_directio_an_unaligned_part_is_read_separately, DirectOutput)
{
    add_file(100, 5000);
    BOOST_TEST((run() == Rc::ok), log.text);
    BOOST_TEST((got == text.substr(100, 4900)));
    if (file.directio) {
        // First up to an aligned offset, then whole buffers, then the rest.
        BOOST_TEST(sizes == (std::vector<std::size_t>{412, 1024, 1024, 1024, 1024, 392}),
                   boost::test_tools::per_element());
        BOOST_TEST((::fcntl(file.fd, F_GETFL) & O_DIRECT) != 0);
    }
}

BOOST_FIXTURE_TEST_CASE(with_directio_a_small_file_is_read_at_once, DirectOutput)
{
    add_file(0, 700).last_buf = 1;
    BOOST_TEST((run() == Rc::ok), log.text);
    BOOST_TEST((got == text.substr(0, 700)));
}

BOOST_FIXTURE_TEST_CASE(with_directio_sendfile_is_not_used, DirectOutput)
{
    ctx.sendfile = true;
    add_file(0, 5000);
    BOOST_TEST((run() == Rc::ok), log.text);
    BOOST_TEST((got == text.substr(0, 5000)));
    BOOST_TEST(from_file == (file.directio ? 0 : 1));
}

BOOST_FIXTURE_TEST_CASE(nothing_happens_while_a_thread_reads, ThreadOutput)
{
    add_memory("header ");
    add_file(0, 1500);
    BOOST_TEST((start() == Rc::again));
    BOOST_TEST(got == "header ");  // the data in memory is sent before
    BOOST_TEST((go_on() == Rc::again));
    BOOST_TEST(got == "header ");
    complete();
    BOOST_TEST((go_on() == Rc::again));
    complete();
    BOOST_TEST((go_on() == Rc::ok));
    BOOST_TEST(got == "header " + text.substr(0, 1500));
}

BOOST_FIXTURE_TEST_CASE(a_read_that_fails_in_a_thread_is_an_error, ThreadOutput)
{
    add_file(0, 1500);
    BOOST_TEST((start() == Rc::again));
    {
        const FakeCall pread(Call::pread, {.err = EIO});
        complete();
    }
    BOOST_TEST((go_on() == Rc::error));
}

BOOST_FIXTURE_TEST_CASE(a_task_that_no_pool_takes_is_an_error, ThreadOutput)
{
    answer = Rc::error;
    add_file(0, 1500);
    BOOST_TEST((start() == Rc::error));
}

BOOST_FIXTURE_TEST_CASE(a_file_has_the_thread_handler_of_the_chain, ThreadOutput)
{
    ctx.sendfile = true;
    add_file(0, 1500);
    BOOST_TEST((start() == Rc::ok));
    BOOST_TEST((file.thread_handler == ctx.thread_handler));
    BOOST_TEST(file.thread_ctx == this);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(chain_writer_)

BOOST_FIXTURE_TEST_CASE(a_chain_that_is_sent_completely_is_done, Writer)
{
    takes = 3;
    ctx.limit = 77;
    BOOST_TEST((chain_writer(&ctx, chain(3)) == Rc::ok));
    BOOST_TEST(ctx.out == nullptr);
    BOOST_TEST(limit == 77);
}

BOOST_FIXTURE_TEST_CASE(the_rest_is_sent_first_the_next_time, Writer)
{
    takes = 1;
    wev.ready = 0;
    BOOST_TEST((chain_writer(&ctx, chain(3)) == Rc::again));
    BOOST_TEST(ctx.out->buf == &bufs[1]);
    takes = 1;
    BOOST_TEST((chain_writer(&ctx, nullptr) == Rc::again));
    BOOST_TEST(ctx.out->buf == &bufs[2]);
    takes = 1;
    BOOST_TEST((chain_writer(&ctx, nullptr) == Rc::ok));
    BOOST_TEST(posted_next_events.empty());
}

BOOST_FIXTURE_TEST_CASE(nothing_is_sent_without_a_call, Writer)
{
    BOOST_TEST((chain_writer(&ctx, nullptr) == Rc::ok));
    BOOST_TEST(limit == -1);
}

BOOST_FIXTURE_TEST_CASE(above_the_limit_the_rest_is_sent_in_the_next_turn, Writer)
{
    takes = 1;
    BOOST_TEST((chain_writer(&ctx, chain(3)) == Rc::again));
    BOOST_TEST(!posted_next_events.empty());
}

BOOST_FIXTURE_TEST_CASE(while_a_thread_sends_there_is_no_next_turn, Writer)
{
    ThreadTask task;
    task.event.active = 1;
    c.sendfile_task = &task;
    BOOST_TEST((chain_writer(&ctx, chain(1)) == Rc::again));
    BOOST_TEST(posted_next_events.empty());
}

BOOST_FIXTURE_TEST_CASE(a_connection_that_fails_is_an_error, Writer)
{
    fails = true;
    BOOST_TEST((chain_writer(&ctx, chain(1)) == Rc::error));
}

BOOST_FIXTURE_TEST_CASE(links_are_reused, Writer)
{
    takes = 3;
    BOOST_TEST((chain_writer(&ctx, chain(3)) == Rc::ok));
    const Chain* const first = pool->chain;
    takes = 3;
    BOOST_TEST((chain_writer(&ctx, chain(3)) == Rc::ok));
    std::size_t links_n = 0;
    bool found = false;
    for (const Chain* cl = pool->chain; cl; cl = cl->next) {
        links_n++;
        found |= cl == first;
    }
    BOOST_TEST(links_n == 3U);
    BOOST_TEST(found);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
