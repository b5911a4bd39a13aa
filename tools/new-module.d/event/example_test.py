"""Tests the event method `example` in a server. Meson also runs the contract of event methods."""

from __future__ import annotations

import socket
import unittest

from server import HERE, Server, check_conf, fetch_late

CONF = (HERE / "example.conf").read_text()
LARGE = bytes(range(256)) * 2048  # more than a socket accepts at once


def echo(server: Server, data: bytes) -> bytes:
    """Sends data and returns the server's echo, until the server closes."""
    with server.connect() as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


class Serving(unittest.TestCase):
    def serve(self, conf: str) -> None:
        with Server(conf) as server:
            self.assertEqual(echo(server, b"hello"), b"hello")
            clients = [server.connect() for _ in range(50)]
            for client in clients:
                client.sendall(b"one of many")
            for client in reversed(clients):
                self.assertEqual(client.recv(100), b"one of many")
                client.close()
            self.assertIn('using the "example" event method', server.log())
            self.assertEqual(server.stop(), 0, server.log())
            self.assertEqual(server.errors(), [])
            self.assertFalse(server.has_processes())

    def test_clients_are_served(self) -> None:
        self.serve(CONF)

    def test_clients_are_served_by_one_that_looks_before_it_waits(self) -> None:
        self.serve(CONF.replace("example_spin 0", "example_spin 100"))

    def test_without_a_master_a_reload_keeps_the_clients(self) -> None:
        conf = "master_process off;" + CONF
        with Server(conf) as server, server.connect() as client:
            client.sendall(b"before")
            self.assertEqual(client.recv(100), b"before")
            server.reload(conf.replace("example_spin 0", "example_spin 1"))
            server.wait_for("reconfiguring")
            self.assertEqual(echo(server, b"new"), b"new")
            client.sendall(b"after")
            self.assertEqual(client.recv(100), b"after")
            client.close()
            self.assertEqual(server.stop(), 0, server.log())
            self.assertEqual(server.errors(), [])


class Partly(unittest.TestCase):
    def test_what_does_not_go_at_once_goes_later(self) -> None:
        with Server(CONF) as server, server.connect() as client:
            self.assertEqual(fetch_late(client, LARGE), LARGE)
            self.assertEqual(server.errors(), [])


class Directive(unittest.TestCase):
    def test_a_number_out_of_bounds_is_refused(self) -> None:
        result = check_conf(CONF.replace("example_spin 0", "example_spin 1001"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("value must be between 0 and 1000", result.stderr)


if __name__ == "__main__":
    unittest.main()
