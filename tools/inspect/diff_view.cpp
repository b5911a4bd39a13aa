#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <utility>

#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

/// A value of one of the two configurations, and its place if it has one. Values with the same key
/// are the same.
struct Side {
    explicit Side(std::string shown, std::optional<Place> where = std::nullopt)
        : text(std::move(shown))
        , key(text)
        , place(std::move(where))
    {}

    std::string text;
    std::string key;
    std::optional<Place> place;
};

/// The values of one part by their names; a name can have several. The map keeps the changes in an
/// order that does not depend on the order of the files.
using Sides = std::map<std::string, std::vector<Side>>;

Json text_or_null(const Side* side)
{
    return side ? Json(side->text) : Json();
}

Json place_or_null(const Side* side)
{
    return side && side->place ? place_json(*side->place) : Json();
}

/// Collects the changes.
class Changes {
public:
    /// Adds a change; null for a side that does not have the value.
    void add(std::string_view part, const std::string& name, const Side* from, const Side* to)
    {
        list_.push_back({{"part", part},
                         {"name", name},
                         {"from", text_or_null(from)},
                         {"to", text_or_null(to)},
                         {"from_place", place_or_null(from)},
                         {"to_place", place_or_null(to)}});
    }

    void compare(std::string_view part, const Sides& from, const Sides& to);

    [[nodiscard]] const Json& list() const noexcept { return list_; }

private:
    void compare_one(std::string_view part, const std::string& name, const std::vector<Side>& from,
                     const std::vector<Side>& to);

    Json list_ = Json::array();
};

/// Returns the sides of `one` that `other` does not have. Each side of `other` counts once.
std::vector<const Side*> without(const std::vector<Side>& one, const std::vector<Side>& other)
{
    std::map<std::string_view, std::size_t> counts;
    for (const Side& side : other) {
        counts[side.key]++;
    }
    std::vector<const Side*> rest;
    for (const Side& side : one) {
        if (counts[side.key] == 0) {
            rest.push_back(&side);
        } else {
            counts[side.key]--;
        }
    }
    return rest;
}

std::string joined(const std::vector<Side>& sides)
{
    std::string text;
    for (const Side& side : sides) {
        text += (text.empty() ? "" : "; ") + side.text;
    }
    return text;
}

void Changes::compare_one(std::string_view part, const std::string& name,
                          const std::vector<Side>& from, const std::vector<Side>& to)
{
    const std::vector<const Side*> gone = without(from, to);
    const std::vector<const Side*> added = without(to, from);
    const std::size_t both = std::min(gone.size(), added.size());
    for (std::size_t i = 0; i < both; i++) {
        add(part, name, gone[i], added[i]);
    }
    for (std::size_t i = both; i < gone.size(); i++) {
        add(part, name, gone[i], nullptr);
    }
    for (std::size_t i = both; i < added.size(); i++) {
        add(part, name, nullptr, added[i]);
    }
    if (gone.empty() && added.empty() &&
        !std::ranges::equal(from, to, {}, &Side::key, &Side::key)) {
        const Side before(joined(from), from.front().place);
        const Side after(joined(to), to.front().place);
        add(part, name, &before, &after);
    }
}

void Changes::compare(std::string_view part, const Sides& from, const Sides& to)
{
    const std::vector<Side> none;
    for (const auto& [name, sides] : from) {
        const auto found = to.find(name);
        compare_one(part, name, sides, found == to.end() ? none : found->second);
    }
    for (const auto& [name, sides] : to) {
        if (!from.contains(name)) {
            compare_one(part, name, none, sides);
        }
    }
}

/// Returns the values of events for the program; for ngxx those that differ from the program's.
Sides values_of(const Json& events)
{
    Sides sides;
    for (const Json& value : events["values"]) {
        const std::string name = value["directive"];
        std::optional<Place> place;
        if (!value["places"].empty()) {
            place = place_from(value["places"].front());
        }
        if (value["value"].is_string()) {
            sides[name].emplace_back(value["value"].get<std::string>(), place);
        }
        if (value["ngxx"].is_string() && value["ngxx"] != value["value"]) {
            sides[name + " of ngxx"].emplace_back(value["ngxx"].get<std::string>(), place);
        }
    }
    return sides;
}

