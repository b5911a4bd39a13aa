#include <algorithm>
#include <map>

#include "tools/inspect/views.hpp"

namespace ngx::inspect {

namespace {

/// The files in crossplane's order, breadth first: the files that a file includes come after those
/// that the previous files include.
class Files {
public:
    explicit Files(const Reading& reading)
    {
        if (!reading.files().empty()) {
            add(reading.files().front());
        }
        for (std::size_t i = 0; i < names_.size(); i++) {
            const std::string name = names_[i];
            reading.for_each([&](const Directive& directive) {
                if (directive.is_include() && directive.place.file == name) {
                    std::ranges::for_each(directive.included_files,
                                          [this](const std::string& file) { add(file); });
                }
            });
        }
    }

    [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
    [[nodiscard]] std::size_t index(const std::string& name) const { return index_.at(name); }

private:
    void add(const std::string& name)
    {
        if (index_.emplace(name, names_.size()).second) {
            names_.push_back(name);
        }
    }

    std::vector<std::string> names_{};
    std::map<std::string, std::size_t> index_{};
};

class Writer {
public:
    explicit Writer(const Reading& reading) : reading_(reading), files_(reading) {}

    Json write()
    {
        Json config = Json::array();
        for (const std::string& file : files_.names()) {
            Json errors = Json::array();
            if (!reading_.ok() && reading_.error_place().file == file) {
                errors.push_back(
                    {{"error", reading_.error()}, {"line", reading_.error_place().line}});
            }
            const bool failed = !errors.empty();
            config.push_back({{"file", file},
                              {"status", failed ? "failed" : "ok"},
                              {"errors", errors},
                              {"parsed", parsed_of(file)}});
        }
        return {{"status", reading_.ok() ? "ok" : "failed"},
                {"errors", all_errors()},
                {"config", config}};
    }

private:
    [[nodiscard]] Json all_errors() const
    {
        if (reading_.ok()) {
            return Json::array();
        }
        const Place& place = reading_.error_place();
        return {{{"file", place.file},
                 {"error", reading_.error()},
                 {"line", place.line == 0 ? Json() : Json(place.line)}}};
    }

    /// Returns the directives of a file outside of its blocks. A file that is included several
    /// times is written once, as crossplane does.
    Json parsed_of(const std::string& file)
    {
        Json list = Json::array();
        const Directive* include = nullptr;
        bool first = true;
        reading_.for_each([&](const Directive& directive) {
            if (directive.place.file != file || !is_outermost(directive)) {
                return;
            }
            if (first) {
                include = directive.parent;
                first = false;
            }
            if (directive.parent == include) {
                list.push_back(write(directive));
            }
        });
        return list;
    }

    /// Returns true if the directive is in no block of its own file.
    static bool is_outermost(const Directive& directive)
    {
        const Directive& parent = *directive.parent;
        return !parent.parent || parent.is_include();
    }

    Json write(const Directive& directive) const
    {
        Json json = {{"directive", directive.name()},
                     {"line", directive.place.line},
                     {"args", Json(std::vector<std::string>(directive.words.begin() + 1,
                                                            directive.words.end()))}};
        if (directive.is_include()) {
            Json includes = Json::array();
            for (const std::string& file : directive.included_files) {
                includes.push_back(files_.index(file));
            }
            json["includes"] = includes;
        } else if (directive.is_block()) {
            Json block = Json::array();
            for (const Directive& inner : directive.block) {
                block.push_back(write(inner));
            }
            json["block"] = block;
        }
        return json;
    }

    const Reading& reading_;
    Files files_;
};

}  // namespace

Json crossplane(const Reading& reading)
{
    return Writer(reading).write();
}

}  // namespace ngx::inspect
