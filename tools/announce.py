#!/usr/bin/env python3
"""Says when the server serves that tools/run is about to become.

usage: announce.py PID [CONF]

Prints what NOTIFY_SOCKET has to be in the environment of the server, whose first process is PID,
and goes on in the background: when the server reports that it serves, one line about that goes to
descriptor 3, and until it has ended somebody is there to be notified. With CONF, which is the
default configuration, its ports must be free, or status 1 says which is not; and the line has
what to try.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import socket
import sys
from pathlib import Path

# For the default configuration; each if its program is there.
TRIES = (
    "curl http://127.0.0.1:8080/",
    "nc 127.0.0.1 8007              sends back what you type",
)


def is_free(port: int) -> bool:
    """Whether the server could listen there."""
    try:
        socket.create_server(("", port)).close()
    except OSError:
        return False
    return True


def check_ports(conf: Path) -> None:
    """Ends the program where the server could only try for three seconds, and give up."""
    ports = map(int, re.findall(r"^\s*listen (\d+);", conf.read_text(), re.MULTILINE))
    taken = [port for port in ports if not is_free(port)]
    if not taken:
        return
    edits = [(port, next(n for n in range(port + 1, 65536) if is_free(n))) for port in taken]
    edit = "; ".join(f"s/listen {port};/listen {other};/" for port, other in edits)
    root = os.path.relpath(conf.parent.parent)
    ours, theirs, run = (
        shlex.quote(os.path.normpath(os.path.join(root, name)))
        for name in ("conf/nginx.conf", "build/nginx.conf", "tools/run")
    )
    sys.exit(
        f"tools/run: in use already: port {' and '.join(map(str, taken))}. To take another:\n"
        f"    sed '{edit}' {ours} >{theirs}\n"
        f"    {run} -c {theirs}"
    )


def what_to_try() -> str:
    lines = [line for line in TRIES if shutil.which(line.split()[0])]
    return "".join(f"    {line}\n" for line in lines)


def watch(server: int, notified: socket.socket, text: str) -> None:
    """Ends with the server, or with the one that has taken over."""
    process = os.pidfd_open(server)
    while True:
        # What was sent before the end is read before it.
        if notified in select.select([notified, process], [], [])[0]:
            said = notified.recv(4096).decode(errors="replace")
            if text and "READY=1" in said.splitlines():
                os.write(3, text.encode())
                os.close(3)
                text = ""
            if main := re.search(r"^MAINPID=(\d+)$", said, re.MULTILINE):
                os.close(process)
                process = os.pidfd_open(int(main[1]))
        else:
            return


def main(server: int, conf: Path | None) -> None:
    text = f"ngxx serves, as process {server}. Ctrl-C stops it.\n"
    if conf:
        check_ports(conf)
        text += f"Try in another terminal:\n{what_to_try()}"
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind("")  # a name in no directory, of the kernel's choice
    print("@" + notified.getsockname()[1:].decode(), flush=True)

    # Not a child of the server's, which would wonder who that is when it ends.
    if os.fork() == 0:
        for name in ("SIGINT", "SIGQUIT", "SIGHUP"):  # of the terminal, for the server
            signal.signal(signal.Signals[name], signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        try:
            watch(server, notified, text)
        except ProcessLookupError:
            pass  # it has ended before it could be watched
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None)
