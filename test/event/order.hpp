#pragma once

/// \file
/// In which order handlers run.

#include <cstddef>
#include <vector>

#include "event/event.hpp"

namespace ngx::test {

using Order = std::vector<std::size_t>;

/// Which events have run, by Event::index, in their order. A test clears it first.
inline Order ran;

/// A handler.
inline void note(Event& ev) noexcept
{
    ran.push_back(ev.index);
}

}  // namespace ngx::test
