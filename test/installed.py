"""What `meson install` leaves, in a temporary root, and as a user's build finds it there."""

import os
import pathlib
import shlex
import subprocess
import tempfile


class Installed:
    """The build in a root of its own, which is removed by close()."""

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
        """What pkg-config answers, in words."""
        return shlex.split(self._run("pkg-config", *words, env=self.env))

    def headers(self) -> list[str]:
        """The installed headers, as an #include names them."""
        top = next(self.root.rglob("auto_config.hpp")).parent
        return sorted(str(path.relative_to(top)) for path in top.rglob("*.hpp"))

    @staticmethod
    def _run(*command: str, env: dict[str, str] | None = None) -> str:
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120,
                                check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}:\n{result.stdout}{result.stderr}")
        return result.stdout
