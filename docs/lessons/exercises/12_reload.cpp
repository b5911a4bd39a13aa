#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns whether a listener of the new configuration gets the descriptor of a listener of the
/// old one. The arguments are the paths of their unix sockets.
bool keeps_descriptor([[maybe_unused]] const std::string& old_path,
                      [[maybe_unused]] const std::string& new_path)
{
    return false;
}

/// 2. Returns the generation of the cycle in use after successful and refused reloads.
int generation_after([[maybe_unused]] int good_reloads, [[maybe_unused]] int refused_reloads)
{
    return 0;
}

}  // namespace ngx::exercise
