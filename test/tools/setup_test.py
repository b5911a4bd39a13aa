"""Tests of tools/setup: what it installs, and that this starts and enables no service."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# Replacements of system commands. The installation runs the commands of the packages' scripts,
# found as the scripts would find them; tools/setup's own commands then find only the test's.
DPKG_QUERY = """#!/bin/sh
for name in $INSTALLED; do echo "$name installed"; done
"""
SUDO = """#!/bin/sh
exec "$@"
"""
APT_GET = """#!/bin/bash
[[ " $* " == *" install "* ]] || exit 0
echo "$*" >>"$LOG"
path=
for word in "$@"; do [[ $word != DPkg::Path=* ]] || path=${word#DPkg::Path=}; done
export PATH=${path%%:*}:$BIN:/usr/bin:/bin
while read -r command; do
    $command
    echo "= $?" >>"$LOG"
done <"$SCRIPT"
"""
SYSTEM_COMMAND = """#!/bin/sh
echo "${0##*/} $*" >>"$LOG"
"""


class Setup(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        self.log = self.root / "log"
        self.bin = self.root / "bin"
        self.bin.mkdir()
        commands = ("invoke-rc.d", "deb-systemd-invoke", "deb-systemd-helper", "update-rc.d")
        texts = {"dpkg-query": DPKG_QUERY, "sudo": SUDO, "apt-get": APT_GET}
        texts.update({name: SYSTEM_COMMAND for name in commands})
        for name, text in texts.items():
            path = self.bin / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755)

    def install(self, *script: str, kind: str = "test", installed: str = "") -> list[str]:
        """Returns the calls of system commands: apt-get, then those of the packages' scripts."""
        self.log.write_text("", encoding="utf-8")
        lines = self.root / "script"
        lines.write_text("".join(line + "\n" for line in script), encoding="utf-8")
        subprocess.run(
            [str(ROOT / "tools" / "setup"), kind],
            env={
                **os.environ,
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                "BIN": str(self.bin),
                "LOG": str(self.log),
                "SCRIPT": str(lines),
                "INSTALLED": installed,
            },
            capture_output=True,
            check=True,
        )
        return self.log.read_text(encoding="utf-8").splitlines()

    def test_installed_packages_are_not_installed_again(self) -> None:
        words = self.install(installed="nginx strace")[0].split()
        self.assertNotIn("nginx", words)
        self.assertNotIn("strace", words)
        for name in ("g++", "libnginx-mod-stream", "redis-server", "dnsmasq-base"):
            self.assertIn(name, words)

    def test_tools_for_trying_the_server_are_installed(self) -> None:
        words = self.install(kind="run")[0].split()
        for name in ("g++", "curl", "netcat-openbsd"):
            self.assertIn(name, words)
        self.assertNotIn("nginx", words)

    def test_without_sudo_it_prints_a_complete_command(self) -> None:
        if os.geteuid() == 0 and not shutil.which("setpriv"):
            self.skipTest("setpriv is not installed, to be another user with")
        (self.bin / "sudo").unlink()
        for name in ("bash", "dirname", "realpath", "cat"):
            (self.bin / name).symlink_to(shutil.which(name))
        for folder in (self.root, self.bin):
            folder.chmod(0o755)
        script = self.root / "with space" / "setup"
        script.parent.mkdir()
        shutil.copy(ROOT / "tools" / "setup", script)
        as_user = [shutil.which("setpriv"), "--reuid=65534", "--clear-groups"]
        result = subprocess.run(
            [*(as_user if os.geteuid() == 0 else []), "bash", str(script), "test"],
            env={"PATH": str(self.bin), "INSTALLED": "nginx"}, capture_output=True, text=True,
        )
        self.assertEqual(result.returncode, 1, result.stderr)
        why, command, what = result.stderr.splitlines()
        self.assertEqual(why, "tools/setup: sudo is not installed. As root, run")
        self.assertEqual(shlex.split(command), [str(script), "test"])
        self.assertIn("redis-server", what.split())

    def test_for_a_build_no_service_is_masked(self) -> None:
        words = self.install(kind="build")[0]
        self.assertNotIn("nginx", words)
        self.assertNotIn("DPkg::Path", words)

    def test_services_of_installed_packages_neither_start_nor_are_enabled(self) -> None:
        said = self.install(
            "invoke-rc.d --quiet nginx status",
            "invoke-rc.d nginx start",
            "invoke-rc.d --skip-systemd-native redis-server start",
            "update-rc.d redis-server defaults",
            "deb-systemd-helper unmask redis-server.service",
            "deb-systemd-helper --quiet was-enabled redis-server.service",
            "deb-systemd-invoke start redis-server.service",
        )[1:]
        self.assertEqual(
            said,
            [
                "= 3",
                "= 0",
                "= 0",
                "update-rc.d redis-server defaults-disabled",
                "= 0",
                "deb-systemd-helper unmask redis-server.service",
                "= 0",
                "= 1",
                "= 0",
            ],
        )

    def test_other_services_are_not_affected(self) -> None:
        said = self.install(
            "invoke-rc.d cron start",
            "deb-systemd-invoke start nginx-debug.service",
            "invoke-rc.d nginx reload",
            installed="nginx",
        )[1:]
        self.assertEqual(
            said,
            [
                "invoke-rc.d cron start",
                "= 0",
                "deb-systemd-invoke start nginx-debug.service",
                "= 0",
                "invoke-rc.d nginx reload",
                "= 0",
            ],
        )


if __name__ == "__main__":
    skips.main()
