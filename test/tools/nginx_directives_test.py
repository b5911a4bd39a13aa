"""Tests of tools/nginx-directives with small source trees, and of the table that it wrote."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/nginx-directives"

SOURCE = """
#define NGX_OWN_CONF  (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF)

static ngx_command_t  ngx_own_commands[] = {
    /* { ngx_string("commented"), NGX_MAIN_CONF|NGX_CONF_TAKE1, f, 0, 0, NULL }, */
    { ngx_string("own_size"), /* a word */
      NGX_OWN_CONF|NGX_CONF_TAKE1234,
      ngx_conf_set_size_slot, 0, 0, NULL },
    { ngx_string ("own_blank"), NGX_MAIN_CONF|NGX_CONF_NOARGS, f, 0, 0, NULL },
    { ngx_string("own_format"), NGX_MAIN_CONF|NGX_CONF_FLAG, ngx_conf_set_str_slot, 0, 0, NULL },
    { ngx_string("own_flag"), NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_FLAG, f, 0, 0, NULL },
    { ngx_string("own_block"), NGX_HTTP_LOC_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS|NGX_CONF_TAKE2,
      ngx_own_block, 0, 0, NULL },
    { ngx_string("own_map"), NGX_ANY_CONF|NGX_CONF_BLOCK|NGX_CONF_1MORE, ngx_own_map, 0, 0, NULL },
    { ngx_string("own_by_lua_block"), NGX_HTTP_LOC_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS, l, 0, 0,
      NULL },
      ngx_null_command
};

ngx_module_t  ngx_own_module = {
    NGX_MODULE_V1,
    &ngx_own_ctx,
    ngx_own_commands,
    NGX_HTTP_MODULE,
};

static char *
ngx_own_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    cf->cmd_type = NGX_HTTP_LIF_CONF;
    return ngx_conf_parse(cf, NULL);
}

static char *
ngx_own_map(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    cf->handler = ngx_own_entry;
}
"""

VALUES = """
static ngx_conf_enum_t  ngx_own_words[] = {
    { ngx_string("no"), 0 },
    { ngx_string("yes"), 1 },
    { ngx_null_string, 0 }
};

static ngx_conf_num_bounds_t  ngx_own_low = { ngx_conf_check_num_bounds, 2, -1 };
static ngx_conf_num_bounds_t  ngx_own_both = { ngx_conf_check_num_bounds, 1, 9 };

