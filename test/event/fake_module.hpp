#pragma once

/// \file
/// The event module "fake". It watches nothing: it notes what it is asked to do and answers what
/// the test wants.

#include <functional>
#include <string>
#include <vector>

#include "event/event.hpp"

namespace ngx::test {

struct Fake {
    // What the test wants.
    unsigned flags = use_level_event;  // event_flags, from init on
    bool has_add_conn = false;         // from init on
    bool single_worker = false;        // what the module declares, from create_conf on
    bool needs_accept_mutex = false;
    Rc init = Rc::ok;
    Rc add = Rc::ok;
    Rc del = Rc::ok;
    Rc add_conn = Rc::ok;
    std::function<void()> on_wait{};  // called by process_events

    // What it was asked.
    std::vector<std::string> calls{};    // "add read exclusive", "del write close", "wait", "done"
    std::vector<const Event*> events{};  // of add and del
    std::vector<std::string> confs{};    // "create", "init"
    Msec timer = 0;                      // of init, then of process_events
    unsigned wait_flags = 0;
};

/// Its one state: `fake = {}` before each test.
extern Fake fake;

/// Its actions, for tests that need no cycle: event_actions = fake_actions.
extern const EventActions fake_actions;

extern Module fake_module;

}  // namespace ngx::test
