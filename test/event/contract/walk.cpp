#include <algorithm>
#include <array>
#include <poll.h>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "event/event.hpp"
#include "test/event/contract/bench.hpp"

/// \file
/// Random operations on a poller, compared with a model of what it must report. The last steps are
/// recorded, so that a finding can be understood.
namespace ngx::contract {

namespace {

/// The model of one direction of a connection.
struct Half {
    bool watched = false;
    bool disabled = false;
    bool due = false;  // became ready after its last report
    bool was = false;  // became ready since the last check, and may have passed
};

struct Place {
    Link* link = nullptr;
    Half read{};
    Half write{};
    std::size_t unread = 0;  // bytes sent by the peer
};

class Walk {
public:
    explicit Walk(Bench& b) : b_(b), random_(b.seed())
    {
        for (Place& place : places_) {
            open(place);
        }
    }

    /// Does some random steps and checks the reports. Returns false if they differ from the model.
    bool go()
    {
        for (std::size_t n = 1 + any(4); n > 0; n--) {
            step(places_[any(places_.size())]);
        }
        return check();
    }

    /// Returns the last steps, the latest at the end.
    [[nodiscard]] std::string story() const
    {
        std::string text;
        const std::size_t n = std::min<std::size_t>(story_.size(), 12);
        for (auto step = story_.end() - static_cast<std::ptrdiff_t>(n); step != story_.end();
             ++step) {
            text += (text.empty() ? "" : ", ") + *step;
        }
        return text;
    }

private:
    std::size_t any(std::size_t n) { return random_() % n; }

    void tell(const Place& place, std::string_view what)
    {
        story_.push_back(fmt::format("{} {}", &place - places_.data(), what));
    }

    void open(Place& place)
    {
        place = {.link = &b_.open()};
        tell(place, "open");
    }

    void step(Place& place)
    {
        switch (any(10)) {
        case 0:
        case 1:
            return toggle(place, place.read, place.link->read(), "read");
        case 2:
        case 3:
            return toggle(place, place.write, place.link->write(), "write");
        case 4:
        case 5:
            return send(place);
        case 6:
            tell(place, "receive");
            place.unread -= place.link->receive().text.size();
            return;
        case 7:
            return fill_or_drain(place);
        case 8:
            return reopen(place);
        default:
            return toggle_both(place);
        }
    }

    /// Whether the direction is ready now. poll() cannot tell it of data that the event module has
    /// received itself.
    static bool is_ready(const Place& place, const Half& half)
    {
        if (&half == &place.read) {
            return place.unread != 0;
        }
        pollfd entry{.fd = place.link->fd(), .events = POLLOUT, .revents = 0};
        return ::poll(&entry, 1, 0) == 1;
    }

    static void watched(const Place& place, Half& half)
    {
        const bool ready = is_ready(place, half);
        half = {.watched = true, .due = ready, .was = ready};
    }

    /// Calls add, del, disable or enable, depending on the state.
    void toggle(Place& place, Half& half, Event& ev, std::string_view which)
    {
        const EventType type = ev.write ? write_event : read_event;
        const bool has_enable = event_actions.enable && event_actions.disable;
        if (half.watched && has_enable && any(2) == 0) {
            tell(place, fmt::format("disable {}", which));
            b_.same("disable", event_actions.disable(ev, type, disable_event | keeps_edge()),
                    Rc::ok);
            half = {.disabled = true};
        } else if (half.watched) {
            tell(place, fmt::format("del {}", which));
            b_.unwatch(ev);
            half = {};
        } else if (half.disabled) {
            tell(place, fmt::format("enable {}", which));
            b_.same("enable", event_actions.enable(ev, type, Bench::natural_flags()), Rc::ok);
            watched(place, half);
        } else {
            tell(place, fmt::format("add {}", which));
            b_.watch(ev);
            watched(place, half);
        }
    }

    static unsigned keeps_edge() { return Bench::natural_flags() & clear_event; }

