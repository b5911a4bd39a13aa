"""Tests the content `example` with real clients."""

from __future__ import annotations

import socket
import unittest

from server import HERE, Server, check_conf, fetch_late

CONF = (HERE / "example.conf").read_text()
LARGE = b"All is well. " * 50_000  # more than sockets and buffer hold at once


def receive_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


class Answers(unittest.TestCase):
    def test_in_capitals_until_the_client_has_said_all(self) -> None:
        with Server(CONF) as server, server.connect() as client:
            for word in (b"Good ", b"morning, "):
                client.sendall(word)
                self.assertEqual(client.recv(100), word.upper())
            client.sendall(b"42!")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(receive_all(client), b"42!")
            self.assertEqual(server.stop(), 0, server.log())
            self.assertEqual(server.errors(), [])
            self.assertFalse(server.has_processes())

    def test_a_client_that_does_not_fetch_is_waited_for(self) -> None:
        with Server(CONF) as server, server.connect() as client:
            self.assertEqual(fetch_late(client, LARGE), LARGE.upper())
            self.assertEqual(server.errors(), [])

    def test_a_client_that_is_silent_is_left(self) -> None:
        conf = CONF.replace("example_timeout 60s", "example_timeout 50ms")
        with Server(conf) as server, server.connect() as client:
            self.assertEqual(receive_all(client), b"")
            self.assertEqual(server.stop(), 0, server.log())
            self.assertEqual(server.errors(), [])


class Directives(unittest.TestCase):
    def refuse(self, old: str, new: str, message: str) -> None:
        result = check_conf(CONF.replace(old, new))
        self.assertEqual(result.returncode, 1)
        self.assertIn(message, result.stderr)

    def test_one_content_is_enough(self) -> None:
        self.refuse("example;", "example; example;", '"example" directive is duplicate')

    def test_a_buffer_has_a_size(self) -> None:
        self.refuse("example_buffer_size 4k", "example_buffer_size 0", "must not be zero")

    def test_datagrams_are_refused(self) -> None:
        self.refuse(":8100;", ":8100 udp;", '"example" does not serve datagrams')


if __name__ == "__main__":
    unittest.main()
