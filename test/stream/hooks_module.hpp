#pragma once

/// \file
/// The stream modules "a" and "b", at the end of the table. They note how they are called, and have
/// what tests need in a configuration:
///
///     test_main WORD;  in the stream block: into a's main configuration
///     test_srv WORD;   there or in a server: into a's server configuration
///     test_text TEXT;  in a server: compiled into hooks.texts
///     hold;            in a server: the content leaves the session to the test

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/module.hpp"
#include "stream/stream.hpp"
#include "stream/stream_script.hpp"
#include "stream/stream_variables.hpp"

namespace ngx::test {

struct Hooks {
    // What the test wants.
    std::string failing{};                         // the call that fails: "a preconfiguration"
    std::vector<StreamVariable> variables{};       // added by the preconfiguration of a
    std::vector<StreamVariable> late_variables{};  // added by the postconfiguration of a
    std::function<void(StreamSession&)> on_hold{};

    /// The handlers that a module has in the phases: of {'a', StreamPhase::access}, ...
    std::map<std::pair<char, StreamPhase>, std::function<StreamPhaseRc(StreamSession&)>> phases{};

    // What happened.
    std::vector<std::string> calls{};        // "a create_srv_conf", "b merge_srv_conf x,y", ...
    std::deque<StreamComplexValue> texts{};  // of test_text, in the order of the file
    StreamSession* session = nullptr;        // the last one that `hold` was given
};

/// Their one state. A Server resets it when it goes.
extern Hooks hooks;

extern Module hooks_a_module;
extern Module hooks_b_module;

}  // namespace ngx::test
