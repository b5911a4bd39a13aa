#pragma once

/// \file
/// nginx itself, for comparison.

#include <optional>
#include <string>
#include <string_view>

#include "test/process/server.hpp"

namespace ngx::test::process {

/// Runs nginx with this stream block, in the foreground and in one process, during its lifetime. It
/// listens when the constructor returns.
class Nginx {
public:
    explicit Nginx(const std::string& stream);

    [[nodiscard]] std::string log() const { return read_file(dir_ / "error.log"); }
    void wait_for_log(std::string_view text, std::size_t times = 1);

private:
    TempDir dir_;
    std::optional<Child> child_;
};

}  // namespace ngx::test::process
