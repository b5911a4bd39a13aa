#include <algorithm>
#include <fmt/format.h>
#include <sys/select.h>
#include <vector>

#include "test/event/contract/bench.hpp"

namespace ngx::contract {

namespace {

/// Opens at most n connections, as many as have descriptors below FD_SETSIZE. The descriptors of
/// their peers are above FD_SETSIZE if this process may have so many.
std::vector<Link*> open_many(Bench& b, std::size_t n)
{
    std::vector<Link*> links;
    while (links.size() < n) {
        Ends ends = socket_pair_with_high_peer(FD_SETSIZE);
        // Leaves a number for the connection that settle() opens.
        if (ends.own >= FD_SETSIZE - 4) {
            test::Fd(ends.own).close();
            break;
        }
        links.push_back(&b.open(std::move(ends)));
    }
    return links;
}

int reports(const std::vector<Link*>& links)
{
    int n = 0;
    for (const Link* link : links) {
        n += link->reads;
    }
    return n;
}

void all_are_ready(Bench& b, const std::vector<Link*>& links)
{
    for (Link* link : links) {
        link->on_read = [](Link& l) { (void)l.receive(); };
        b.watch(link->read());
    }
    for (const Link* link : links) {
        link->send("x");
    }
}

void each_was_reported_once(Bench& b, const std::vector<Link*>& links)
{
    const auto n = static_cast<int>(links.size());
    b.expect(b.until([&] { return reports(links) >= n; }), "all are reported");
    b.settle();
    b.expect(std::ranges::all_of(links, [](const Link* link) { return link->reads == 1; }),
             "each is reported once");
}

void a_thousand_connections_are_each_reported_once(Bench& b)
{
    constexpr std::size_t wanted = 1000;
    const std::vector<Link*> links = open_many(b, wanted);
    if (links.size() < wanted) {
        b.note(fmt::format("tried with {} connections: no more descriptors are available",
                           links.size()));
    }
    all_are_ready(b, links);
    each_was_reported_once(b, links);
}

void one_of_a_thousand_connections_is_found(Bench& b)
{
    const std::vector<Link*> links = open_many(b, 1000);
    for (const Link* link : links) {
        b.watch(link->read());
    }
    for (const std::size_t i : {std::size_t{0}, links.size() / 2, links.size() - 1}) {
        links[i]->send("x");
        b.reported("one of many", links[i]->reads);
        (void)links[i]->receive();
    }
    b.settle();
    b.same("reports", reports(links), 3);
}

void a_third_of_a_thousand_connections_can_be_closed(Bench& b)
{
    std::vector<Link*> links = open_many(b, 1000);
    all_are_ready(b, links);
    const auto middle = links.begin() + static_cast<std::ptrdiff_t>(links.size() / 3);
    const auto end = middle + static_cast<std::ptrdiff_t>(links.size() / 3);
    for (auto link = middle; link != end; ++link) {
        b.close(**link);
    }
    links.erase(middle, end);
    each_was_reported_once(b, links);
}

void more_events_than_a_batch_holds_come_over_several_turns(Bench& b)
{
    const std::vector<Link*> links = open_many(b, 100);
    all_are_ready(b, links);
    for (int turns = 1; turns <= 3; turns++) {
        b.turn(100);
        b.same("reports", reports(links), 8 * turns);
    }
    each_was_reported_once(b, links);
}

constexpr Promise table[] = {
    {
        .name = "a_thousand_connections_are_each_reported_once",
        .explanation = "A thousand connections that become ready together are each reported "
                       "exactly once.",
        .keep = a_thousand_connections_are_each_reported_once,
    },
    {
        .name = "one_of_a_thousand_connections_is_found",
        .explanation = "If one of a thousand connections is ready, only this one is reported.",
        .keep = one_of_a_thousand_connections_is_found,
    },
    {
        .name = "a_third_of_a_thousand_connections_can_be_closed",
        .explanation = "If a third of a thousand ready connections is closed, the others are each "
                       "reported once.",
        .keep = a_third_of_a_thousand_connections_can_be_closed,
    },
    {
        .name = "more_events_than_a_batch_holds_come_over_several_turns",
        .explanation = "With epoll_events 8, a hundred ready connections are reported eight in "
                       "each turn, each once.",
        .keep = more_events_than_a_batch_holds_come_over_several_turns,
        .needs = capability::epoll,
        .events_conf = "epoll_events 8;",
    },
};

}  // namespace

constinit const std::span<const Promise> capacity_promises = table;

}  // namespace ngx::contract