/// Returns the event method, the limits and the number of clients of each answer.
Sides answers_of(const Json& events)
{
    Sides sides;
    bool is_first = true;
    for (const Json& answer : events["answers"]) {
        const std::string_view whose = is_first ? "" : " of ngxx";
        sides[fmt::format("method{}", whose)].emplace_back(
            answer["method"]["name"].get<std::string>());
        for (const Json& limit : answer["limits"]) {
            sides[limit["name"].get<std::string>() + std::string(whose)].emplace_back(
                limit["words"].get<std::string>());
        }
        sides[fmt::format("clients{}", whose)].emplace_back(
            answer["clients"]["words"].get<std::string>());
        is_first = false;
    }
    for (const Json& refused : events["ngxx_refuses"]) {
        sides["refused by ngxx"].emplace_back(refused["text"].get<std::string>());
    }
    return sides;
}

Sides sockets_of_view(const Json& listening)
{
    Sides sides;
    for (const Json& socket : listening["listening"]) {
        const std::string block = socket["block"];
        const std::string address = socket["address"];
        std::string text = socket["type"];
        for (const Json& parameter : socket["parameters"]) {
            text += " " + parameter.get<std::string>();
        }
        std::optional<Place> place;
        if (!socket["places"].empty()) {
            place = place_from(socket["places"].front());
        }
        sides[fmt::format("{} {}", block, address)].emplace_back(std::move(text), place);
    }
    return sides;
}

/// Returns the words behind the name of a directive as they are written.
std::string raw_args(const conf::Directive& directive)
{
    std::string text;
    for (std::size_t i = 1; i < directive.size(); i++) {
        text += (text.empty() ? "" : " ") + std::string(directive.word(i).raw());
    }
    return text;
}

/// Returns the same text for all spellings of the same words. A word cannot contain a zero byte.
std::string args_key(const conf::Directive& directive)
{
    std::string key;
    for (const std::string& arg : directive.args()) {
        key += arg;
        key += '\0';
    }
    return key;
}

/// Returns the decoded words behind the name of a directive.
std::string args_text(const conf::Directive& directive)
{
    return fmt::format("{}", fmt::join(directive.args(), " "));
}

/// Returns the name of a block: its words; for a server those of its server_name, or else of its
/// listen.
std::string block_name(const conf::Directive& block)
{
    const std::string name = block.name();
    if (block.size() > 1) {
        return fmt::format("{} {}", name, args_text(block));
    }
    for (const std::string_view wanted : {"server_name", "listen"}) {
        for (const conf::Directive& child : block.children()) {
            if (name == "server" && child.is(wanted) && child.size() > 1) {
                return fmt::format("{} {}", name, args_text(child));
            }
        }
    }
    return name;
}

/// Collects the directives that the other parts do not have.
class Directives {
public:
    /// With `events`, the directives that the answer about events has are left out.
    Directives(const Configuration& configuration, const Json* events)
    {
        if (events) {
            for (const Json& value : (*events)["values"]) {
                answered_.push_back(value["directive"]);
            }
        }
        configuration.walk([this](const Placed& placed) { enter(placed); },
                           [this](const Placed&) { leave(); }, Entries::included);
    }

    Sides sides{};

private:
    struct Block {
        std::string path{};
        std::map<std::string, std::size_t> inner{};  // how many blocks have the same name
    };

    [[nodiscard]] bool is_answered(const Placed& placed) const
    {
        return !answered_.empty() &&
               (placed.context == "events" ||
                (placed.context == "main" &&
                 std::ranges::find(answered_, placed.directive.name()) != answered_.end()));
    }

