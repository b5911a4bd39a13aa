"""Shows ngxx's objects in gdb: `source tools/gdb/ngxx.py`.

print shows an Event, Connection, Listening or Cycle in one line, and the timer tree and the queues
of events and connections element by element. Commands:

  ngxx-timers        all timers, sorted by expiry time
  ngxx-posted        the three queues of posted events
  ngxx-connections   all connections in use

All of this only reads memory, so it also works with a core file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import gdb
import gdb.printing

FLAGS = (
    "active", "disabled", "ready", "eof", "error", "timedout", "delayed", "pending_eof", "closed",
    "cancelable",
)


def pointer_at(address: int) -> int:
    return int(gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


def offset_of(type_name: str, field: str) -> int:
    return next(f.bitpos // 8 for f in gdb.lookup_type(type_name).fields() if f.name == field)


def object_at(address: int, type_name: str) -> gdb.Value:
    return gdb.Value(address).cast(gdb.lookup_type(type_name).pointer()).dereference()


def set_nodes(header: int) -> Iterator[int]:
    """Yields the nodes of a Boost.Intrusive set with optimize_size. A node has parent (its lowest
    bit is the colour), left and right. The header's parent is the root."""
    node = pointer_at(header) & ~1
    above = []
    while node or above:
        while node:
            above.append(node)
            node = pointer_at(node + 8)
        node = above.pop()
        yield node
        node = pointer_at(node + 16)


def list_nodes(header: int) -> Iterator[int]:
    """Yields the nodes of a Boost.Intrusive list, a ring that contains the header. A node has next
    and previous."""
    node = pointer_at(header)
    while node not in (header, 0):
        yield node
        node = pointer_at(node)


def timers(tree: gdb.Value) -> list[gdb.Value]:
    """Returns the events in the timer tree, sorted by expiry time."""
    offset = offset_of("ngx::Event", "timer")
    return [object_at(node - offset, "ngx::Event") for node in set_nodes(int(tree.address))]


def elements(queue: gdb.Value, type_name: str) -> list[gdb.Value]:
    """Returns the elements of a queue of events or connections, whose hooks are called `queue`."""
    offset = offset_of(type_name, "queue")
    return [object_at(node - offset, type_name) for node in list_nodes(int(queue.address))]


def variable(name: str) -> gdb.Value:
    return gdb.parse_and_eval(f"ngx::{name}")


def text(view: gdb.Value) -> str:
    """Returns the text of a std::string_view."""
    return view["_M_str"].string(length=int(view["_M_len"])) if int(view["_M_len"]) else ""


def string(value: gdb.Value) -> str:
    """Returns the text of a std::string."""
    size = int(value["_M_string_length"])
    return value["_M_dataplus"]["_M_p"].string(length=size) if size else ""


def function(pointer: gdb.Value) -> str:
    """Returns a handler's name, without parameters and unnamed namespaces."""
    if int(pointer) == 0:
        return "null"
    found = re.search("<(.*)>", pointer.format_string(symbols=True))
    if found is None:
        return hex(int(pointer))
    return re.sub(r"\([^()]*\)$", "", found[1].replace("(anonymous namespace)::", ""))


def signed(milliseconds: gdb.Value) -> int:
    """Returns the difference of two times, which may wrap around, as a signed number."""
    number = int(milliseconds) % 2**64
    return number - 2**64 if number >= 2**63 else number


def timer_text(event: gdb.Value) -> str:
    return f"{signed(event['timer_key'] - variable('current_msec'))} ms"


def linked(hook: gdb.Value) -> bool:
    """Returns whether a hook is linked. The first word of an unlinked hook is null; in the root of
    a set the word also has the colour."""
    return pointer_at(int(hook.address)) & ~1 != 0


def descriptor(event: gdb.Value) -> str:
    """Returns an event's descriptor. The event's data is a connection or an object whose descriptor
    has the same offset."""
    if int(event["data"]) == 0:
        return "no fd"
    fd = int(event["data"].cast(gdb.lookup_type("ngx::Connection").pointer())["fd"])
    return f"fd {fd} {'write' if event['write'] else 'read'}"


class EventPrinter:
    def __init__(self, value: gdb.Value) -> None:
        self.event = value

    def to_string(self) -> str:
        event = self.event
        words = [descriptor(event), *(flag for flag in FLAGS if event[flag])]
        if event.address is not None:
            if linked(event["timer"]):
                words.append("timer in " + timer_text(event))
            if linked(event["queue"]):
                words.append("posted")
        return f"Event({', '.join(words)} -> {function(event['handler'])})"


class ConnectionPrinter:
    def __init__(self, value: gdb.Value) -> None:
        self.connection = value

    def to_string(self) -> str:
        c = self.connection
        if int(c["fd"]) == -1:
            return "Connection(free)"
        words = [f"fd {int(c['fd'])}"]
        if int(c["number"]) != 0:
            words.append(f"*{int(c['number'])}")
        if text(c["addr_text"]):
            words.append(f"client {text(c['addr_text'])}")
        if int(c["listening"]) != 0:
            words.append(f"on {text(c['listening']['addr_text'])}")
        words += [flag for flag in ("timedout", "error", "idle", "reusable", "close") if c[flag]]
        for direction in ("read", "write"):
            if int(c[direction]) != 0:
                words.append(f"{direction} -> {function(c[direction]['handler'])}")
        return f"Connection({', '.join(words)})"


