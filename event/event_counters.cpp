#include "event/event_counters.hpp"

namespace ngx {

namespace {

Atomic connection_counter0{1};
Atomic stat_accepted0;
Atomic stat_handled0;
Atomic stat_requests0;
Atomic stat_active0;
Atomic stat_reading0;
Atomic stat_writing0;
Atomic stat_waiting0;

}  // namespace

Atomic* connection_counter = &connection_counter0;
Atomic* stat_accepted = &stat_accepted0;
Atomic* stat_handled = &stat_handled0;
Atomic* stat_requests = &stat_requests0;
Atomic* stat_active = &stat_active0;
Atomic* stat_reading = &stat_reading0;
Atomic* stat_writing = &stat_writing0;
Atomic* stat_waiting = &stat_waiting0;

}  // namespace ngx
