#include "tools/inspect/json.hpp"

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

}  // namespace ngx::inspect
