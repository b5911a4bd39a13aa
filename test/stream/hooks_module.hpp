#pragma once

/// \file
/// The stream modules "a" and "b", at the end of the table. They record how they are called, and
/// have directives for tests:
///
///     test_main WORD;  in the stream block: sets a's main configuration
///     test_srv WORD;   in the stream block or a server: sets a's server configuration
///     test_text TEXT;  in a server: is compiled into hooks.texts
///     hold;            in a server: the content only stores the session in hooks.session

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
    // Set by the test.
    std::string failing{};                    // the call that should fail: "a preconfiguration"
    std::vector<StreamVariable> variables{};  // added by the preconfiguration of a
    std::vector<StreamVariable> late_variables{};  // added by the postconfiguration of a
    std::function<void(StreamSession&)> on_hold{};

    /// The handlers of the modules in the phases; the key is {'a', StreamPhase::access}, ...
    std::map<std::pair<char, StreamPhase>, std::function<StreamPhaseRc(StreamSession&)>> phases{};

    // Recorded by the modules.
    std::vector<std::string> calls{};        // "a create_srv_conf", "b merge_srv_conf x,y", ...
    std::deque<StreamComplexValue> texts{};  // from test_text, in the order of the file
    StreamSession* session = nullptr;        // the last session of `hold`
};

/// The state of both modules. The destructor of Server resets it.
extern Hooks hooks;

extern Module hooks_a_module;
extern Module hooks_b_module;

}  // namespace ngx::test