class ListeningPrinter:
    def __init__(self, value: gdb.Value) -> None:
        self.listening = value

    def to_string(self) -> str:
        ls = self.listening
        words = [text(ls["addr_text"]), f"fd {int(ls['fd'])}"]
        words += [flag for flag in ("inherited", "ignore", "reuseport") if ls[flag]]
        return f"Listening({', '.join(words)} -> {function(ls['handler'])})"


class CyclePrinter:
    def __init__(self, value: gdb.Value) -> None:
        self.cycle = value

    def to_string(self) -> str:
        cycle = self.cycle
        total = int(cycle["connection_n"])
        return (
            f"Cycle({string(cycle['conf_file'])}, generation {int(cycle['generation'])}, "
            f"{total - int(cycle['free_connection_n'])} of {total} connections, "
            f"{int(cycle['modules_n'])} modules)"
        )

    def children(self) -> Iterator[tuple[str, gdb.Value]]:
        yield "listening", self.cycle["listening"]


class SequencePrinter:
    """Prints a container, one element per line."""

    def __init__(self, name: str, values: list[gdb.Value]) -> None:
        self.name = name
        self.values = values

    def to_string(self) -> str:
        return f"{self.name} of {len(self.values)}"

    def display_hint(self) -> str:
        return "array"

    def children(self) -> Iterator[tuple[str, gdb.Value]]:
        return ((str(i), value) for i, value in enumerate(self.values))


def timer_tree_printer(value: gdb.Value) -> SequencePrinter:
    return SequencePrinter("timers", timers(value))


def event_queue_printer(value: gdb.Value) -> SequencePrinter:
    return SequencePrinter("events", elements(value, "ngx::Event"))


def connection_queue_printer(value: gdb.Value) -> SequencePrinter:
    return SequencePrinter("connections", elements(value, "ngx::Connection"))


class TimersCommand(gdb.Command):
    """Prints all timers, sorted by expiry time, in ms from the loop's time."""

    def __init__(self) -> None:
        super().__init__("ngxx-timers", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        events = timers(variable("event_timer_rbtree"))
        for event in events:
            print(f"{timer_text(event):>12}  {descriptor(event):<14} {function(event['handler'])}")
        print(f"{len(events)} timers")


class PostedCommand(gdb.Command):
    """Prints the posted events, in the order in which their handlers will run."""

    def __init__(self) -> None:
        super().__init__("ngxx-posted", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        for name in ("posted_accept_events", "posted_events", "posted_next_events"):
            events = elements(variable(name), "ngx::Event")
            print(f"{name}: {len(events)}")
            for event in events:
                print(f"  {descriptor(event):<14} {function(event['handler'])}")


class ConnectionsCommand(gdb.Command):
    """Prints all connections in use, with their two events."""

    def __init__(self) -> None:
        super().__init__("ngxx-connections", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        cycle = variable("ngx_cycle")
        # A unique_ptr contains only its pointer.
        array = 0 if int(cycle) == 0 else pointer_at(int(cycle["connections"].address))
        if array == 0:
            print("this process has no connections yet")
            return
        first = gdb.Value(array).cast(gdb.lookup_type("ngx::Connection").pointer())
        total = int(cycle["connection_n"])
        used = 0
        for i in range(total):
            connection = first[i]
            if int(connection["fd"]) == -1:
                continue
            used += 1
            print(f"[{i}] {ConnectionPrinter(connection).to_string()}")
            for direction in ("read", "write"):
                event = connection[direction].dereference()
                print(f"      {EventPrinter(event).to_string()}")
        print(f"{used} of {total} connections")


def build_printers() -> gdb.printing.RegexpCollectionPrettyPrinter:
    printers = gdb.printing.RegexpCollectionPrettyPrinter("ngxx")
    printers.add_printer("Event", "^ngx::Event$", EventPrinter)
    printers.add_printer("Connection", "^ngx::Connection$", ConnectionPrinter)
    printers.add_printer("Listening", "^ngx::Listening$", ListeningPrinter)
    printers.add_printer("Cycle", "^ngx::Cycle$", CyclePrinter)
    intrusive = "^boost::intrusive::"
    printers.add_printer("TimerTree", intrusive + "multiset<ngx::Event,", timer_tree_printer)
    printers.add_printer("PostedQueue", intrusive + "list<ngx::Event,", event_queue_printer)
    printers.add_printer(
        "ReusableConnections", intrusive + "list<ngx::Connection,", connection_queue_printer)
    return printers


gdb.printing.register_pretty_printer(gdb.current_objfile(), build_printers(), replace=True)
TimersCommand()
PostedCommand()
ConnectionsCommand()
