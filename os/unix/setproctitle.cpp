#include "os/unix/setproctitle.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

#include "auto_build.hpp"
#include "core/log.hpp"
#include "core/string.hpp"

namespace ngx {

namespace {

struct {
    char** argv = nullptr;
    char* begin = nullptr;  // start of the space for titles
    char* end = nullptr;
    std::vector<std::string> environment{};
} state;

}  // namespace

void init_setproctitle(char** argv)
{
    char* end = argv[0];
    const auto extend = [&end](char* word) {
        // The kernel stores the words next to each other; a word that was moved away is not in this
        // space.
        if (word == end) {
            end += std::strlen(word) + 1;
        }
    };
    for (char** arg = argv; *arg; arg++) {
        extend(*arg);
    }
    for (char** var = environ; *var; var++) {
        extend(*var);
        state.environment.emplace_back(*var);
    }
    for (std::size_t i = 0; i < state.environment.size(); i++) {
        environ[i] = state.environment[i].data();
    }

    state.argv = argv;
    state.begin = argv[0];
    state.end = end;
}

void setproctitle(std::string_view title, Log* log) noexcept
{
    if (!state.argv) {
        return;
    }
    state.argv[1] = nullptr;
    // Clears the rest of the old title first, so that it is never visible after the new one.
    const std::size_t size = fmt::formatted_size("{}: {}", server_name, title);
    const auto room = static_cast<std::size_t>(state.end - state.begin);
    std::fill(state.begin + std::min(size, room), state.end, '\0');
    char* const last = state.end - 1;
    *slprintf(state.begin, last, "{}: {}", server_name, title) = '\0';
    log_debug(log_debug_core, log, 0, "setproctitle: \"{}\"", state.begin);
}

}  // namespace ngx
