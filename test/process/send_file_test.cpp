// A file of one gigabyte, sent in each way; slow readers, many readers, and workers that end while
// they send a file.

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <deque>
#include <future>
#include <random>
#include <system_error>
#include <vector>

#include "test/process/client.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

constexpr std::size_t megabyte = 1024 * 1024;

/// A file that is mostly a hole, with unique texts in it. Its size is not a multiple of a page.
class BigFile {
public:
    explicit BigFile(std::size_t size) : size_(size)
    {
        const Fd fd(::open(path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (::ftruncate(fd.get(), static_cast<off_t>(size)) == -1) {
            throw std::system_error(errno, std::generic_category(), "ftruncate()");
        }
        std::minstd_rand random;
        std::array<unsigned, 2500> piece{};
        for (std::size_t at = 0; at + sizeof(piece) < size; at += 3 * megabyte + 17) {
            for (unsigned& number : piece) {
                number = static_cast<unsigned>(random());
            }
            if (::pwrite(fd.get(), piece.data(), sizeof(piece), static_cast<off_t>(at)) == -1) {
                throw std::system_error(errno, std::generic_category(), "pwrite()");
            }
        }
        void* const map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
        if (map == MAP_FAILED) {
            throw std::system_error(errno, std::generic_category(), "mmap()");
        }
        map_ = static_cast<const char*>(map);
    }
    BigFile(const BigFile&) = delete;
    BigFile& operator=(const BigFile&) = delete;
    ~BigFile() { ::munmap(const_cast<char*>(map_), size_); }

    [[nodiscard]] std::string path() const { return dir_ / "file"; }

    /// Returns whether a client receives exactly the file, with reads of at most this size.
    [[nodiscard]] bool is_sent_to(const Client& client, std::size_t read_size = megabyte / 2) const
    {
        std::string buf(read_size, '\0');
        std::size_t got = 0;
        for (;;) {
            const ssize_t n = ::recv(client.fd(), buf.data(), buf.size(), 0);
            if (n <= 0) {
                return n == 0 && got == size_;
            }
            const auto more = static_cast<std::size_t>(n);
            if (more > size_ - got || std::memcmp(buf.data(), map_ + got, more) != 0) {
                return false;
            }
            got += more;
        }
    }

private:
    TempDir dir_;
    std::size_t size_;
    const char* map_ = nullptr;
};

/// Returns the directives for each way of sending a file with the method under test.
std::vector<std::string> ways()
{
    if (setup().method != "epoll") {
        return {"sendfile on;", ""};
    }
    return {"sendfile on;", "aio on; directio 1; output_buffers 4 256k;", "aio threads;",
            "aio threads; sendfile on;", ""};
}

std::string send_file_block(const Port& port, const std::string& path, const std::string& way,
                            std::string_view listen_parameters = "")
{
    return server_block(port, "send_file " + path + "; " + way, listen_parameters);
}

/// A server that sends a big file, whose client has started to read.
struct Download {
    explicit Download(const std::string& way, ServerConf conf = {.workers = 1})
        : server([&] {
            conf.stream = send_file_block(port, file.path(), way, "sndbuf=32k");
            return conf;
        }())
    {
        server.allow("fcntl(O_DIRECT)");
        if (client.receive(1).size() != 1) {
            fail("nothing came");
        }
    }

    /// Receives the rest. Returns the total size.
    [[nodiscard]] std::size_t rest() const { return client.receive_all().size() + 1; }

    static constexpr std::size_t size = 16 * megabyte;

    BigFile file{size};
    Port port;
    Server server;
    Client client{port, "127.0.0.1", {.receive = 32 * 1024}};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_send_file)

BOOST_AUTO_TEST_CASE(a_gigabyte_arrives_unchanged_in_each_way)
{
    const std::size_t size = setup().method == "epoll" ? 1024 * megabyte + 1 : 64 * megabyte + 1;
    const BigFile file(size);
    std::deque<Port> ports;
    std::string stream;
    for (const std::string& way : ways()) {
        stream += send_file_block(ports.emplace_back(), file.path(), way);
    }
    Server server({.stream = stream});
    server.allow("fcntl(O_DIRECT)");  // if the file system does not support it
    for (std::size_t i = 0; i < ports.size(); i++) {
        BOOST_TEST(file.is_sent_to(Client(ports[i])), ways()[i]);
    }
}

BOOST_AUTO_TEST_CASE(slow_readers_get_all_of_it)
{
    const BigFile file(megabyte + 1);
    for (const std::string& way : ways()) {
        const Port port;
        Server server({.stream = send_file_block(port, file.path(), way, "sndbuf=8k")});
        server.allow("fcntl(O_DIRECT)");
        std::vector<std::future<bool>> readers;
        for (int i = 0; i < 8; i++) {
            readers.push_back(std::async(std::launch::async, [&] {
                return file.is_sent_to(Client(port, "127.0.0.1", {.receive = 4096}), 1000);
            }));
        }
        for (auto& reader : readers) {
            BOOST_TEST(reader.get(), way);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_thousand_clients_get_a_small_file_at_once)
{
    const std::size_t n = setup().method == "select" ? 400 : 1000;
    const BigFile file(70'000);
    for (const std::string& way : ways()) {
        const Port port;
        Server server({.stream = send_file_block(port, file.path(), way, "backlog=1024 sndbuf=8k"),
                       .events = fmt::format("worker_connections {};", n + 24)},
                      3000);
        server.allow("fcntl(O_DIRECT)");
        server.pause();
        std::vector<Client> clients;
        for (std::size_t i = 0; i < n; i++) {
            clients.emplace_back(port);
        }
        server.resume();
        std::size_t good = 0;
        for (const Client& client : clients) {
            good += file.is_sent_to(client) ? 1 : 0;
        }
        BOOST_TEST(good == n, way);
    }
}

BOOST_AUTO_TEST_CASE(a_worker_that_is_asked_to_end_sends_its_file_first)
{
    for (const std::string& way : ways()) {
        Download download(way);
        auto end = std::async(std::launch::async, [&] { return download.server.stop(SIGQUIT); });
        download.server.wait_for_log("gracefully shutting down");
        BOOST_TEST(download.rest() == Download::size, way);
        BOOST_TEST(end.get().exited_with(0), way);
    }
}

BOOST_AUTO_TEST_CASE(sigterm_does_not_wait_for_a_file)
{
    for (const std::string& way : ways()) {
        for (const int workers : {0, 1}) {
            Download download(way, {.workers = workers});
            BOOST_TEST(download.server.stop(SIGTERM).exited_with(0), way);
            BOOST_TEST(download.client.until_closed().size() < Download::size, way);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_reload_lets_a_file_go_on)
{
    for (const std::string& way : ways()) {
        for (const int workers : {0, 1}) {
            Download download(way, {.workers = workers});
            download.server.reload(
                {.stream = server_block(download.port, "return new;"), .workers = workers});
            BOOST_TEST(ask(download.port) == "new", way);
            BOOST_TEST(download.rest() == Download::size, way);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_shutdown_that_takes_too_long_breaks_a_file_off)
{
    for (const std::string& way : ways()) {
        Download download(way, {.main = "worker_shutdown_timeout 50ms;", .workers = 1});
        BOOST_TEST(download.server.stop(SIGQUIT).exited_with(0), way);
        BOOST_TEST(download.client.until_closed().size() < Download::size, way);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