    void enter(const Placed& placed)
    {
        const conf::Directive& directive = placed.directive;
        if (directive.is_block()) {
            enter_block(directive);
            return;
        }
        const bool is_followed = directive.is("include") && !directive.included().empty();
        if (!is_followed && !is_answered(placed)) {
            Side side(raw_args(directive), place_of(directive));
            side.key = args_key(directive);
            sides[inner_path(directive.name())].push_back(std::move(side));
        }
    }

    void enter_block(const conf::Directive& directive)
    {
        std::string name = block_name(directive);
        const std::size_t n = ++blocks_.back().inner[name];
        if (n > 1) {
            name += fmt::format(" #{}", n);
        }
        Block block{.path = inner_path(name)};
        sides[block.path].emplace_back("{ }", place_of(directive));
        blocks_.push_back(std::move(block));
    }

    [[nodiscard]] std::string inner_path(const std::string& name) const
    {
        const std::string& path = blocks_.back().path;
        return path.empty() ? name : fmt::format("{}, {}", path, name);
    }

    void leave() { blocks_.pop_back(); }

    std::vector<std::string> answered_{};
    std::vector<Block> blocks_ = std::vector<Block>(1);  // the file, and the blocks in it
};

/// Returns what is wrong, with the text as the name.
Sides problems_of(const Configuration& configuration, const std::optional<Json>& events)
{
    Sides sides;
    for (const Problem& problem : all_problems(configuration, events)) {
        const std::string text =
            problem.hint.empty() ? problem.text : fmt::format("{}; {}", problem.text, problem.hint);
        sides[text].emplace_back("", problem.place);
    }
    return sides;
}

Json side_json(const Configuration& configuration, bool has_answer)
{
    return {{"file", configuration.file()},
            {"program", configuration.program().name()},
            {"has_events_answer", has_answer}};
}

}  // namespace

Json diff_view(const Configuration& from, const Configuration& to, const Machine& machine)
{
    const std::optional<Json> before = events_view(from, machine);
    const std::optional<Json> after = events_view(to, machine);
    const bool both = before && after;

    Changes changes;
    if (both) {
        changes.compare("values", values_of(*before), values_of(*after));
        changes.compare("answers", answers_of(*before), answers_of(*after));
    }
    changes.compare("listening", sockets_of_view(listening_view(from)),
                    sockets_of_view(listening_view(to)));
    changes.compare("directives", Directives(from, both ? &*before : nullptr).sides,
                    Directives(to, both ? &*after : nullptr).sides);
    changes.compare("problems", problems_of(from, before), problems_of(to, after));
    return {{"view", "diff"},
            {"from", side_json(from, before.has_value())},
            {"to", side_json(to, after.has_value())},
            {"changes", changes.list()}};
}

namespace {

std::string head_text(std::string_view sign, const Json& side)
{
    return fmt::format("{} {} for {}{}\n", sign, side["file"].get<std::string>(),
                       side["program"].get<std::string>(),
                       side["has_events_answer"].get<bool>() ? "" : ": no answer about events");
}

std::string place_text(const Json& place)
{
    return place.is_null() ? "" : fmt::format("  [{}]", place_from(place).text());
}

/// Returns a line with the sign, the name and the text of a side.
std::string side_text(char sign, const Json& change, const char* side, const Json& place)
{
    const std::string text = change[side];
    return fmt::format("  {} {}{}{}{}\n", sign, change["name"].get<std::string>(),
                       text.empty() ? "" : ": ", text, place_text(place));
}

}  // namespace

std::string diff_text(const Json& view)
{
    std::string text = head_text("---", view["from"]) + head_text("+++", view["to"]);
    std::string part;
    for (const Json& change : view["changes"]) {
        if (part != change["part"]) {
            part = change["part"];
            text += part + "\n";
        }
        if (!change["from"].is_null()) {
            text += side_text('-', change, "from", change["from_place"]);
        }
        if (!change["to"].is_null()) {
            text += side_text('+', change, "to", change["to_place"]);
        }
    }
    return view["changes"].empty() ? text + "nothing changes\n" : text;
}

}  // namespace ngx::inspect
