#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ngx::contract {

/// The result for one promise. excepted: it is broken, as an exception says.
enum class Status { kept, broken, not_declared, excepted };

inline constexpr std::size_t statuses = 4;

struct Row {
    std::string_view chapter{};
    std::string_view promise{};
    Status status = Status::broken;
    std::vector<std::string> lines{};  // what was expected and seen, or why it was not tried
    std::string reason{};              // of the exception
    double seconds = 0;
};

/// A run of the program.
struct Trial {
    std::string use{};
    std::size_t promises = 0;
    std::uint32_t seed = 0;
    bool quiet = false;  // the text has only broken promises and the sum
};

/// Writes the results to standard output, in order.
class Report {
public:
    Report() = default;
    Report(const Report&) = delete;
    Report& operator=(const Report&) = delete;
    virtual ~Report() = default;

    virtual void add(const Row& row) = 0;
    virtual void end() {}
};

/// Creates the report for a format: text, tap or junit. Throws for other names.
std::unique_ptr<Report> make_report(std::string_view format, const Trial& trial);

}  // namespace ngx::contract
