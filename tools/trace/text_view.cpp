#include <fmt/format.h>

#include "event/event_timer.hpp"
#include "tools/trace/views.hpp"

namespace ngx::trace {

namespace {

double ms(std::int64_t ns) noexcept
{
    return static_cast<double>(ns) / 1e6;
}

std::string timeout_text(const Turn& turn)
{
    const Msec timer = turn.wait.value_or(turn.timeout.timer);
    const std::string number = timer == timer_infinite ? "none" : fmt::format("{} ms", timer);
    return fmt::format("timeout {}: {}", number, reason_text(turn));
}

std::string record_text(const Turn& turn, const Record& record, pid_t pid)
{
    const std::string lasted =
        record.kind == Kind::note ? "" : fmt::format("{:.3f}", ms(record.end - record.begin));
    const std::string thread =
        record.thread == pid ? "" : fmt::format("(thread {}) ", record.thread);
    const std::string events = record.events == 0 ? ""
                                                  : fmt::format(": {} event{}", record.events,
                                                                record.events == 1 ? "" : "s");
    return fmt::format("  {:>12.3f} {:>12}  {:{}}{}{}{}\n", ms(record.begin - turn.begin), lasted,
                       "", record.depth * 2, thread, record.text, events);
}

}  // namespace

std::string turn_text(const Turn& turn, const Who& who, std::int64_t start)
{
    std::string text = who.worker ? fmt::format("worker {} ({})  ", *who.worker, who.pid) : "";
    text += turn.number == 0 ? "start\n"
                             : fmt::format("turn {}  at {:.3f} ms, {:.3f} ms long  {}\n",
                                           turn.number, ms(turn.begin - start),
                                           ms(turn.end - turn.begin), timeout_text(turn));
    for (const Record& record : turn.records) {
        text += record_text(turn, record, who.pid);
    }
    if (turn.lost != 0) {
        text += fmt::format("  {} lines are missing: there was no room for them\n", turn.lost);
    }
    return text + "\n";
}

}  // namespace ngx::trace
