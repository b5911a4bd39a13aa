#include "test/event/fake_module.hpp"

#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "event/event_core_module.hpp"
#include "os/unix/os.hpp"

namespace ngx::test {

Fake fake;

namespace {

extern EventModule fake_module_ctx;

/// Returns the text of a call with its flags: "add read clear".
std::string call_text(std::string text, EventType event, unsigned flags)
{
    text += event == read_event ? " read" : " write";
    text += (flags & close_event) != 0 ? " close" : "";
    text += (flags & disable_event) != 0 ? " disable" : "";
    text += (flags & exclusive_event) != 0 ? " exclusive" : "";
    text += (flags & clear_event) != 0 ? " clear" : "";
    return text;
}

Rc add(Event& ev, EventType event, unsigned flags) noexcept
{
    fake.calls.push_back(call_text("add", event, flags));
    fake.events.push_back(&ev);
    ev.active = fake.add == Rc::ok;
    return fake.add;
}

Rc del(Event& ev, EventType event, unsigned flags) noexcept
{
    fake.calls.push_back(call_text("del", event, flags));
    fake.events.push_back(&ev);
    ev.active = fake.del == Rc::ok ? 0 : ev.active;
    return fake.del;
}

Rc add_conn(Connection& c) noexcept
{
    fake.calls.emplace_back("add_conn");
    c.read->active = fake.add_conn == Rc::ok;
    c.write->active = fake.add_conn == Rc::ok;
    return fake.add_conn;
}

Rc del_conn(Connection& c, unsigned) noexcept
{
    fake.calls.emplace_back("del_conn");
    c.read->active = 0;
    c.write->active = 0;
    return Rc::ok;
}

Rc process_events(Cycle&, Msec timer, unsigned flags) noexcept
{
    fake.calls.emplace_back("wait");
    fake.timer = timer;
    fake.wait_flags = flags;
    if (fake.on_wait) {
        fake.on_wait();
    }
    return Rc::ok;
}

Rc init(Cycle&, Msec timer)
{
    fake.timer = timer;
    io = os_io;
    event_actions = fake_actions;
    event_flags = fake.flags;
    if (fake.has_add_conn) {
        event_actions.add_conn = add_conn;
        event_actions.del_conn = del_conn;
    }
    return fake.init;
}

void done(Cycle&)
{
    fake.calls.emplace_back("done");
}

void* create_conf(Cycle&)
{
    fake_module_ctx.single_worker = fake.single_worker;
    fake_module_ctx.needs_accept_mutex = fake.needs_accept_mutex;
    fake.confs.emplace_back("create");
    return &fake;
}

/// Records whether event_core, which precedes this module in the table, was initialized first.
const char* init_conf(Cycle& cycle, void* conf)
{
    const auto& ecf = *event_get_conf<EventConf>(cycle.conf_ctx);
    fake.confs.emplace_back(conf == &fake && ecf.use ? "init" : "init too early");
    return conf_ok;
}

}  // namespace

constexpr EventActions fake_actions = {
    .add = add,
    .del = del,
    .enable = add,
    .disable = del,
    .add_conn = nullptr,
    .del_conn = nullptr,
    .notify = nullptr,
    .process_events = process_events,
    .init = init,
    .done = done,
};

namespace {

constinit EventModule fake_module_ctx = {
    .name = "fake",
    .create_conf = create_conf,
    .init_conf = init_conf,
    .actions = fake_actions,
};

}  // namespace

constinit Module fake_module = {
    .ctx = &fake_module_ctx,
    .type = ModuleType::event,
};

}  // namespace ngx::test
