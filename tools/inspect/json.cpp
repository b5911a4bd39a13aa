#include "tools/inspect/json.hpp"

#include <fmt/format.h>

namespace ngx::inspect {

Json place_json(const Place& place)
{
    return {{"file", place.file}, {"line", place.line}, {"column", place.column}};
}

Place place_from(const Json& json)
{
    return {json["file"], json["line"], json["column"]};
}

Json problem_json(const Problem& problem)
{
    Json json = place_json(problem.place);
    json["text"] = problem.text;
    json["hint"] = problem.hint;
    return json;
}

std::string refused_text(const Json& view)
{
    std::string text;
    for (const Json& refused : view.value("ngxx_refuses", Json::array())) {
        const Json& place = refused["place"];
        text += place.is_null() ? fmt::format("  {}\n", refused["text"].get<std::string>())
                                : fmt::format("  {}: {}\n", place_from(place).text(),
                                              refused["text"].get<std::string>());
    }
    return text;
}

std::string words_text(const Json& list)
{
    std::string text;
    for (const Json& item : list) {
        text += (text.empty() ? "" : ", ") + item.get<std::string>();
    }
    return text;
}

std::string parts_text(const Json& view, const std::string& program, const std::string& ngxx)
{
    const std::string text = program + refused_text(view);
    return text + (text.empty() || ngxx.empty() ? "" : "\nngxx\n") + ngxx;
}

std::vector<Problem> all_problems(const Configuration& configuration,
                                  const std::optional<Json>& view)
{
    std::vector<Problem> list = configuration.problems();
    if (view && view->contains("problems")) {
        for (const Json& problem : view->at("problems")) {
            list.push_back({place_from(problem), problem["text"], problem["hint"]});
        }
    }
    return list;
}

}  // namespace ngx::inspect
