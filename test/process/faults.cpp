#include "test/process/faults.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

FaultState* map_new(const std::filesystem::path& file)
{
    const Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.is_open() || ::ftruncate(fd.get(), sizeof(FaultState)) == -1) {
        throw std::system_error(errno, std::generic_category(), file.string());
    }
    void* const map =
        ::mmap(nullptr, sizeof(FaultState), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (map == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "mmap()");
    }
    return ::new (map) FaultState;
}

template <std::size_t N>
void copy_text(std::array<char, N>& to, const std::string& text)
{
    if (text.size() >= N) {
        fail(text + " is too long");
    }
    to.fill('\0');
    std::ranges::copy(text, to.begin());
}

}  // namespace

std::string wait_call()
{
    const std::map<std::string, std::string> calls{{"epoll", "epoll_wait"},
                                                   {"iouring", "io_uring_enter"},
                                                   {"poll", "poll"},
                                                   {"select", "select"},
                                                   {"rtsig", "poll"}};
    return calls.at(setup().method);
}

Faults::Faults(std::filesystem::path file) : file_(std::move(file)), state_(map_new(file_)) {}

// A sanitizer normally requires to be the first library.
std::map<std::string, std::string> Faults::env() const
{
    const char* const options = std::getenv("ASAN_OPTIONS");
    const auto program = std::filesystem::read_symlink("/proc/self/exe");
    return {{"LD_PRELOAD", program.parent_path() / "fault.so"},
            {"NGXX_FAULT", file_},
            {"ASAN_OPTIONS",
             fmt::format("{}:verify_asan_link_order=0", options ? options : "detect_leaks=1")}};
}

void Faults::arm(const Fault& fault)
{
    disarm();
    copy_text(state_->call, fault.call);
    copy_text(state_->part, fault.part);
    state_->err = fault.err;
    state_->pid = fault.pid;
    state_->stays = fault.stays;
    state_->pass = fault.pass;
    state_->left = fault.times;
    state_->hits = 0;
    state_->armed = true;
}

void Faults::wait_for_hit() const
{
    wait_until("a call fails", [&] { return hits() > 0; });
}

}  // namespace ngx::test::process
