#!/usr/bin/env python3
"""Reports when the server serves that tools/run starts by exec.

usage: announce.py PID [CONF]

PID is the server's first process. Prints the value of NOTIFY_SOCKET for the server's environment,
and continues in the background: receives the server's notifications until the server exits, and
writes one line to descriptor 3 when the server reports that it serves. CONF is the default
configuration; with it the line also suggests commands to try, and the program first checks the
ports: if one is in use, it prints which and exits with status 1.
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

# Commands for the default configuration; those whose program is installed are printed.
TRIES = (
    "curl http://127.0.0.1:8080/",
    "nc 127.0.0.1 8007              sends back what you type",
)


def is_free(port: int) -> bool:
    """Returns whether the server can listen on the port."""
    try:
        socket.create_server(("", port)).close()
    except OSError:
        return False
    return True


def check_ports(conf: Path) -> None:
    """Exits if a port is in use; the server would try for three seconds and then give up."""
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
        f"tools/run: port {' and '.join(map(str, taken))} is already in use. To use another:\n"
        f"    sed '{edit}' {ours} >{theirs}\n"
        f"    {run} -c {theirs}"
    )


def what_to_try() -> str:
    lines = [line for line in TRIES if shutil.which(line.split()[0])]
    return "".join(f"    {line}\n" for line in lines)


def watch(server: int, notified: socket.socket, text: str) -> None:
    """Returns when the server has exited, or the one that has replaced it."""
    process = os.pidfd_open(server)
    while True:
        # A notification that was sent before the exit is read first.
        if notified in select.select([notified, process], [], [])[0]:
            message = notified.recv(4096).decode(errors="replace")
            if text and "READY=1" in message.splitlines():
                os.write(3, text.encode())
                os.close(3)
                text = ""
            if main := re.search(r"^MAINPID=(\d+)$", message, re.MULTILINE):
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
    notified.bind("")  # an abstract name that the kernel chooses
    print("@" + notified.getsockname()[1:].decode(), flush=True)

    # The child of a child, so that it is not a child of the server, which would report its exit.
    if os.fork() == 0:
        for name in ("SIGINT", "SIGQUIT", "SIGHUP"):  # signals from the terminal are for the server
            signal.signal(signal.Signals[name], signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        try:
            watch(server, notified, text)
        except ProcessLookupError:
            pass  # the server has already exited
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None)
