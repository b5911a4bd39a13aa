#!/usr/bin/env python3
"""Tests of the documents: builds, loads, runs and tests the guide's samples; compares its promises
with those of ngxx-event-contract; and checks the links.

docs_test.py ROOT BUILD NGXX CONTRACT|"" STREAM COMPILER...
docs_test.py --promises CONTRACT      prints the last section of the guide
docs_test.py --links FOLDER           prints the dead links of its documents; status 1 if any
"""

import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import skips  # noqa: E402
from installed import Installed  # noqa: E402

HEADING = "## All promises\n"
SECONDS = 900


def run(command: list[str], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False,
                          stdin=subprocess.DEVNULL, **options)


def listed(contract: str) -> dict[str, list[str]]:
    """Returns the promises of each chapter from --list, which indents the promises."""
    chapters: dict[str, list[str]] = {}
    for line in run([contract, "--list"]).stdout.splitlines():
        if re.fullmatch(r"\w+", line):
            names = chapters[line] = []
        elif re.fullmatch(r"  \w+", line):
            names.append(line.strip())
    return chapters


def promises_section(contract: str) -> str:
    chapters = listed(contract)
    lines = [HEADING, f"{sum(map(len, chapters.values()))} promises in {len(chapters)} chapters, "
             "which `ngxx-event-contract --list` explains.\n"]
    for chapter, names in chapters.items():
        text = f"* **{chapter}**, {len(names)}: " + ", ".join(f"`{name}`" for name in names)
        lines.append(textwrap.fill(text, 150, subsequent_indent="  ",
                                   break_long_words=False))
    return "\n".join(lines) + "\n"


class Files:
    """The paths from the command line of the test."""

    root: pathlib.Path
    build: str
    ngxx: str
    contract: str
    stream: bool
    compiler: list[str]


def guide() -> str:
    return (Files.root / "docs/writing-an-event-module.md").read_text()


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(folder: pathlib.Path, documents: str = "**/*.md") -> list[tuple[pathlib.Path, str]]:
    """Returns the links to files, each with its document."""
    return [(document, link) for document in folder.glob(documents)
            for link in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(document.read_text()))
            if not re.match(r"\w+:", link)]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", guide(), re.MULTILINE | re.DOTALL)


def module_of(sample: str) -> str:
    """Returns NAME for a sample that starts with // NAME_module.cpp: and has that module."""
    head = re.match(r"// (\w+)_module\.cpp: ", sample)
    if not head or f"\nconstinit Module {head[1]}_module = " not in sample:
        raise ValueError(f"a sample that is not of one module:\n{sample}")
    return head[1]


