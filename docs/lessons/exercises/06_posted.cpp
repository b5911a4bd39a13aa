#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Returns the order of the handlers in the chapter's turn: "a" for the accepted client, "r" for
/// the read event, "t" for the timer, as in "rta".
std::string order_of_turn([[maybe_unused]] bool with_mutex)
{
    return "";
}

/// 2. Returns how often the handler of an event runs in a turn. Before the turn the event was
/// posted `times_posted` times to posted_events; the handler posts it `times_posted_by_itself`
/// times in all.
int runs([[maybe_unused]] int times_posted, [[maybe_unused]] int times_posted_by_itself)
{
    return -1;
}

}  // namespace ngx::exercise
