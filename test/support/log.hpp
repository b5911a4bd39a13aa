#pragma once

/// \file
/// A log that stores its lines.

#include <cstddef>
#include <string>
#include <string_view>

#include "core/log.hpp"

namespace ngx::test {

/// Returns how often `part` occurs in a text.
inline std::size_t count(std::string_view text, std::string_view part)
{
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) {
        n++;
    }
    return n;
}

inline bool contains(std::string_view text, std::string_view part)
{
    return text.find(part) != text.npos;
}

/// Stores its lines in `text`; debug lines only if the level includes them. No log writes to stderr
/// any more.
struct TestLog {
    explicit TestLog(unsigned level = log_info)
    {
        use_stderr = false;
        log.log_level = level;
        log.writer = [](Log& l, unsigned, char* buf, std::size_t len) {
            static_cast<std::string*>(l.wdata)->append(buf, len);
        };
        log.wdata = &text;
    }
    TestLog(const TestLog&) = delete;
    TestLog& operator=(const TestLog&) = delete;

    std::string text{};
    Log log{};
};

}  // namespace ngx::test
