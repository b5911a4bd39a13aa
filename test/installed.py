"""Runs `meson install` into a temporary root, which a user's build then uses."""

import os
import pathlib
import shlex
import subprocess
import tempfile


class Installed:
    """The installed build in a temporary root, which close() removes."""

    def __init__(self, build: str) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self._directory.name)
        self._run("meson", "install", "-C", build, "--no-rebuild", "--quiet",
                  "--destdir", str(self.root))

        own = next(self.root.rglob("ngxx.pc")).parent
        system = self._run("pkg-config", "--variable", "pc_path", "pkg-config").strip()
        self.env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(self.root),
                    "PKG_CONFIG_LIBDIR": f"{own}:{system}"}
        self.env.pop("PKG_CONFIG_PATH", None)

    def close(self) -> None:
        self._directory.cleanup()

    def pkg_config(self, *words: str) -> list[str]:
        """Returns pkg-config's output as words."""
        return shlex.split(self._run("pkg-config", *words, env=self.env))

    def headers(self) -> list[str]:
        """Returns the installed headers by their names in an #include."""
        top = next(self.root.rglob("auto_config.hpp")).parent
        return sorted(str(path.relative_to(top)) for path in top.rglob("*.hpp"))

    @staticmethod
    def _run(*command: str, env: dict[str, str] | None = None) -> str:
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120,
                                check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}:\n{result.stdout}{result.stderr}")
        return result.stdout
