"""The clients of a server that is measured."""

from __future__ import annotations

import socket

from . import CannotMeasure

ANSWER = b"Welcome to the bench.\n"

STEP_SECONDS = 120


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def expect(got: bytes, wanted: bytes) -> None:
    if got != wanted:
        raise CannotMeasure(f"the server answered {got!r}")


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), STEP_SECONDS)


def one_return(port: int) -> None:
    with connect(port) as client:
        expect(receive(client, len(ANSWER) + 1), ANSWER)
