#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

bool is_delivered(bool slot_open, bool slot_instance, bool event_instance)
{
    return slot_open && slot_instance == event_instance;
}

std::uintptr_t address_of_slot(std::uintptr_t reported)
{
    return reported & ~std::uintptr_t{1};
}

}  // namespace ngx::exercise
