"""Shows ngxx in gdb: `source tools/gdb/ngxx.py`.

print shows Event, Connection, Listening and Cycle in a line, and the timer tree and the queues of
events and connections element by element. Commands:

  ngxx-timers        every timer that is set, the earliest first
  ngxx-posted        the three queues of posted events
  ngxx-connections   every connection that is in use

All of it reads memory only, so that it works on a core file, too.
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
    """The nodes of a Boost.Intrusive set with optimize_size: parent, whose lowest bit is the
    colour, left, right. The header's parent is the root."""
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
    """The nodes of a Boost.Intrusive list: next, previous, in a ring with the header."""
    node = pointer_at(header)
    while node not in (header, 0):
        yield node
        node = pointer_at(node)


def timers(tree: gdb.Value) -> list[gdb.Value]:
    """The events in the timer tree, the earliest first."""
    offset = offset_of("ngx::Event", "timer")
    return [object_at(node - offset, "ngx::Event") for node in set_nodes(int(tree.address))]


def elements(queue: gdb.Value, type_name: str) -> list[gdb.Value]:
    """What is in a queue of events or of connections, whose hooks are called `queue`."""
    offset = offset_of(type_name, "queue")
    return [object_at(node - offset, type_name) for node in list_nodes(int(queue.address))]


def variable(name: str) -> gdb.Value:
    return gdb.parse_and_eval(f"ngx::{name}")


def text(view: gdb.Value) -> str:
    """A std::string_view."""
    return view["_M_str"].string(length=int(view["_M_len"])) if int(view["_M_len"]) else ""


def string(value: gdb.Value) -> str:
    """A std::string."""
    size = int(value["_M_string_length"])
    return value["_M_dataplus"]["_M_p"].string(length=size) if size else ""


def function(pointer: gdb.Value) -> str:
    """A handler's name, without its parameters and unnamed namespaces."""
    if int(pointer) == 0:
        return "null"
    found = re.search("<(.*)>", pointer.format_string(symbols=True))
    if found is None:
        return hex(int(pointer))
    return re.sub(r"\([^()]*\)$", "", found[1].replace("(anonymous namespace)::", ""))


def signed(milliseconds: gdb.Value) -> int:
    """The difference of two times, which may wrap."""
    number = int(milliseconds) % 2**64
    return number - 2**64 if number >= 2**63 else number


def timer_text(event: gdb.Value) -> str:
    return f"{signed(event['timer_key'] - variable('current_msec'))} ms"


def linked(hook: gdb.Value) -> bool:
    """The first word of a hook is null as long as it is in nothing. A set's root has the colour
    there, too."""
    return pointer_at(int(hook.address)) & ~1 != 0


def descriptor(event: gdb.Value) -> str:
    """An event's data is a connection, or has its descriptor at the same place."""
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
    """What has elements, one a line."""

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
    """Every timer that is set, the earliest first: when it expires, in ms from the loop's time."""

    def __init__(self) -> None:
        super().__init__("ngxx-timers", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        events = timers(variable("event_timer_rbtree"))
        for event in events:
            print(f"{timer_text(event):>12}  {descriptor(event):<14} {function(event['handler'])}")
        print(f"{len(events)} timers")


class PostedCommand(gdb.Command):
    """The events that are posted, in the order in which their handlers will run."""

    def __init__(self) -> None:
        super().__init__("ngxx-posted", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        for name in ("posted_accept_events", "posted_events", "posted_next_events"):
            events = elements(variable(name), "ngx::Event")
            print(f"{name}: {len(events)}")
            for event in events:
                print(f"  {descriptor(event):<14} {function(event['handler'])}")


class ConnectionsCommand(gdb.Command):
    """Every connection that is in use, with its two events."""

    def __init__(self) -> None:
        super().__init__("ngxx-connections", gdb.COMMAND_DATA)

    def invoke(self, _argument: str, _from_tty: bool) -> None:
        cycle = variable("ngx_cycle")
        # A unique_ptr is no more than its pointer.
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
