#include <vector>

#include "test/event/contract/promise.hpp"
#include "test/event/contract/service.hpp"

namespace ngx::contract {

namespace {

void serves_twice(const Subject& subject, Verdict& verdict, const ServiceConf& conf)
{
    Service service(subject, verdict, conf);
    service.serves();
    service.serves();
    service.stop();
}

void a_server_without_a_master_serves(const Subject& subject, Verdict& verdict)
{
    serves_twice(subject, verdict, {});
}

void a_master_and_its_worker_serve(const Subject& subject, Verdict& verdict)
{
    serves_twice(subject, verdict, {.workers = 1});
}

void workers_that_share_their_listeners_serve(const Subject& subject, Verdict& verdict)
{
    serves_twice(subject, verdict, {.workers = 2});
}

void workers_with_the_accept_mutex_serve(const Subject& subject, Verdict& verdict)
{
    serves_twice(subject, verdict,
                 {.workers = 2, .events = "accept_mutex on; accept_mutex_delay 10ms;"});
}

void workers_with_listeners_of_their_own_serve(const Subject& subject, Verdict& verdict)
{
    serves_twice(subject, verdict, {.workers = 2, .listen = "reuseport"});
}

/// Checks that a client of the first configuration and those of later ones are served side by side.
void reloads(const Subject& subject, Verdict& verdict, const ServiceConf& conf)
{
    Service service(subject, verdict, conf);
    const Client old = service.client(service.proxy());
    for (int i = 0; i < 3; i++) {
        old.send("still here");
        verdict.same("an echo for a client of the first configuration", receive(old, 10),
                     "still here");
        service.reload();
        service.serves();
    }
    old.finish();
    verdict.same("data after the last echo", receive(old), "");
    service.stop();
}

void a_reload_keeps_its_clients(const Subject& subject, Verdict& verdict)
{
    reloads(subject, verdict, {.workers = 1});
}

void a_reload_without_a_master_keeps_its_clients(const Subject& subject, Verdict& verdict)
{
    reloads(subject, verdict, {});
}

void clients_that_send_and_end_at_once_are_answered(const Subject& subject, Verdict& verdict)
{
    constexpr int clients = 50;
    Service service(subject, verdict, {});
    for (int i = 0; i < clients; i++) {
        for (const Port* port : {&service.echo(), &service.proxy()}) {
            const Client client = service.client(*port);
            client.send("hello");
            client.finish();
            if (!verdict.same("an answer, up to its end", receive(client), "hello")) {
                return;
            }
        }
    }
    service.stop();
}

void a_crowd_is_served_under_small_limits(const Subject& subject, Verdict& verdict)
{
    Service service(subject, verdict, {.events = "multi_accept on;", .small_limits = true});
    std::vector<Client> crowd;
    for (int i = 0; i < 100; i++) {
        crowd.push_back(service.client(service.echo()));
    }
    for (const std::string_view text : {"one", "two", "six"}) {
        service.pause();
        for (const Client& client : crowd) {
            client.send(text);
        }
        service.resume();
        for (const Client& client : crowd) {
            if (!verdict.same("an echo of one in a crowd", receive(client, 3), text)) {
                return;
            }
        }
    }
    crowd.clear();
    service.stop();
}

constexpr Promise table[] = {
    {
        .name = "a_server_without_a_master_serves",
        .explanation = "A whole server in one process sends texts, echoes over TCP and UDP, "
                       "proxies, reads PROXY headers, and shuts down gracefully.",
        .needs = capability::stream,
        .serve = a_server_without_a_master_serves,
    },
    {
        .name = "a_master_and_its_worker_serve",
        .explanation = "The same with a master and a worker, which also receives commands on its "
                       "channel.",
        .needs = capability::stream,
        .serve = a_master_and_its_worker_serve,
    },
    {
        .name = "workers_that_share_their_listeners_serve",
        .explanation = "Two workers watch the same listeners, with exclusive_event if the poller "
                       "declares use_epoll_event.",
        .needs = capability::workers | capability::stream,
        .serve = workers_that_share_their_listeners_serve,
    },
    {
        .name = "workers_with_the_accept_mutex_serve",
        .explanation = "With accept_mutex, two workers take turns in watching the listeners.",
        .needs = capability::workers | capability::stream,
        .serve = workers_with_the_accept_mutex_serve,
    },
    {
        .name = "workers_with_listeners_of_their_own_serve",
        .explanation = "With reuseport, each of two workers has its own listeners.",
        .needs = capability::workers | capability::stream,
        .serve = workers_with_listeners_of_their_own_serve,
    },
    {
        .name = "a_reload_keeps_its_clients",
        .explanation = "Over three reloads, a proxied client is served by its old worker while new "
                       "workers serve others.",
        .needs = capability::stream,
        .serve = a_reload_keeps_its_clients,
    },
    {
        .name = "a_reload_without_a_master_keeps_its_clients",
        .explanation = "The same in one process, which keeps watching the old connections.",
        .needs = capability::stream,
        .serve = a_reload_without_a_master_keeps_its_clients,
    },
    {
        .name = "clients_that_send_and_end_at_once_are_answered",
        .explanation = "A client whose data and end of data arrive together gets its answer and "
                       "its end, from an echo and through a proxy.",
        .needs = capability::stream,
        .serve = clients_that_send_and_end_at_once_are_answered,
    },
    {
        .name = "a_crowd_is_served_under_small_limits",
        .explanation = "A process with low limits of open files and of pending signals serves a "
                       "hundred clients.",
        .needs = capability::stream,
        .serve = a_crowd_is_served_under_small_limits,
    },
};

}  // namespace

constinit const std::span<const Promise> server_promises = table;

}  // namespace ngx::contract
