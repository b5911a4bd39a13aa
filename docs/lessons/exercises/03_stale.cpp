#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

/// 1. Whether epoll_process_events() hands a report out: `slot_open` says that the slot's fd is not
/// -1, `slot_instance` is its read event's instance now, `event_instance` that of the report.
bool is_handed_out([[maybe_unused]] bool slot_open, [[maybe_unused]] bool slot_instance,
                   [[maybe_unused]] bool event_instance)
{
    return true;
}

/// 2. The address of the slot, out of what epoll reports: the address with the instance in its
/// lowest bit.
std::uintptr_t address_of_slot(std::uintptr_t reported)
{
    return reported;
}

}  // namespace ngx::exercise
