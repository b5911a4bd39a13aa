#pragma once

/// \file
/// The event module "fake". It watches nothing: it records the calls and returns what the test has
/// set.

#include <functional>
#include <string>
#include <vector>

#include "event/event.hpp"

namespace ngx::test {

struct Fake {
    // Set by the test.
    unsigned flags = use_level_event;  // copied to event_flags by init
    bool has_add_conn = false;         // used by init
    bool single_worker = false;        // what the module declares, used by create_conf
    bool needs_accept_mutex = false;
    Rc init = Rc::ok;
    Rc add = Rc::ok;
    Rc del = Rc::ok;
    Rc add_conn = Rc::ok;
    std::function<void()> on_wait{};  // called by process_events

    // Recorded by the module.
    std::vector<std::string> calls{};    // "add read exclusive", "del write close", "wait", "done"
    std::vector<const Event*> events{};  // the events of add and del
    std::vector<std::string> confs{};    // "create", "init"
    Msec timer = 0;                      // the argument of init, then of process_events
    unsigned wait_flags = 0;
};

/// The state of the module. Each test begins with `fake = {}`.
extern Fake fake;

/// The actions of the module, for tests without a cycle: event_actions = fake_actions.
extern const EventActions fake_actions;

extern Module fake_module;

}  // namespace ngx::test
