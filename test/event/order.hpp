#pragma once

/// \file
/// The order in which handlers run.

#include <cstddef>
#include <vector>

#include "event/event.hpp"

namespace ngx::test {

using Order = std::vector<std::size_t>;

/// The Event::index of the events whose handlers have run, in order. A test clears it first.
inline Order ran;

/// An event handler that records its call.
inline void note(Event& ev) noexcept
{
    ran.push_back(ev.index);
}

}  // namespace ngx::test