class Samples(unittest.TestCase):
    """Builds each sample of one module with the guide's command."""

    @classmethod
    def setUpClass(cls) -> None:
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.prefix = pathlib.Path(directory.name)
        cls.modules = cls.prefix / "modules"
        cls.modules.mkdir()
        installed = Installed(Files.build)
        cls.addClassCleanup(installed.close)
        cls.installed = installed

        [cls.command] = [line for line in "".join(blocks("sh")).splitlines()
                         if line.startswith("g++ ")]
        samples = {module_of(sample): sample for sample in blocks("cpp")}
        cls.names = list(samples)
        cls.event_modules = [name for name, sample in samples.items()
                             if "ModuleType::event" in sample]
        with ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(cls.compile, name, sample) for name, sample in samples.items()]
            jobs += [pool.submit(cls.build_example, "embed")] if Files.stream else []
            jobs += [pool.submit(cls.build_example, "loop")]
            jobs += [pool.submit(cls.build_by_cmake, samples)] if shutil.which("cmake") else []
            for job in jobs:
                job.result()

    @classmethod
    def compile(cls, name: str, sample: str) -> None:
        (cls.modules / f"{name}_module.cpp").write_text(sample)
        command = cls.command.replace(re.search(r"(\w+)\.so$", cls.command)[1], name)
        compiler = shlex.join([*Files.compiler, "-Wall", "-Wextra", "-Werror"])
        command = compiler + command.removeprefix("g++")
        if any("clang" in word for word in Files.compiler):
            command = command.replace("-fno-gnu-unique", "")
        cls.checked(["sh", "-c", command], cls.modules)

    @classmethod
    def build_by_cmake(cls, samples: dict[str, str]) -> None:
        [text] = blocks("cmake")
        name = re.search(r"^project\((\w+) ", text, re.MULTILINE)[1]
        source = cls.prefix / "cmake"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(text)
        (source / f"{name}_module.cpp").write_text(samples[name])
        env = {**cls.installed.env, "CXX": shlex.join(Files.compiler)}
        cls.checked(["cmake", "-B", "build"], source, env)
        cls.checked(["cmake", "--build", "build"], source, env)
        cls.built_by_cmake = source / "build" / f"{name}.so"

    @classmethod
    def build_example(cls, name: str) -> None:
        env = {**cls.installed.env, "CXX": shlex.join(Files.compiler)}
        source = cls.prefix / name
        shutil.copytree(Files.root / "docs/examples" / name, source)
        cls.checked(["meson", "setup", "build"], source, env)
        cls.checked(["ninja", "-C", "build"], source, env)

    @classmethod
    def checked(cls, command: list[str], where: pathlib.Path, env=None) -> None:
        result = run(command, cwd=where, env=env or cls.installed.env)
        if result.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}:\n{result.stdout}{result.stderr}")

    def test_documents_and_helper_files_are_installed(self) -> None:
        shares = [path.parent for path in self.installed.root.rglob("ngxx/new-module")]
        self.assertEqual(len(shares), 1)
        share = shares[0].parent
        for name in ("doc/ngxx/docs/directives.md", "doc/ngxx/docs/lessons/README.md",
                     "ngxx/gdb/ngxx.py",
                     "doc/ngxx/CHANGELOG.md", "man/man8/ngxx.8",
                     "bash-completion/completions/ngxx-inspect"):
            self.assertTrue((share / name).is_file(), name)
        documents = {path.name for path in (Files.root / "docs").rglob("*.md")}
        installed = {path.name for path in (share / "doc/ngxx").rglob("*.md")}
        self.assertEqual(documents - installed, set(), "docs/meson.build does not install these")

    def test_links_of_installed_documents_lead_to_installed_files(self) -> None:
        documents = next(self.installed.root.rglob("doc/ngxx"))
        inside = set()
        for document, link in links(documents):
            with self.subTest(document=document.name, link=link):
                self.assertTrue((document.parent / link).exists())
                inside.add((document.parent / link).resolve())
        self.assertLessEqual({path.resolve() for path in (documents / "docs").glob("*.md")},
                             inside, "the links between the documents are still there")

    def test_the_command_makes_the_file_that_it_names(self) -> None:
        for name in self.names:
            self.assertTrue((self.modules / f"{name}.so").is_file(), name)

    def test_cmake_makes_a_module_that_the_server_loads(self) -> None:
        if not shutil.which("cmake"):
            self.skipTest("cmake is not installed")
        name = self.built_by_cmake.stem
        (self.prefix / "cmake.conf").write_text(
            f"load_module {self.built_by_cmake}; pid pid; events {{ use {name}; }}\n")
        result = run([Files.ngxx, "-p", str(self.prefix), "-c", "cmake.conf", "-t"])
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_each_compiler_accepts_the_flags_of_pkg_config(self) -> None:
        (self.prefix / "empty.cpp").write_text('#include "core/module.hpp"\n')
        for name in ("ngxx", "ngxx-module"):
            flags = self.installed.pkg_config("--cflags", name)
            for compiler in filter(shutil.which, ("g++", "clang++")):
                command = [compiler, "-std=c++20", "-Werror", "-fsyntax-only", *flags, "empty.cpp"]
                with self.subTest(package=name, compiler=compiler):
                    result = run(command, cwd=self.prefix)
                    self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_server_takes_the_configurations(self) -> None:
        self.assertTrue(blocks("nginx"))
        for number, conf in enumerate(blocks("nginx")):
            with self.subTest(number):
                (self.prefix / "test.conf").write_text(conf)
                result = run([Files.ngxx, "-p", str(self.prefix), "-c", "test.conf", "-t"])
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_server_runs_the_modules(self) -> None:
        (self.prefix / "run.conf").write_text(blocks("nginx")[0])
        command = [Files.ngxx, "-p", str(self.prefix), "-c", "run.conf"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            guard = threading.Timer(SECONDS, server.kill)
            guard.start()
            lines = []
            for line in server.stderr:
                lines.append(line)
                if "the answer is 42" in line:
                    server.send_signal(signal.SIGTERM)
            guard.cancel()
        log = "".join(lines)
        self.assertEqual(server.returncode, 0, log)
        self.assertIn("the answer is 42", log)
        self.assertRegex(log, r"the loop has turned \d+ times")
        self.assertNotRegex(log, r"\[(emerg|alert|crit)\]")

    def test_the_event_modules_keep_their_promises(self) -> None:
        if not Files.contract:
            self.skipTest("ngxx-event-contract is not built")
        for name in self.event_modules:
            result = run([Files.contract, "--load-module", str(self.modules / f"{name}.so"),
                          "--use", name, "--quiet", "--patience", "60000", "--limit", "600"])
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_example_serves_and_ends(self) -> None:
        if not Files.stream:
            self.skipTest("its server is one of stream, which is not built")
        where = self.prefix / "embed"
        result = run([str(where / "build/embed"), "here.sock"], cwd=where)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "This is connection 1.\nThe loop has ended.\n")
        self.assertEqual(result.stderr, "")
        self.assertFalse((where / "here.sock").exists())

        result = run([str(where / "build/embed"), "nowhere/here.sock"], cwd=where)
        self.assertEqual(result.returncode, 1)
        self.assertIn("[emerg]", result.stderr)

    def test_the_programs_of_the_page_on_embedding_work(self) -> None:
        says = {
            "descriptor": "5 bytes: hello\nend\n",
            "threads": "the sum is 6\n",
            "timers": "beat 1\nbeat 2\nbeat 3\n",
            "turns": "the timer has expired\nframes were drawn meanwhile\n",
        }
        for name, output in says.items():
            with self.subTest(name):
                result = run([str(self.prefix / "loop/build" / name)])
                self.assertEqual((result.returncode, result.stdout, result.stderr),
                                 (0, output, ""))

    def test_the_program_with_signals_handles_them_in_its_loop(self) -> None:
        command = [str(self.prefix / "loop/build/signals")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            guard = threading.Timer(SECONDS, program.kill)
            guard.start()
            self.assertTrue(program.stdout.readline().startswith("kill -USR1 "))
            for number in (1, 2):
                program.send_signal(signal.SIGUSR1)
                self.assertEqual(program.stdout.readline(), f"SIGUSR1: {number}\n")
            program.send_signal(signal.SIGTERM)
            self.assertEqual(program.stdout.read(), "SIGTERM\n")
            guard.cancel()
        self.assertEqual(program.returncode, 0)

    def test_the_command_of_the_page_on_embedding_builds_a_program(self) -> None:
        page = (Files.root / "docs/embedding.md").read_text()
        [command] = re.findall(r"^```sh\ng\+\+ (.*)\n```$", page, re.MULTILINE)
        command = f"{shlex.join(Files.compiler)} {command}".replace("-o timers", "-o by_hand")
        self.checked(["sh", "-c", command], self.prefix / "loop")
        self.assertTrue((self.prefix / "loop/by_hand").is_file())

    def test_pkg_config_knows_the_version_of_the_module_api(self) -> None:
        text = (Files.root / "core/module_api.hpp").read_text()
        [version] = re.findall(r"^#define NGX_MODULE_API_VERSION (\d+)$", text, re.MULTILINE)
        for name in ("ngxx", "ngxx-module"):
            said = self.installed.pkg_config("--variable=module_api_version", name)
            self.assertEqual(said, [version], name)

    def test_the_example_is_short(self) -> None:
        text = (Files.root / "docs/examples/embed/main.cpp").read_text()
        self.assertLess(len(text.splitlines()), 80)


class Embedding(unittest.TestCase):
    def test_the_page_contains_the_programs_unchanged(self) -> None:
        page = (Files.root / "docs/embedding.md").read_text()
        shown = re.findall(r"^```cpp\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        programs = [path.read_text() for path in (Files.root / "docs/examples/loop").glob("*.cpp")]
        self.assertTrue(programs)
        self.assertEqual(sorted(shown), sorted(programs))


class Promises(unittest.TestCase):
    def setUp(self) -> None:
        if not Files.contract:
            self.skipTest("ngxx-event-contract is not built")

    def test_all_promises_that_the_guide_names_exist(self) -> None:
        there = {name for names in listed(Files.contract).values() for name in names}
        quotes = re.findall(r"^>(.*)$", guide(), re.MULTILINE)
        named = set(re.findall(r"`(\w+)`", "".join(quotes)))
        self.assertTrue(named)
        self.assertEqual(named - there, set(), "these are not in ngxx-event-contract --list")

    def test_the_guides_list_is_complete(self) -> None:
        section = promises_section(Files.contract)
        found = HEADING + guide().partition(HEADING)[2]
        if found != section:
            self.fail("docs/writing-an-event-module.md has to end with this section "
                      f"(docs_test.py --promises {Files.contract} prints it):\n\n{section}")


class Words(unittest.TestCase):
    def test_the_names_in_the_guide_are_in_the_code(self) -> None:
        folders = ("auto", "core", "event", "os", "stream", "test/event/contract")
        code = "\n".join(path.read_text() for folder in folders
                         for path in (Files.root / folder).rglob("*")
                         if path.suffix in (".cpp", ".hpp", ".build", ".in"))
        code += "".join(blocks("cpp")) + (Files.root / "meson_options.txt").read_text()
        names = set(re.findall(r"`([A-Za-z]\w*(?:_\w+|(?=\(\))))", prose(guide())))
        words = set(re.findall(r"\w+", code))
        self.assertTrue(names)
        self.assertEqual(names - words, set(), "nothing in the code has these names")

    def test_links_lead_to_files(self) -> None:
        for folder, documents in ((Files.root, "*.md"), (Files.root / "docs", "**/*.md")):
            for document, link in links(folder, documents):
                with self.subTest(document=document.name, link=link):
                    self.assertTrue((document.parent / link).exists())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--promises"]:
        print(promises_section(sys.argv[2]), end="")
        sys.exit(0)
    if sys.argv[1:2] == ["--links"]:
        dead = [f"{document}: {link}" for document, link in links(pathlib.Path(sys.argv[2]))
                if not (document.parent / link).exists()]
        sys.exit("\n".join(dead) or 0)
    source, Files.build, Files.ngxx, Files.contract, stream, *Files.compiler = sys.argv[1:]
    Files.root, Files.stream = pathlib.Path(source), stream == "true"
    skips.main(argv=sys.argv[:1])
