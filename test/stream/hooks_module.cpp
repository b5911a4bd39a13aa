#include "test/stream/hooks_module.hpp"

#include "core/palloc.hpp"
#include "event/event.hpp"

namespace ngx {

#define NGX_MODULE(name) extern Module name;
#include "auto_modules.hpp"
#undef NGX_MODULE

constinit Module* const modules[] = {
#define NGX_MODULE(name) &(name),
#include "auto_modules.hpp"
#undef NGX_MODULE
    &test::hooks_a_module,
    &test::hooks_b_module,
    nullptr,
};

constinit const std::string_view module_names[] = {
#define NGX_MODULE(name) "ngx_" #name,
#include "auto_modules.hpp"
#undef NGX_MODULE
    "test_hooks_a_module",
    "test_hooks_b_module",
    {},
};

}  // namespace ngx

namespace ngx::test {

Hooks hooks;

namespace {

/// The configuration of both modules on both levels.
struct HooksConf {
    static constexpr Module* module = &hooks_a_module;

    std::string_view word{};
};

/// The functions of the module with this name.
template <char Name>
struct Calls {
    /// Records a call. Returns false if the call should fail.
    static bool note(std::string_view call, std::string_view words = {})
    {
        std::string text{Name, ' '};
        text.append(call);
        const bool ok = text != hooks.failing;
        hooks.calls.push_back(text.append(words));
        return ok;
    }

    static Rc add_variables(Conf& cf, const std::vector<StreamVariable>& variables)
    {
        for (const StreamVariable& variable : variables) {
            if (Name == 'a' && stream_add_variable(cf, variable) != Rc::ok) {
                return Rc::error;
            }
        }
        return Rc::ok;
    }

    static Rc preconfiguration(Conf& cf)
    {
        return note("preconfiguration") ? add_variables(cf, hooks.variables) : Rc::error;
    }

    template <StreamPhase Phase>
    static StreamPhaseRc phase_handler(StreamSession& s) noexcept
    {
        return hooks.phases.at({Name, Phase})(s);
    }

    template <StreamPhase... Phases>
    static void add_phase_handlers(Conf& cf)
    {
        const auto add = [&](StreamPhase phase, StreamHandler handler) {
            if (hooks.phases.contains({Name, phase})) {
                stream_add_phase_handler(cf, phase, handler);
            }
        };
        (add(Phases, phase_handler<Phases>), ...);
    }

    static Rc postconfiguration(Conf& cf)
    {
        using enum StreamPhase;
        add_phase_handlers<post_accept, preaccess, access, preread, content, log>(cf);
        return note("postconfiguration") ? add_variables(cf, hooks.late_variables) : Rc::error;
    }

    static void* create_main_conf(Conf& cf)
    {
        note("create_main_conf");
        return cf.pool->create<HooksConf>();
    }

    static const char* init_main_conf(Conf&, void* conf)
    {
        const std::string word(static_cast<HooksConf*>(conf)->word);
        return note("init_main_conf", " " + word) ? conf_ok : "fails to initialise";
    }

    static void* create_srv_conf(Conf& cf)
    {
        note("create_srv_conf");
        return cf.pool->create<HooksConf>();
    }

    static const char* merge_srv_conf(Conf& cf, void* parent, void* child)
    {
        const std::string prev(static_cast<HooksConf*>(parent)->word);
        const std::string conf(static_cast<HooksConf*>(child)->word);
        const std::string current(stream_conf_get_module_srv_conf<HooksConf>(cf)->word);
        return note("merge_srv_conf", " " + prev + "," + conf + " in " + current)
                   ? conf_ok
                   : "fails to merge";
    }

    static constexpr StreamModule ctx = {
        .preconfiguration = preconfiguration,
        .postconfiguration = postconfiguration,
        .create_main_conf = create_main_conf,
        .init_main_conf = init_main_conf,
        .create_srv_conf = create_srv_conf,
        .merge_srv_conf = merge_srv_conf,
    };
};

const char* test_word(Conf& cf, const Command&, void* conf)
{
    static_cast<HooksConf*>(conf)->word = cf.args[1];
    return conf_ok;
}

const char* test_text(Conf& cf, const Command&, void*)
{
    const Rc rc = stream_compile_complex_value(cf, cf.args[1], hooks.texts.emplace_back());
    return rc == Rc::ok ? conf_ok : conf_error;
}

void hold_handler(StreamSession& s) noexcept
{
    hooks.session = &s;
    if (hooks.on_hold) {
        hooks.on_hold(s);
    }
}

const char* hold(Conf& cf, const Command&, void*)
{
    stream_conf_get_module_srv_conf<StreamCoreSrvConf>(cf)->handler = hold_handler;
    return conf_ok;
}

constexpr Command hooks_commands[] = {
    {
        .name = "test_main",
        .type = stream_main_conf | conf_take1,
        .set = test_word,
        .conf = stream_main_conf_offset,
    },
    {
        .name = "test_srv",
        .type = stream_main_conf | stream_srv_conf | conf_take1,
        .set = test_word,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "test_text",
        .type = stream_srv_conf | conf_take1,
        .set = test_text,
        .conf = stream_srv_conf_offset,
    },
    {
        .name = "hold",
        .type = stream_srv_conf | conf_noargs,
        .set = hold,
        .conf = stream_srv_conf_offset,
    },
};

}  // namespace

constinit Module hooks_a_module = {
    .ctx = &Calls<'a'>::ctx,
    .commands = hooks_commands,
    .type = ModuleType::stream,
};

constinit Module hooks_b_module = {
    .ctx = &Calls<'b'>::ctx,
    .type = ModuleType::stream,
};

}  // namespace ngx::test