    void toggle_both(Place& place)
    {
        const bool neither = !place.read.watched && !place.write.watched && !place.read.disabled &&
                             !place.write.disabled;
        if (!event_actions.add_conn || (!neither && !(place.read.watched && place.write.watched))) {
            return;
        }
        if (!neither) {
            tell(place, "del_conn");
            b_.same("del_conn", event_actions.del_conn(*place.link->connection, 0), Rc::ok);
            place.read = place.write = {};
            return;
        }
        tell(place, "add_conn");
        b_.same("add_conn", event_actions.add_conn(*place.link->connection), Rc::ok);
        watched(place, place.read);
        watched(place, place.write);
    }

    void send(Place& place)
    {
        tell(place, "send");
        place.link->send("x");
        place.unread++;
        place.read.due = place.read.was = place.read.watched;
    }

    void fill_or_drain(Place& place)
    {
        if (is_ready(place, place.write)) {
            tell(place, "fill");
            place.link->fill();
            place.write.due = false;
        } else {
            tell(place, "drain");
            place.link->drain();
            place.write.due = place.write.was = place.write.watched;
        }
    }

    /// The next connection gets the same number, and often the same slot.
    void reopen(Place& place)
    {
        tell(place, "close");
        b_.close(*place.link);
        if (any(2) == 0) {
            const Place& other = places_[any(places_.size())];
            if (&other != &place) {
                return reopen_with(place, const_cast<Place&>(other));
            }
        }
        open(place);
    }

    /// Closes two connections and opens them in the other order, so that numbers and slots are
    /// mixed.
    void reopen_with(Place& place, Place& other)
    {
        tell(other, "close");
        b_.close(*other.link);
        open(place);
        open(other);
    }

    [[nodiscard]] bool is_reported(const Place& place, const Half& half, int count) const
    {
        const bool level = (event_flags & use_level_event) != 0;
        return count > 0 || !half.watched || !is_ready(place, half) || !(level || half.due);
    }

    [[nodiscard]] bool all_reported() const
    {
        return std::ranges::all_of(places_, [&](const Place& place) {
            return is_reported(place, place.read, place.link->reads) &&
                   is_reported(place, place.write, place.link->writes);
        });
    }

    /// Checks that no event was reported that is not watched or not ready.
    bool is_quiet(const Place& place, const Half& half, int count, std::string_view which)
    {
        if (half.watched && (is_ready(place, half) || (b_.in_vain() && half.was))) {
            return true;
        }
        return b_.same(fmt::format("reports of {} of connection {}, which is {}", which,
                                   &place - places_.data(),
                                   half.watched ? "not ready" : "not watched"),
                       count, 0);
    }

    bool check()
    {
        for (Place& place : places_) {
            place.link->reads = place.link->writes = 0;
        }
        b_.turn();
        bool good = b_.until([&] { return all_reported(); });
        b_.expect(good, "all watched events that are ready are reported");
        for (Place& place : places_) {
            good &= is_quiet(place, place.read, place.link->reads, "read");
            good &= is_quiet(place, place.write, place.link->writes, "write");
            place.read.due = place.read.was = place.write.due = place.write.was = false;
        }
        return good;
    }

    Bench& b_;
    std::minstd_rand random_;
    std::array<Place, 12> places_{};
    std::vector<std::string> story_{};
};

void a_random_walk_matches_the_model(Bench& b)
{
    Walk walk(b);
    constexpr int steps = 400;
    for (int i = 1; i <= steps; i++) {
        const bool good = walk.go();
        if (!good || !b.alerts().empty()) {
            b.note(fmt::format("--seed {}, step {}: {}", b.seed(), i, walk.story()));
            return;
        }
    }
}

constexpr Promise table[] = {
    {
        .name = "a_random_walk_matches_the_model",
        .explanation = "In a random sequence (--seed) of adds, deletions, sends, reads, closes and "
                       "other steps, exactly the events that are watched and ready are reported.",
        .keep = a_random_walk_matches_the_model,
    },
};

}  // namespace

constinit const std::span<const Promise> walk_promises = table;

}  // namespace ngx::contract
