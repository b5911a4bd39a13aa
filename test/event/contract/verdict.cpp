#include "test/event/contract/verdict.hpp"

#include <fmt/format.h>

namespace ngx::contract {

bool Verdict::expect(bool holds, std::string_view sentence)
{
    if (!holds) {
        outcome_ = Outcome::broken;
        findings_.push_back(fmt::format("expected: {}", sentence));
    }
    return holds;
}

void Verdict::not_declared(std::string_view capability)
{
    outcome_ = Outcome::not_declared;
    notes_.push_back(fmt::format("not declared: {}", capability));
}

std::string Verdict::to_text(Rc value)
{
    switch (value) {
    case Rc::ok:
        return "ok";
    case Rc::error:
        return "error";
    case Rc::again:
        return "again";
    default:
        return fmt::format("Rc {}", static_cast<int>(value));
    }
}

bool Verdict::same_text(std::string_view what, const std::string& seen, const std::string& expected)
{
    if (seen != expected) {
        outcome_ = Outcome::broken;
        findings_.push_back(fmt::format("{}: expected {}, seen {}", what, expected, seen));
    }
    return seen == expected;
}

}  // namespace ngx::contract