static ngx_command_t  ngx_own_commands[] = {
    { ngx_string("own_size"), NGX_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot, NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_own_t, size), &ngx_own_post },
    { ngx_string("own_low"), NGX_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot, 0, offsetof(ngx_own_t, low), &ngx_own_low },
    { ngx_string("own_both"), NGX_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot, 0, offsetof(ngx_own_t, both), &ngx_own_both },
    { ngx_string("own_word"), NGX_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot, 0, offsetof(ngx_own_t, word), &ngx_own_words },
    { ngx_string("own_other"), NGX_MAIN_CONF|NGX_CONF_TAKE1, ngx_own_function, 0, 0, NULL },
    { ngx_string("own_text"), NGX_MAIN_CONF|NGX_CONF_TAKE1, ngx_conf_set_str_slot, 0, 0, NULL },
      ngx_null_command
};
ngx_module_t  ngx_own_module = { NGX_MODULE_V1, NULL, ngx_own_commands };
"""

VALUE_ROWS = [
    "own_both\tngx_own_module\tnumber\t1-9",
    "own_low\tngx_own_module\tnumber\t2-",
    "own_size\tngx_own_module\tsize\t",
    "own_word\tngx_own_module\tenum\tno,yes",
]

ROWS = [
    "own_blank\tngx_own_module\tmain\t0\t",
    "own_block\tngx_own_module\thttp.location\t0,2\thttp.location.if",
    "own_by_lua_block\tngx_own_module\thttp.location\t0\tlua",
    "own_flag\tngx_own_module\tmain\tflag\t",
    "own_format\tngx_own_module\tmain\t1\t",
    "own_map\tngx_own_module\tany\t1+\tfree",
    "own_size\tngx_own_module\thttp,http.server\t1-4\t",
]


class WithTree(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)
        self.tree = self.dir / "tree"
        self.table = self.dir / "table.tsv"
        self.source(SOURCE)

    def source(self, text: str, version: str = "1.20.1") -> None:
        core = self.tree / "src/core"
        core.mkdir(parents=True, exist_ok=True)
        (core / "nginx.h").write_text(f'#define NGINX_VERSION      "{version}"\n', encoding="utf-8")
        (core / "own.c").write_text(text, encoding="utf-8")

    def tool(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([TOOL, *arguments, "--table", self.table], capture_output=True,
                              text=True, check=False)

    def written(self, *sources: str) -> list[str]:
        result = self.tool(*sources)
        self.assertEqual(result.returncode, 0, result.stderr)
        return self.table.read_text(encoding="utf-8").splitlines()[2:]


class Trees(WithTree):
    def test_a_tree_gives_its_directives(self) -> None:
        self.assertEqual(self.written(f"own={self.tree}"), [f"{row}\t-\t-\town" for row in ROWS])

    def test_a_package_adds_what_nginx_lacks(self) -> None:
        other = self.dir / "other"
        other.mkdir()
        (other / "other.c").write_text(
            SOURCE.replace('"own_flag"', '"other_flag"'), encoding="utf-8")
        rows = self.written(f"nginx={self.tree}", f"other={other}")
        self.assertEqual([row for row in rows if row.endswith("\tother")],
                         ["other_flag\tngx_own_module\tmain\tflag\t\t-\t-\tother"])

    def test_a_flag_that_the_tool_does_not_know_is_an_error(self) -> None:
        self.source(SOURCE.replace("NGX_MAIN_CONF", "NGX_STRANGE_CONF"))
        result = self.tool(f"own={self.tree}")
        self.assertEqual(result.returncode, 2)
        self.assertIn("own_blank has the unknown flags ['NGX_STRANGE_CONF']", result.stderr)


class Releases(WithTree):
    def git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", self.tree, *arguments], check=True, capture_output=True,
                       env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null",
                            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
                            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"})

    def release(self, version: str, text: str) -> None:
        self.source(text, version)
        self.git("add", ".")
        self.git("commit", "-q", "-m", version)
        self.git("tag", f"release-{version}")

    def test_rows_say_in_which_releases_they_hold(self) -> None:
        self.tree.mkdir(exist_ok=True)
        self.git("init", "-q")
        self.release("1.16.0", SOURCE.replace('"own_', '"older_'))
        self.release("1.18.0", SOURCE.replace('"own_flag"', '"gone"'))
        self.release("1.19.0", SOURCE.replace("TAKE1234", "TAKE1"))
        self.release("1.19.10", SOURCE)
        rows = self.written(f"nginx={self.tree}")
        self.assertIn("\n# releases: 1.18.0 1.19.0 1.19.10\n",
                      self.table.read_text(encoding="utf-8"))
        changed = ("gone", "own_size", "own_flag")
        self.assertEqual([row for row in rows if row.startswith(changed)], [
            "gone\tngx_own_module\tmain\tflag\t\t-\t1.18.0\tnginx",
            "own_flag\tngx_own_module\tmain\tflag\t\t1.19.0\t-\tnginx",
            "own_size\tngx_own_module\thttp,http.server\t1\t\t1.19.0\t1.19.0\tnginx",
            "own_size\tngx_own_module\thttp,http.server\t1-4\t\t-\t1.18.0\tnginx",
            "own_size\tngx_own_module\thttp,http.server\t1-4\t\t1.19.10\t-\tnginx",
        ])


class Check(WithTree):
    def test_the_same_tree_has_no_differences(self) -> None:
        self.written(f"nginx={self.tree}")
        result = self.tool("--check", self.tree)
        self.assertEqual((result.returncode, result.stdout),
                         (0, "7 directives of nginx 1.20.1, 0 differences\n"))

    def test_differences_are_named(self) -> None:
        self.written(f"nginx={self.tree}")
        self.source(SOURCE.replace("NGX_CONF_FLAG", "NGX_CONF_TAKE1"))
        result = self.tool("--check", self.tree)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout.splitlines()[:2], [
            "the tree has, the table lacks: own_flag | ngx_own_module | main | 1 | ",
            "the table has, the tree lacks: own_flag | ngx_own_module | main | flag | ",
        ])

    def test_a_row_counts_in_its_releases_only(self) -> None:
        self.written(f"nginx={self.tree}")
        with self.table.open("a", encoding="utf-8") as table:
            table.write("later\tngx_own_module\tmain\t1\t\t1.20.2\t-\tnginx\n"
                        "earlier\tngx_own_module\tmain\t1\t\t-\t1.19.9\tnginx\n")
        self.assertEqual(self.tool("--check", self.tree).returncode, 0)


class Values(WithTree):
    def test_the_values_of_nginxs_own_functions_are_written_and_compared(self) -> None:
        (self.tree / "own.c").write_text(VALUES, encoding="utf-8")
        self.assertEqual(self.tool("--values", f"nginx={self.tree}").returncode, 0)
        lines = self.table.read_text(encoding="utf-8").splitlines()
        self.assertEqual(lines[1:], VALUE_ROWS)
        self.assertEqual(self.tool("--values", "--check", self.tree).returncode, 0)

        (self.tree / "own.c").write_text(VALUES.replace('"yes"', '"maybe"'), encoding="utf-8")
        result = self.tool("--values", "--check", self.tree)
        self.assertEqual(result.returncode, 1)
        self.assertIn("the table differs: own_word | ngx_own_module | enum | no,maybe",
                      result.stdout)

    def test_two_packages_have_the_words_of_both(self) -> None:
        (self.tree / "own.c").write_text(VALUES, encoding="utf-8")
        other = self.dir / "other"
        other.mkdir()
        (other / "own.c").write_text(VALUES.replace('"yes"', '"maybe"'), encoding="utf-8")
        self.tool("--values", f"nginx={self.tree}", f"other={other}")
        self.assertIn("own_word\tngx_own_module\tenum\tno,yes,maybe",
                      self.table.read_text(encoding="utf-8").splitlines())


class Table(unittest.TestCase):
    def test_the_table_is_sorted_and_each_row_is_whole(self) -> None:
        lines = (ROOT / "docs/nginx-directives.tsv").read_text(encoding="utf-8").splitlines()[2:]
        self.assertEqual(lines, sorted(lines))
        for line in lines:
            name, module, contexts, arguments, _, since, until, package = line.split("\t")
            self.assertTrue(name and module and contexts and since and until and package, line)
            self.assertRegex(arguments, r"^(flag|any|\d(-\d|\+|(,\d)*))$")


if __name__ == "__main__":
    skips.main()
