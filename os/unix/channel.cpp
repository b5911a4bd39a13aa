#include "os/unix/channel.hpp"

#include "core/connection.hpp"
#include "core/cycle.hpp"

namespace ngx {

Rc add_channel_event(Cycle& cycle, int fd, EventType event, EventHandler handler)
{
    Connection* c = get_connection(fd, cycle.log);
    if (!c) {
        return Rc::error;
    }
    for (Event* ev : {c->read, c->write}) {
        ev->log = cycle.log;
        ev->channel = 1;
    }
    Event& ev = event == read_event ? *c->read : *c->write;
    ev.handler = handler;

    // epoll would report the write event, too, which nobody waits for.
    const bool add_conn = event_actions.add_conn && (event_flags & use_epoll_event) == 0;
    const Rc rc = add_conn ? event_actions.add_conn(*c) : event_actions.add(ev, event, 0);
    if (rc == Rc::error) {
        free_connection(*c);
        c->fd = invalid_socket;
    }
    return rc;
}

}  // namespace ngx
