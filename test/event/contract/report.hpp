#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ngx::contract {

/// How it ended for one promise. Of an excepted one it was known that it would be broken.
enum class Status { kept, broken, not_declared, excepted };

inline constexpr std::size_t statuses = 4;

struct Row {
    std::string_view chapter{};
    std::string_view promise{};
    Status status = Status::broken;
    std::vector<std::string> lines{};  // what was expected and seen, or why it was not tried
    std::string reason{};              // of an excepted one
    double seconds = 0;
};

/// What is on trial.
struct Trial {
    std::string use{};
    std::size_t promises = 0;
    std::uint32_t seed = 0;
    bool quiet = false;  // the text has what is broken, and the sum
};

/// Writes the rows to standard output, in their order.
class Report {
public:
    Report() = default;
    Report(const Report&) = delete;
    Report& operator=(const Report&) = delete;
    virtual ~Report() = default;

    virtual void add(const Row& row) = 0;
    virtual void end() {}
};

/// `format` is text, tap or junit; throws when it is none of them.
std::unique_ptr<Report> make_report(std::string_view format, const Trial& trial);

}  // namespace ngx::contract
