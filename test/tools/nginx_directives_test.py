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

VARIABLES = """
#define OWN_VAR(name) { ngx_string("own_" #name), ngx_own_get_##name }

ngx_module_t  ngx_http_own_filter_module = { NGX_MODULE_V1, NULL, NULL };

static ngx_str_t  ngx_http_own_ratio = ngx_string("own_ratio");

static ngx_http_variable_t  ngx_http_own_vars[] = {
    { ngx_string("own_one"), NULL, ngx_own_get, offsetof(ngx_own_t, one), 0, 0 },
    /* { ngx_string("own_comment"), NULL, ngx_own_get, 0, 0, 0 }, */
    { ngx_string("own_arg_"), NULL, ngx_own_get, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("own_body"), NULL, ngx_own_get, 0, NGX_HTTP_VAR_PREFIX, 0 },
      ngx_http_null_variable
};

static ngx_stream_own_var_t  ngx_stream_own_vars[] = {
    OWN_VAR(two),
    { "own_%V_key", ngx_own_get },
};

static ngx_int_t
ngx_http_own_first(ngx_conf_t *cf)
{
    ngx_str_t  name;

    ngx_str_set(&name, "own_zone");
    cf->zone = name;
    ngx_str_set(&name, "own_three");
    ngx_http_add_variable(cf, &name, 0);
    ngx_http_add_variable(cf, &ngx_http_own_ratio, NGX_HTTP_VAR_NOHASH);
}

static ngx_int_t
ngx_http_own_second(ngx_conf_t *cf)
{
    ngx_str_t  name = value[1];

    ngx_http_add_variable(cf, &name, 0);
}
"""

