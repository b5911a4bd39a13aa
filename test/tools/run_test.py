"""Tests of tools/run: the arguments of the server, and the messages to the user."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# Replaces the server: prints its arguments.
SERVER = """#!/usr/bin/env python3
import json, sys
if sys.argv[1:] == ["-V"]:
    sys.exit("configure arguments: --with-stream")
print(json.dumps(sys.argv[1:]))
"""


# Replaces a server that serves: notifies as it notifies systemd, and waits for its end.
SERVING = """#!/usr/bin/env python3
import os, signal, socket, sys
if sys.argv[1:] == ["-V"]:
    sys.exit("configure arguments: --with-stream")
def notify(text):
    name = os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1)
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text.encode(), name)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("started", flush=True)
os.read(0, 1)
notify(f"READY=1\\nMAINPID={os.getpid()}")
notify(f"READY=1\\nMAINPID={os.getpid()}")  # of a reload
signal.sigwait([signal.SIGTERM])
notify("STOPPING=1")
"""


class Run(unittest.TestCase):
    """A temporary tree with tools/run, and else/ as the user's working directory."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        for name in ("tools", "build", "bin", "else", "conf"):
            (self.root / name).mkdir()
        for name in ("run", "announce.py"):
            shutil.copy(ROOT / "tools" / name, self.root / "tools")
        self.conf = self.root / "conf" / "nginx.conf"
        self.conf.write_text("# pid is not set; daemon neither\n", encoding="utf-8")
        self.script("tools/setup", "#!/bin/sh\n")
        self.script("bin/ninja", "#!/bin/sh\necho 'ninja: no work to do.'\n")
        self.script("build/ngxx", SERVER)
        (self.root / "build" / "build.ninja").touch()

    def script(self, name: str, text: str) -> None:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def command(self, *arguments: str) -> dict:
        """Returns the arguments for subprocess."""
        return {
            "args": [str(self.root / "tools" / "run"), *arguments],
            "cwd": self.root / "else",
            "env": {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            "text": True,
        }


class Arguments(Run):
    def run_with(self, *arguments: str) -> tuple[dict[str, str], list[str], str]:
        """Returns the options with a value, the other arguments, and what was printed before."""
        result = subprocess.run(**self.command(*arguments), capture_output=True, check=True)
        printed, given = result.stdout.rstrip("\n").rpartition("\n")[::2]
        options: dict[str, str] = {}
        rest = json.loads(given)
        while len(rest) > 1 and rest[0] in ("-c", "-e", "-g", "-p", "-s"):
            self.assertNotIn(rest[0], options)
            options[rest[0]] = rest[1]
            rest = rest[2:]
        return options, rest, printed

    def test_by_default_it_serves_from_the_build_folder_in_the_foreground(self) -> None:
        options, rest, printed = self.run_with()
        self.assertEqual(
            options,
            {
                "-p": f"{self.root}/build/run/",
                "-c": f"{self.root}/conf/nginx.conf",
                "-e": "stderr",
                "-g": "daemon off; pid ngxx.pid; ",
            },
        )
        self.assertEqual((rest, printed), ([], ""))
        self.assertTrue((self.root / "build" / "run" / "logs").is_dir())

    def test_a_build_without_stream_serves_its_own_default_configuration(self) -> None:
        self.script("build/ngxx", SERVER.replace("--with-stream", "--with-debug"))
        (self.root / "build" / "conf").mkdir()
        (self.root / "build" / "conf" / "nginx.conf").touch()
        self.assertEqual(self.run_with()[0]["-c"], f"{self.root}/build/conf/nginx.conf")

    def test_the_users_directives_are_added(self) -> None:
        options, _, _ = self.run_with("-g", "user nobody;")
        self.assertEqual(options["-g"], "daemon off; pid ngxx.pid; user nobody;")

    def test_the_last_of_the_users_directives_counts(self) -> None:
        options, _, _ = self.run_with("-g", "user a;", "-guser b;pid c;")
        self.assertEqual(options["-g"], "daemon off; user b;pid c;")

    def test_a_directive_that_the_user_sets_is_not_given_twice(self) -> None:
        options, _, _ = self.run_with("-g", "pid a;daemon on;")
        self.assertEqual(options["-g"], "pid a;daemon on;")

    def test_a_directive_that_the_configuration_sets_is_not_given_twice(self) -> None:
        conf = self.root / "else" / "a.conf"
        for text, given in (
            ("events {} pid a;", "daemon off; "),
            ("#pid a;\ndaemon\toff;", "pid ngxx.pid; "),
            ("daemon off;pid a;", ""),
        ):
            conf.write_text(text, encoding="utf-8")
            self.assertEqual(self.run_with("-c", "a.conf")[0]["-g"], given)

    def test_flags_pass_and_nothing_is_suggested(self) -> None:
        for given, passed in ((["-t"], ["-t"]), (["-qt"], ["-q", "-t"]), (["-V"], ["-V"])):
            options, rest, printed = self.run_with(*given)
            self.assertEqual((rest, printed), (passed, ""))
            self.assertEqual(options["-e"], "stderr")

    def test_a_signal_passes_and_nothing_is_suggested(self) -> None:
        options, rest, printed = self.run_with("-s", "stop")
        self.assertEqual(options["-s"], "stop")
        self.assertEqual((rest, printed), ([], ""))

    def test_paths_are_relative_to_the_users_directory(self) -> None:
        options, rest, printed = self.run_with("-tc", "a.conf", "-pb")
        self.assertEqual(options["-c"], f"{self.root}/else/a.conf")
        self.assertEqual(options["-p"], f"{self.root}/else/b")
        self.assertEqual((rest, printed), (["-t"], ""))

    def test_unknown_arguments_are_passed_to_the_server(self) -> None:
        for words in (["-x"], ["--help"], ["word"], [""], ["-c"]):
            self.assertEqual(self.run_with(*words)[1], words)


class Told(Run):
    """The messages when the server serves or fails."""

    def setUp(self) -> None:
        super().setUp()
        self.script("build/ngxx", SERVING)
        for name in ("curl", "nc"):
            self.script(f"bin/{name}", "")

    def serve(self, *arguments: str) -> tuple[int, str]:
        """Returns the first process, and its output from the time when it serves until its exit."""
        with subprocess.Popen(
            **self.command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            # There is no output before it serves.
            self.assertEqual(process.stdout.readline(), "started\n")
            process.stdin.write("x")
            process.stdin.flush()
            first = process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            rest = process.stdout.read()
        self.assertEqual(process.returncode, 0)
        return process.pid, first + rest

    def test_when_the_server_serves_and_what_to_try(self) -> None:
        pid, said = self.serve()
        lines = said.splitlines()
        self.assertEqual(lines[0], f"ngxx serves, as process {pid}. Ctrl-C stops it.")
        self.assertIn("curl http://127.0.0.1:8080/", lines[2])
        self.assertIn("nc 127.0.0.1 8007", lines[3])
        self.assertEqual(len(lines), 4)

    def test_one_line_for_the_users_configuration(self) -> None:
        (self.root / "else" / "a.conf").touch()
        pid, said = self.serve("-c", "a.conf")
        self.assertEqual(said, f"ngxx serves, as process {pid}. Ctrl-C stops it.\n")

    def test_a_port_in_use_and_the_commands_to_use_another(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.conf.write_text(f"    listen {port};\n", encoding="utf-8")
            command = self.command()
            result = subprocess.run(**command, capture_output=True)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            first, edit, run = result.stderr.splitlines()
            self.assertEqual(
                first, f"tools/run: port {port} is already in use. To use another:"
            )

            # Runs the suggested commands unchanged.
            subprocess.run(edit, shell=True, cwd=command["cwd"], check=True)
            words = shlex.split(run)
            self.assertEqual((self.root / "else" / words[0]).resolve(), self.root / "tools/run")
            conf = (self.root / "else" / words[2]).read_text(encoding="utf-8")
            other = int(re.fullmatch(r"    listen (\d+);\n", conf)[1])
            self.assertGreater(other, port)

    def test_another_receiver_of_notifications_keeps_them(self) -> None:
        self.script("build/ngxx", "#!/bin/sh\necho $NOTIFY_SOCKET\n")
        command = self.command()
        command["env"]["NOTIFY_SOCKET"] = "/run/theirs"
        result = subprocess.run(**command, capture_output=True, check=True)
        self.assertEqual(result.stdout, "/run/theirs\n")


if __name__ == "__main__":
    skips.main()
