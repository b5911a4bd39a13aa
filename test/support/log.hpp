#pragma once

/// \file
/// A log that keeps its lines.

#include <cstddef>
#include <string>
#include <string_view>

#include "core/log.hpp"

namespace ngx::test {

/// How often a text occurs in another.
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

/// Its lines are kept in `text`, without debug lines unless the level asks for them, and no log
/// writes to stderr any more.
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
