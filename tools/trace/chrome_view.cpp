#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "event/event_timer.hpp"
#include "tools/trace/names.hpp"
#include "tools/trace/views.hpp"

/// The times of the Trace Event Format are in us. They are written with three decimals, so that
/// rounding does not move a span out of the span that contains it.
namespace ngx::trace {

namespace {

using Json = nlohmann::ordered_json;

std::string us(std::int64_t ns)
{
    return fmt::format("{}.{:03}", ns / 1000, ns % 1000);
}

/// Returns an event. The times are formatted here, because nlohmann would round them.
std::string event(std::string_view ph, const Who& who, pid_t thread, std::int64_t begin,
                  const std::string& name, const std::string& rest)
{
    return fmt::format(",\n{{\"ph\":\"{}\",\"pid\":{},\"tid\":{},\"ts\":{},\"name\":{}{}}}", ph,
                       who.pid, thread, us(begin),
                       Json(name).dump(-1, ' ', false, Json::error_handler_t::replace), rest);
}

std::string span(const Who& who, std::int64_t begin, std::int64_t end, const std::string& name,
                 const char* category, const Json& args)
{
    return event("X", who, who.pid, begin, name,
                 fmt::format(",\"dur\":{},\"cat\":\"{}\",\"args\":{}", us(end - begin), category,
                             args.dump()));
}

std::string record_chrome(const Who& who, const Record& record)
{
    switch (record.kind) {
    case Kind::note:
        return event("i", who, record.thread, record.begin, record.text, ",\"s\":\"t\"");
    case Kind::phase:
        return span(who, record.begin, record.end, record.text, "phase",
                    record.events == 0 ? Json::object() : Json{{"events", record.events}});
    case Kind::handler:
        break;
    }
    const Json args = {{"event", record.text.substr(0, record.text.find(" -> "))},
                       {"fd", record.event.fd},
                       {"direction", record.event.write ? "write" : "read"}};
    return span(who, record.begin, record.end, handler_name(record.event.handler), "handler", args);
}

std::string counter(const Turn& turn, const Who& who, const char* name, std::size_t value)
{
    return event("C", who, who.pid, turn.begin, name,
                 fmt::format(",\"args\":{{\"{}\":{}}}", name, value));
}

std::string turn_span(const Turn& turn, const Who& who)
{
    const Msec timer = turn.wait.value_or(turn.timeout.timer);
    const Json args = {{"timeout_ms", timer == timer_infinite ? Json() : Json(timer)},
                       {"because", reason_text(turn)},
                       {"poller", turn.poller},
                       {"lost_lines", turn.lost}};
    return span(who, turn.begin, turn.end, fmt::format("turn {}", turn.number), "turn", args);
}

}  // namespace

std::string turn_chrome(const Turn& turn, const Who& who)
{
    std::string text;
    if (turn.number == 0) {
        text = span(who, turn.begin, turn.end, "start", "turn", Json::object());
    } else {
        text = turn_span(turn, who) + counter(turn, who, "timers", turn.timeout.timers) +
               counter(turn, who, "connections", turn.timeout.connections);
    }
    for (const Record& record : turn.records) {
        text += record_chrome(who, record);
    }
    return text;
}

std::string process_chrome(const Who& who, const std::string& name)
{
    const Json event = {{"ph", "M"},
                        {"pid", who.pid},
                        {"tid", who.pid},
                        {"name", "process_name"},
                        {"args", {{"name", name}}}};
    return event.dump();
}

}  // namespace ngx::trace