VARIABLE_ROWS = [
    "own_*\tstream\tngx_http_own_filter_module\tnginx",
    "own_arg_*\thttp\tngx_http_own_filter_module\tnginx",
    "own_body*\thttp\tngx_http_own_filter_module\tnginx",
    "own_one\thttp\tngx_http_own_filter_module\tnginx",
    "own_ratio\thttp\tngx_http_own_filter_module\tnginx",
    "own_three\thttp\tngx_http_own_filter_module\tnginx",
    "own_two\tstream\tngx_http_own_filter_module\tnginx",
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

    def test_the_module_and_a_part_of_the_directives_can_be_in_other_files(self) -> None:
        core = self.tree / "src/core"
        (core / "parts").mkdir()
        own = SOURCE[SOURCE.index("static ngx_command_t"):SOURCE.index("ngx_module_t")]
        (core / "own.c").write_text("""
const ngx_command_t  ngx_own_commands[] = {
    #include "parts/entries.c"
    #include "parts/missing.c"
      ngx_null_command
};
""", encoding="utf-8")
        entries = own[own.index("{ ngx_string(\"own_format"):own.index("{ ngx_string(\"own_map")]
        (core / "parts/entries.c").write_text(entries, encoding="utf-8")
        (core / "module.c").write_text(SOURCE[SOURCE.index("ngx_module_t"):], encoding="utf-8")
        self.assertEqual(self.written(f"own={self.tree}"), [
            "own_block\tngx_own_module\thttp.location\t0,2\tfree\t-\t-\town",
            "own_flag\tngx_own_module\tmain\tflag\t\t-\t-\town",
            "own_format\tngx_own_module\tmain\t1\t\t-\t-\town",
        ])

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


class Variables(WithTree):
    def variable_rows(self, *sources: str) -> list[str]:
        result = self.tool("--variables", *sources)
        self.assertEqual(result.returncode, 0, result.stderr)
        return self.table.read_text(encoding="utf-8").splitlines()[1:]

    def add(self, tree: str, text: str) -> str:
        file = self.dir / tree
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return str(file.parent)

    def test_the_variables_of_modules_are_written_and_compared(self) -> None:
        (self.tree / "own.c").write_text(VARIABLES, encoding="utf-8")
        self.assertEqual(self.variable_rows(f"nginx={self.tree}"), VARIABLE_ROWS)
        result = self.tool("--variables", "--check", self.tree)
        self.assertEqual((result.returncode, result.stdout), (0, "7 variables, 0 differences\n"))

        (self.tree / "own.c").write_text(VARIABLES.replace('"own_one"', '"own_new"'),
                                         encoding="utf-8")
        result = self.tool("--variables", "--check", self.tree)
        self.assertEqual(result.returncode, 1)
        self.assertIn("the table lacks: own_new | http | ngx_http_own_filter_module\n",
                      result.stdout)

    def test_an_array_of_a_type_that_adds_no_variables_has_none(self) -> None:
        tree = self.add("log/log.c", """
static ngx_http_log_var_t  ngx_http_log_vars[] = {
    { ngx_string("own_field"), 1, ngx_http_log_field },
};
""")
        self.assertEqual(self.variable_rows(f"nginx={tree}"), [])

    def test_an_array_of_any_type_has_the_block_to_which_its_file_adds_variables(self) -> None:
        tree = self.add("own/variables.c", """
own_variable_t  own_vars[] = {
    { ngx_string("own_one"), own_get },
    { ngx_null_string, NULL }
};

ngx_int_t
own_add_variables(ngx_conf_t *cf)
{
    ngx_stream_add_variable(cf, &own_vars->name, 0);
}
""")
        self.add("own/module.c", "ngx_module_t  ngx_own_module = { NGX_MODULE_V1 };")
        self.assertEqual(self.variable_rows(f"own={tree}"),
                         ["own_one\tstream\tngx_own_module\town"])

    def test_modules_of_rtmp_have_arrays_of_their_own_types(self) -> None:
        tree = self.add("rtmp/exec.cpp", """
ngx_rtmp_eval_t  ngx_rtmp_own_eval[] = {
    { ngx_string("own_name"), ngx_own_get, 0 },
      ngx_rtmp_null_eval
};
static ngx_rtmp_log_var_t  ngx_rtmp_own_vars[] = {
    { ngx_string("own_bytes"), ngx_own_len, ngx_own_get, 0 },
    { ngx_null_string, NULL, NULL, 0 }
};
ngx_module_t  ngx_rtmp_own_module = { NGX_MODULE_V1 };
""")
        self.assertEqual(self.variable_rows(f"rtmp={tree}"),
                         [f"own_{name}\trtmp\tngx_rtmp_own_module\trtmp"
                          for name in ("bytes", "name")])

    def test_a_file_without_a_module_is_of_the_module_with_the_name_of_the_array(self) -> None:
        array = """
static ngx_http_variable_t  ngx_http_%s_variables[] = {
    { ngx_string("%s"), NULL, ngx_own_get, 0, 0, 0 },
      ngx_http_null_variable
};
"""
        tree = self.add("apart/own.c", array % ("own", "own_one") + array % ("other", "other_one"))
        self.add("apart/module.c", "ngx_module_t  ngx_http_own_module = { NGX_MODULE_V1 };")
        self.assertEqual(self.variable_rows(f"apart={tree}"), [
            "other_one\thttp\tngx_http_core_module\tapart",
            "own_one\thttp\tngx_http_own_module\tapart",
        ])

    def test_a_package_adds_the_variables_that_nginx_lacks(self) -> None:
        nginx = self.add("nginx/own.c", VARIABLES)
        text = VARIABLES.replace('"own_one"', '"own_new"')
        rows = self.variable_rows(f"nginx={nginx}", f"first={self.add('first/own.c', text)}",
                                  f"second={self.add('second/own.c', text)}")
        self.assertEqual([row for row in rows if not row.endswith("nginx")],
                         [f"own_new\thttp\tngx_http_own_filter_module\t{package}"
                          for package in ("first", "second")])

    def test_files_of_tests_are_no_part_of_a_source(self) -> None:
        self.add("nginx/t/data/own.c", VARIABLES)
        self.add("nginx/tests/own.c", VARIABLES)
        self.assertEqual(self.variable_rows(f"nginx={self.dir / 'nginx'}"), [])


class Table(unittest.TestCase):
    def test_the_table_of_variables_is_sorted_and_each_row_is_whole(self) -> None:
        text = (ROOT / "docs/nginx-config-variables.tsv").read_text(encoding="utf-8")
        rows = [line.split("\t") for line in text.splitlines()[1:]]
        self.assertEqual(rows, sorted(rows))
        for name, block, module, package in rows:
            self.assertRegex(name, r"^[a-z0-9_]+\*?$")
            self.assertIn(block, ("http", "stream", "rtmp"))
            self.assertTrue(module and package, name)

    def test_the_table_is_sorted_and_each_row_is_whole(self) -> None:
        lines = (ROOT / "docs/nginx-directives.tsv").read_text(encoding="utf-8").splitlines()[2:]
        self.assertEqual(lines, sorted(lines))
        for line in lines:
            name, module, contexts, arguments, _, since, until, package = line.split("\t")
            self.assertTrue(name and module and contexts and since and until and package, line)
            self.assertRegex(arguments, r"^(flag|any|\d(-\d|\+|(,\d)*))$")


if __name__ == "__main__":
    skips.main()
