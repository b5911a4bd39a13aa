#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Whether a listener of the new configuration gets the descriptor of one of the old, by the
/// paths of their unix sockets.
bool keeps_descriptor([[maybe_unused]] const std::string& old_path,
                      [[maybe_unused]] const std::string& new_path)
{
    return false;
}

/// 2. The generation of the cycle that runs after so many reloads, and so many that were refused.
int generation_after([[maybe_unused]] int good_reloads, [[maybe_unused]] int refused_reloads)
{
    return 0;
}

}  // namespace ngx::exercise
