#include "core/conf_file.hpp"

#include <cerrno>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "event/event_core_module.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// The size of conf_file.cpp's buffer for a file.
constexpr std::size_t window = 4096;

constexpr std::string_view unexpected_end =
    "[emerg] unexpected end of file, expecting \";\" or \"}\" in nginx.conf:";

/// Records the words of a directive: "a|b;".
const char* record(Conf& cf, void* conf)
{
    std::string& text = *static_cast<std::string*>(conf);
    for (const std::string_view word : cf.args) {
        text.append(word).append("|");
    }
    text.back() = ';';
    return conf_ok;
}

/// Reads any words.
struct Words : Reader {
    Words()
    {
        cf.handler = record;
        cf.handler_conf = &text;
    }

    std::string read(std::string_view conf)
    {
        text.clear();
        parse(conf);
        return text;
    }

    std::string text{};
};

std::string repeat(std::size_t n, char ch = 'a')
{
    return std::string(n, ch);
}

const char* record_args(Conf& cf, const Command&, void* conf)
{
    return record(cf, *static_cast<void**>(conf));
}

const char* answer(Conf& cf, const Command&, void*)
{
    return cf.args[1] == "silence" ? conf_error : cf.args[1].data();
}

/// Handles `block { ... }`, which contains the directives of event modules.
const char* block(Conf& cf, const Command&, void*)
{
    const Conf outer = cf;
    cf.module_type = ModuleType::event;
    cf.cmd_type = event_conf;
    const char* rv = conf_parse(cf);
    cf = outer;
    return rv;
}

/// Handles `types { ... }`, which contains any words, as in http.
const char* types(Conf& cf, const Command&, void* conf)
{
    const Conf outer = cf;
    cf.handler = record;
    cf.handler_conf = *static_cast<void**>(conf);
    const char* rv = conf_parse(cf);
    cf = outer;
    return rv;
}

constexpr Command main_commands[] = {
    {.name = "words", .type = main_conf | conf_any, .set = record_args},
    {.name = "answer", .type = main_conf | conf_take1, .set = answer},
    {.name = "block", .type = main_conf | conf_block | conf_noargs, .set = block},
    {.name = "types", .type = main_conf | conf_block | conf_any, .set = types},
    {.name = "inner", .type = direct_conf | conf_any, .set = record_args},
};

constexpr CoreModule main_ctx = {.name = "test"};

constinit Module main_module = {
    .ctx = &main_ctx,
    .commands = main_commands,
    .type = ModuleType::core,
};

/// Reads the directives of main_module, conf_module and the given modules.
struct Directives : Reader {
    explicit Directives(std::vector<Module*> more = {}) : Reader(with_main(std::move(more)))
    {
        cycle->conf_ctx[main_module.index] = &text;
    }

    static std::vector<Module*> with_main(std::vector<Module*> more)
    {
        more.insert(more.begin(), {&main_module, &conf_module});
        return more;
    }

    std::string read(std::string_view conf)
    {
        text.clear();
        parse(conf);
        return text;
    }

    void file(std::string_view name, std::string_view conf) const { write_file(dir / name, conf); }

    std::string text{};
};

using Table = std::vector<std::pair<std::string, std::string>>;

}  // namespace

BOOST_AUTO_TEST_SUITE(conf_file)

BOOST_AUTO_TEST_SUITE(words)

BOOST_FIXTURE_TEST_CASE(any_white_space_separates_words, Words)
{
    BOOST_TEST(read("a b\tc\rd\ne;") == "a|b|c|d|e;");
    BOOST_TEST(read("  a  \r\n  b \t ;\r\n\r\n c;") == "a|b;c;");
    BOOST_TEST(read("").empty());
    BOOST_TEST(said() == "");
}

BOOST_FIXTURE_TEST_CASE(a_semicolon_needs_no_space_around_it, Words)
{
    BOOST_TEST(read("a;b;c d;e") == "a;b;c|d;");
    BOOST_TEST(said() == std::string(unexpected_end) + "1\n");
}

BOOST_FIXTURE_TEST_CASE(an_escape_is_resolved_the_same_in_and_out_of_quotes, Words)
{
    const Table escapes = {
        {R"(x\ty)", "x\ty"},    {R"(x\ny)", "x\ny"},    {R"(x\ry)", "x\ry"},
        {R"(x\\y)", R"(x\y)"},  {R"(x\"y)", R"(x"y)"},  {R"(x\'y)", R"(x'y)"},
        {R"(\\\\)", R"(\\)"},   {R"(\t\t)", "\t\t"},    {R"(x\zy)", R"(x\zy)"},
        {R"(x\$y)", R"(x\$y)"}, {R"(x\;y)", R"(x\;y)"}, {R"(x\{y)", R"(x\{y)"},
        {R"(x\ y)", R"(x\ y)"}, {R"(x\0y)", R"(x\0y)"}, {R"(\#xy)", R"(\#xy)"},
        {R"(x\}y)", R"(x\}y)"}, {R"(\\n)", R"(\n)"},
    };
    for (const auto& [spelt, meant] : escapes) {
        BOOST_TEST(read(spelt + ";") == meant + ";");
        BOOST_TEST(read('"' + spelt + "\";") == meant + ";");
        BOOST_TEST(read('\'' + spelt + "';") == meant + ";");
    }
}

BOOST_FIXTURE_TEST_CASE(quotes_hold_what_would_end_a_word, Words)
{
    BOOST_TEST(read("\"a b\" 'c\td';") == "a b|c\td;");
    BOOST_TEST(read("'a;b' \"c{d\" 'e}f' \"#g\";") == "a;b|c{d|e}f|#g;");
    BOOST_TEST(read("'say \"a\"' \"it's\";") == "say \"a\"|it's;");
    BOOST_TEST(read("\"first\nsecond\";") == "first\nsecond;");
    BOOST_TEST(read("'' \"\";") == "|;");
}

BOOST_FIXTURE_TEST_CASE(a_quote_inside_a_bare_word_is_a_character_of_it, Words)
{
    BOOST_TEST(read("a\"b c\" d'e;") == "a\"b|c\"|d'e;");
}

BOOST_FIXTURE_TEST_CASE(after_a_closing_quote_comes_space_or_the_end_or_a_parenthesis, Words)
{
    BOOST_TEST(read("'a';\"b\"\t'c'\r'd'\n'e';") == "a;b|c|d|e;");
    BOOST_TEST(read("if ('a');") == "if|('a');");
    BOOST_TEST(read("if 'a');") == "if|a|);");
    BOOST_TEST(read("if 'a')b;") == "if|a|)b;");
    BOOST_TEST(read("if 'a') b;") == "if|a|)|b;");

    for (const char ch : std::string("ab0\"'\\#$}(,")) {
        BOOST_TEST(read(std::string("'a'") + ch + "b;") == "");
        BOOST_TEST(said() == std::string("[emerg] unexpected \"") + ch + "\" in nginx.conf:1\n");
    }
}

BOOST_FIXTURE_TEST_CASE(a_comment_goes_from_a_sharp_between_words_to_the_line_end, Words)
{
    BOOST_TEST(read("# a;\nb; # c;\nd # e {\n f;#g") == "b;d|f;");
    BOOST_TEST(read("a#b c#;") == "a#b|c#;");
    BOOST_TEST(read("#\n##\n#\\\na;") == "a;");
    BOOST_TEST(read("# it's \"\n a;") == "a;");
    BOOST_TEST(said() == "");
}

BOOST_FIXTURE_TEST_CASE(a_brace_right_behind_a_dollar_is_part_of_the_word, Words)
{
    BOOST_TEST(read("${a};") == "${a};");
    BOOST_TEST(read("a${b}c$d;") == "a${b}c$d;");
    BOOST_TEST(read("${{{a;") == "${{{a;");
    BOOST_TEST(read("\"${a}\" '$';") == "${a}|$;");
    BOOST_TEST(read("$;$$;") == "$;$$;");
    BOOST_TEST(said() == "");

    for (const std::string_view conf : {"$a{b;", "${a{b;", "\\${b;", "$ {b;", "a{b;"}) {
        BOOST_TEST(read(conf) == "");
        BOOST_TEST(said() == "[emerg] unexpected \"{\" in nginx.conf:1\n");
    }
}

BOOST_FIXTURE_TEST_CASE(zero_bytes_and_bytes_above_127_are_characters, Words)
{
    using namespace std::string_view_literals;
    BOOST_TEST(read("a\0b\0;"sv) == "a\0b\0;"sv);
    BOOST_TEST(read("'\0' \xff\x80;"sv) == "\0|\xff\x80;"sv);
    BOOST_TEST(read("# \0\na;"sv) == "a;");
}

BOOST_FIXTURE_TEST_CASE(a_misplaced_token_is_refused_with_its_line, Words)
{
    const Table refused = {
        {"a", std::string(unexpected_end) + "1"},
        {"a b\n\n", std::string(unexpected_end) + "3"},
        {"a \"b\n\n", std::string(unexpected_end) + "3"},
        {"a 'b", std::string(unexpected_end) + "1"},
        {"a\\", std::string(unexpected_end) + "1"},
        {"a;\n 'b'", std::string(unexpected_end) + "2"},
        {"a #;", std::string(unexpected_end) + "1"},
        {";", "[emerg] unexpected \";\" in nginx.conf:1"},
        {"\n{", "[emerg] unexpected \"{\" in nginx.conf:2"},
        {"a;;", "[emerg] unexpected \";\" in nginx.conf:1"},
        {"}", "[emerg] unexpected \"}\" in nginx.conf:1"},
        {"a;\n}\n", "[emerg] unexpected \"}\" in nginx.conf:2"},
        {"a }", "[emerg] unexpected \"}\" in nginx.conf:1"},
        {"a\n\n\n}", "[emerg] unexpected \"}\" in nginx.conf:4"},
        {"a {", "[emerg] unexpected \"{\" in nginx.conf:1"},
        {"a 'b'{", "[emerg] unexpected \"{\" in nginx.conf:1"},
    };
    for (const auto& [conf, complaint] : refused) {
        BOOST_TEST_CONTEXT(conf)
        {
            BOOST_TEST(!parse(conf));
            BOOST_TEST(said() == complaint + "\n");
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_window_over_the_file)

BOOST_FIXTURE_TEST_CASE(a_word_and_what_ends_it_fill_the_window, Words)
{
    const std::string longest = repeat(window - 1);
    for (const std::size_t before : {0U, 1U, 2U, 100U, 4094U, 4095U, 4096U, 4097U, 9000U}) {
        const std::string conf = repeat(before, '\n') + longest + ";b;";
        BOOST_TEST((read(conf) == longest + ";b;"),
                   "after " << before << " characters: " << said());
    }
}

BOOST_FIXTURE_TEST_CASE(a_longer_word_is_refused_with_its_first_characters, Words)
{
    for (const std::size_t before : {0U, 1U, 4095U, 4096U, 5000U}) {
        BOOST_TEST(!parse(repeat(before, '\n') + "abcdefghijklm" + repeat(window - 13) + ";"));
        BOOST_TEST(said() == "[emerg] too long parameter \"abcdefghij...\" started in nginx.conf:" +
                                 std::to_string(before + 1) + "\n");
    }
}

BOOST_FIXTURE_TEST_CASE(a_quoted_word_has_the_window_with_its_closing_quote_and_one_more, Words)
{
    const std::string longest = repeat(window - 2);
    BOOST_TEST((read("'" + longest + "';") == longest + ";"));
    const std::string with_space = repeat(window - 3);
    BOOST_TEST((read("a \"" + with_space + "\" b;") == "a|" + with_space + "|b;"), said());

    BOOST_TEST(!parse("a \"" + longest + "\" b;"));
    BOOST_TEST(!parse("'" + longest + "a';"));
    BOOST_TEST(said() == "[emerg] too long parameter \"aaaaaaaaaa...\" started in nginx.conf:1\n");
}

BOOST_FIXTURE_TEST_CASE(an_unclosed_quote_is_distinguished_from_a_long_word, Words)
{
    const std::string complaint = "[emerg] too long parameter, probably missing terminating ";
    BOOST_TEST(!parse("a;\n\nb \"" + repeat(window * 2, '\n')));
    BOOST_TEST(said() == complaint + "\"\"\" character in nginx.conf:3\n");
    BOOST_TEST(!parse("'" + repeat(window) + "';"));
    BOOST_TEST(said() == complaint + "\"'\" character in nginx.conf:1\n");
    BOOST_TEST(!parse("'" + repeat(window - 1)));
    BOOST_TEST(said() == std::string(unexpected_end) + "1\n");
}

BOOST_FIXTURE_TEST_CASE(a_comment_may_not_be_longer_than_the_window_either, Words)
{
    BOOST_TEST(read("#" + repeat(window - 2) + "\na;") == "a;");
    BOOST_TEST(read("a;#" + repeat(window - 2) + "\nb;") == "a;b;");
    BOOST_TEST(!parse("#" + repeat(window - 1) + "\na;"));
    BOOST_TEST(said() == "[emerg] too long parameter \"#aaaaaaaaa...\" started in nginx.conf:1\n");
}

BOOST_FIXTURE_TEST_CASE(white_space_may_be_of_any_length, Words)
{
    BOOST_TEST(read("a" + repeat(window * 3, ' ') + "b" + repeat(window * 3, '\n') + ";c;") ==
               "a|b;c;");
}

BOOST_FIXTURE_TEST_CASE(words_and_escapes_survive_every_refill, Words)
{
    std::mt19937 random(1);
    std::string conf;
    std::string meant;
    for (int i = 0; i < 20'000; i++) {
        const std::size_t length = random() % 12 + 1;
        const char quote = "\"' "[random() % 3];
        conf.append(1, quote).append(repeat(length, 'x')).append("\\\\\\t").append(1, quote);
        meant.append(repeat(length, 'x')).append("\\\t");
        const bool last = random() % 4 == 0;
        conf.append(last ? ";\r\n# comment\n" : " ");
        meant.append(last ? ";" : "|");
    }
    BOOST_TEST((read(conf + "end;") == meant + "end;"), said());
}

BOOST_FIXTURE_TEST_CASE(lines_are_counted_across_refills, Words)
{
    std::string conf;
    for (int line = 1; line < 5000; line++) {
        conf += line % 3 == 0 ? "# comment\n" : "word 'quoted';\n";
    }
    BOOST_TEST(!parse(conf + "}"));
    BOOST_TEST(said() == "[emerg] unexpected \"}\" in nginx.conf:5000\n");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(directives)

BOOST_FIXTURE_TEST_CASE(a_directive_is_looked_up_by_its_whole_name, Directives)
{
    BOOST_TEST(read("words a;") == "words|a;");
    for (const std::string name : {"word", "wordss", "Words", "", "words\\"}) {
        BOOST_TEST(!parse("\n'" + name + "';"));
    }
    BOOST_TEST(!parse("\nbogus a;"));
    BOOST_TEST(said() == "[emerg] unknown directive \"bogus\" in nginx.conf:2\n");
}

BOOST_FIXTURE_TEST_CASE(a_misspelt_name_is_reported_with_the_right_one, Directives)
{
    const auto hint = [this](const std::string& name) {
        BOOST_TEST(!parse("'" + name + "' a;"));
        const std::string line = said();
        const std::string start = "[emerg] unknown directive \"" + name + "\"";
        BOOST_TEST_REQUIRE(line.starts_with(start), line);
        return line.substr(start.size(), line.find(" in nginx.conf:1\n") - start.size());
    };
    for (const std::string name : {"wordss", "word", "Words", "wrds", "worbs"}) {
        BOOST_TEST(hint(name) == " (did you mean words?)", name);
    }
    BOOST_TEST(hint("anser") == " (did you mean answer?)");
    BOOST_TEST(hint("includes") == " (did you mean include?)");
    for (const std::string name : {"", "bogus", "swords", "w", "wdrs", "inne"}) {
        BOOST_TEST(hint(name) == "", name);
    }
}

BOOST_FIXTURE_TEST_CASE(an_absent_directive_of_nginx_is_reported_as_such, Directives)
{
    const Table cases = {
        {"http {}", "\"http\" (nginx has it, ngxx has not)"},
        {"mail {}", "\"mail\" (nginx has it, ngxx has not)"},
        {"quic_bpf on;", "\"quic_bpf\" (nginx has it, ngxx has not)"},
        {"ssl_certificate a;", "\"ssl_certificate\" (nginx has it, ngxx has not)"},
        {"htp {}", "\"htp\" (did you mean http? nginx has it, ngxx has not)"},
    };
    for (const auto& [conf, message] : cases) {
        BOOST_TEST(!parse(conf));
        BOOST_TEST(said() == "[emerg] unknown directive " + message + " in nginx.conf:1\n");
    }
}

BOOST_FIXTURE_TEST_CASE(a_directive_of_another_level_is_not_allowed_here, Directives)
{
    BOOST_TEST(!parse("block {\n words a;\n}"));
    BOOST_TEST(said() == "[emerg] \"words\" directive is not allowed here in nginx.conf:2\n");
    BOOST_TEST(!parse("inner a;"));
    BOOST_TEST(said() == "[emerg] \"inner\" directive is not allowed here in nginx.conf:1\n");
    BOOST_TEST(!parse("block {\n bogus a;\n}"));
    BOOST_TEST(said() == "[emerg] unknown directive \"bogus\" in nginx.conf:2\n");
}

BOOST_FIXTURE_TEST_CASE(a_directive_ends_with_a_semicolon_and_a_block_opens, Directives)
{
    BOOST_TEST(!parse("words a {"));
    BOOST_TEST(said() == "[emerg] directive \"words\" is not terminated by \";\" in "
                         "nginx.conf:1\n");
    BOOST_TEST(!parse("block;"));
    BOOST_TEST(said() == "[emerg] directive \"block\" has no opening \"{\" in nginx.conf:1\n");
    BOOST_TEST(parse("block {}"));
    BOOST_TEST(!parse("block {\n"));
    BOOST_TEST(said() == "[emerg] unexpected end of file, expecting \"}\" in nginx.conf:2\n");
    BOOST_TEST(!parse("block {} }"));
    BOOST_TEST(said() == "[emerg] unexpected \"}\" in nginx.conf:1\n");
}

BOOST_FIXTURE_TEST_CASE(the_error_of_a_directive_gets_its_name_and_place, Directives)
{
    BOOST_TEST(!parse("words a;\nanswer 'is duplicate';"));
    BOOST_TEST(said() == "[emerg] \"answer\" directive is duplicate in nginx.conf:2\n");
    BOOST_TEST(!parse("answer silence; words b;"));
    BOOST_TEST(said() == "");
    BOOST_TEST(text == "words|a;");
}

const char* refuse(Conf& cf, void*)
{
    return cf.args[0] == "silence" ? conf_error : "no such type";
}

BOOST_FIXTURE_TEST_CASE(a_handler_takes_the_place_of_the_directives, Directives)
{
    BOOST_TEST(read("types {\n text/html html htm; words x; }\nwords a;") ==
               "text/html|html|htm;words|x;words|a;");
    BOOST_TEST(!parse("types { a {"));
    BOOST_TEST(said() == "[emerg] unexpected \"{\" in nginx.conf:1\n");
    BOOST_TEST(!parse("types { a b;\n"));
    BOOST_TEST(said() == "[emerg] unexpected end of file, expecting \"}\" in nginx.conf:2\n");

    cf.handler = refuse;
    BOOST_TEST(!parse("a;\nb;"));
    BOOST_TEST(said() == "[emerg] no such type in nginx.conf:1\n");
    BOOST_TEST(!parse("silence;"));
    BOOST_TEST(said() == "");
}

const char* accept_any(Conf&, const Command&, void*)
{
    return conf_ok;
}

/// Reads one directive "n" of the given type.
struct Counting : Directives {
    Counting() : Directives({&module}) { module.commands = {&command, 1}; }

    /// Returns the numbers of arguments, from 0 to 9, that are accepted: "013".
    std::string taken(std::uint32_t type)
    {
        command.type = main_conf | type;
        std::string counts;
        std::string conf = "n";
        for (int n = 0; n < 10; n++, conf += " x") {
            if (parse(conf + ";")) {
                counts += std::to_string(n);
            } else {
                BOOST_TEST(said() == "[emerg] invalid number of arguments in \"n\" directive in "
                                     "nginx.conf:1\n");
            }
        }
        return counts;
    }

    Command command{.name = "n", .type = 0, .set = accept_any};
    inline static Module module = {.ctx = &main_ctx, .type = ModuleType::core};
};

BOOST_FIXTURE_TEST_CASE(a_directive_takes_as_many_arguments_as_its_type_says, Counting)
{
    BOOST_TEST(taken(conf_noargs) == "0");
    BOOST_TEST(taken(conf_take1) == "1");
    BOOST_TEST(taken(conf_take2) == "2");
    BOOST_TEST(taken(conf_take3) == "3");
    BOOST_TEST(taken(conf_take4) == "4");
    BOOST_TEST(taken(conf_take5) == "5");
    BOOST_TEST(taken(conf_take6) == "6");
    BOOST_TEST(taken(conf_take7) == "7");
    BOOST_TEST(taken(conf_take12) == "12");
    BOOST_TEST(taken(conf_take13) == "13");
    BOOST_TEST(taken(conf_take23) == "23");
    BOOST_TEST(taken(conf_take123) == "123");
    BOOST_TEST(taken(conf_take1234) == "1234");
    BOOST_TEST(taken(conf_noargs | conf_take1 | conf_take7) == "017");
    BOOST_TEST(taken(conf_flag) == "1");
    BOOST_TEST(taken(conf_1more) == "123456789");
    BOOST_TEST(taken(conf_2more) == "23456789");
    BOOST_TEST(taken(conf_any) == "0123456789");
    BOOST_TEST(taken(0) == "");
}

BOOST_FIXTURE_TEST_CASE(the_words_end_in_a_zero_byte_and_live_as_long_as_the_cycle, Directives)
{
    static std::vector<std::string_view> kept;
    kept.clear();
    cf.handler = [](Conf& conf, void*) {
        kept.insert(kept.end(), conf.args.begin(), conf.args.end());
        return conf_ok;
    };
    BOOST_TEST(parse("first 'se\\tcond';"));
    BOOST_TEST(parse(repeat(window - 1, 'x') + ";"));

    BOOST_TEST_REQUIRE(kept.size() == 3U);
    BOOST_TEST(kept[0].data() == "first");
    BOOST_TEST(kept[1].data() == "se\tcond");
    BOOST_TEST(kept[2].data()[window - 1] == '\0');
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(modules_and_contexts)

const char* name_module(Conf& cf, const Command& cmd, void*)
{
    // The level of the command identifies the modules of these tests.
    log_error(log_notice, cf.log, 0, "{}", cmd.conf);
    return conf_ok;
}

constexpr Command first_commands[] = {
    {.name = "same", .type = main_conf | conf_noargs, .set = name_module, .conf = 1},
    {.name = "twice", .type = event_conf | conf_noargs, .set = name_module, .conf = 10},
    {.name = "twice", .type = main_conf | conf_noargs, .set = name_module, .conf = 11},
};
constexpr Command second_commands[] = {
    {.name = "same", .type = main_conf | event_conf | conf_any, .set = name_module, .conf = 2},
};
constexpr Command event_commands[] = {
    {.name = "same", .type = event_conf | conf_noargs, .set = name_module, .conf = 3},
};

constinit Module first_module = {
    .ctx = &main_ctx, .commands = first_commands, .type = ModuleType::core};
constinit Module second_module = {
    .ctx = &main_ctx, .commands = second_commands, .type = ModuleType::core};
constinit Module event_module = {.commands = event_commands, .type = ModuleType::event};

BOOST_AUTO_TEST_CASE(the_first_module_that_allows_a_directive_here_gets_it)
{
    Directives reader({&event_module, &first_module, &second_module});
    BOOST_TEST(reader.parse("same;"));
    BOOST_TEST(reader.said() == "[notice] 1\n");
    BOOST_TEST(reader.parse("block { same; }"));
    BOOST_TEST(reader.said() == "[notice] 3\n");
    BOOST_TEST(reader.parse("twice;"));
    BOOST_TEST(reader.said() == "[notice] 11\n");

    Directives turned({&second_module, &first_module});
    BOOST_TEST(turned.parse("same;"));
    BOOST_TEST(turned.said() == "[notice] 2\n");
}

BOOST_AUTO_TEST_CASE(the_first_module_that_allows_a_directive_checks_its_arguments)
{
    Directives reader({&first_module, &second_module});
    BOOST_TEST(!reader.parse("same a;"));
    BOOST_TEST(reader.said() == "[emerg] invalid number of arguments in \"same\" directive in "
                                "nginx.conf:1\n");
}

/// The address at which the last directive should store its value.
void* told;

const char* note_conf(Conf&, const Command&, void* conf)
{
    told = conf;
    return conf_ok;
}

constexpr Command level_commands[] = {
    {.name = "direct", .type = main_conf | direct_conf | conf_noargs, .set = note_conf},
    {.name = "slot", .type = main_conf | conf_noargs, .set = note_conf},
    {.name = "level0", .type = event_conf | conf_noargs, .set = note_conf, .conf = 0},
    {.name = "level1", .type = event_conf | conf_noargs, .set = note_conf, .conf = 1},
    {.name = "level2", .type = event_conf | conf_noargs, .set = note_conf, .conf = 2},
};

constinit Module level_module = {
    .ctx_index = 1, .ctx = &main_ctx, .commands = level_commands, .type = ModuleType::core};

BOOST_AUTO_TEST_CASE(a_core_modules_directive_gets_its_configuration_or_the_place_for_one)
{
    Directives reader({&level_module});
    int conf = 0;
    void*& slot = reader.cycle->conf_ctx[level_module.index];
    slot = &conf;

    BOOST_TEST_REQUIRE(reader.parse("direct;"));
    BOOST_TEST(told == &conf);
    BOOST_TEST_REQUIRE(reader.parse("slot;"));
    BOOST_TEST(told == &slot);
}

BOOST_AUTO_TEST_CASE(a_blocks_directive_gets_the_configuration_of_its_level)
{
    Directives reader({&level_module});
    int confs[4] = {};
    void* level0[] = {&confs[0], &confs[1]};
    void* level1[] = {&confs[2], &confs[3]};
    BlockCtx ctx{.conf = {level0, level1}};
    reader.cf.cmd_type = event_conf;

    BOOST_TEST_REQUIRE(reader.parse("level0;"));
    BOOST_TEST(told == nullptr);

    reader.cf.ctx = &ctx;
    BOOST_TEST_REQUIRE(reader.parse("level0;"));
    BOOST_TEST(told == &confs[1]);
    BOOST_TEST_REQUIRE(reader.parse("level1;"));
    BOOST_TEST(told == &confs[3]);
    BOOST_TEST_REQUIRE(reader.parse("level2;"));
    BOOST_TEST(told == nullptr);
}

BOOST_AUTO_TEST_CASE(an_unset_value_gets_its_default_and_a_server_that_of_the_level_above)
{
    std::optional<int> value;
    conf_init_value(value, 1);
    BOOST_TEST(value.value() == 1);
    conf_init_value(value, 2);
    BOOST_TEST(value.value() == 1);

    std::optional<int> server;
    conf_merge_value(server, std::optional<int>(3), 4);
    BOOST_TEST(server.value() == 3);
    conf_merge_value(server, std::optional<int>(5), 6);
    BOOST_TEST(server.value() == 3);

    std::optional<int> other;
    conf_merge_value(other, std::optional<int>(), 7);
    BOOST_TEST(other.value() == 7);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(include)

BOOST_FIXTURE_TEST_CASE(an_included_file_replaces_its_directive, Directives)
{
    file("a.conf", "words 2;\nwords 3;");
    BOOST_TEST(read("words 1;\ninclude a.conf;\nwords 4;\n}") ==
               "words|1;words|2;words|3;words|4;");
    BOOST_TEST(said() == "[emerg] unexpected \"}\" in nginx.conf:4\n");
    BOOST_TEST(read("include " + (dir / "a.conf").string() + ";") == "words|2;words|3;");
}

BOOST_FIXTURE_TEST_CASE(a_relative_file_starts_from_the_configuration_not_from_the_prefix,
                        Directives)
{
    file("a.conf", "words prefix;");
    file("conf/a.conf", "words conf;");
    cycle->conf_prefix = cycle->prefix + "conf/";
    BOOST_TEST(read("include a.conf;") == "words|conf;");
    BOOST_TEST(read("include ../a.conf;") == "words|prefix;");
}

BOOST_FIXTURE_TEST_CASE(nested_includes_keep_their_places, Directives)
{
    file("a.conf", "words a1;\ninclude b.conf;\nwords a3;");
    file("b.conf", "\n\nwords b;");
    BOOST_TEST(read("include a.conf; words c;") == "words|a1;words|b;words|a3;words|c;");

    file("b.conf", "\n\nnone;");
    BOOST_TEST(!parse("include a.conf;"));
    BOOST_TEST(said() == "[emerg] unknown directive \"none\" in b.conf:3\n");
}

// The limit of open files must not be lower than the number of files.
BOOST_FIXTURE_TEST_CASE(a_file_that_includes_itself_is_an_error_in_its_line, Directives)
{
    rlimit before{};
    BOOST_REQUIRE_EQUAL(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit more{.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
    BOOST_REQUIRE_EQUAL(::setrlimit(RLIMIT_NOFILE, &more), 0);

    file("a.conf", "\ninclude b.conf;");
    file("b.conf", "\n\ninclude a.conf;");
    BOOST_TEST(!parse("include a.conf;"));
    BOOST_TEST(said() == "[emerg] more than 1000 files include one another in a.conf:2\n");

    file("a.conf", "words a;");
    BOOST_TEST(read("include a.conf;") == "words|a;");

    ::setrlimit(RLIMIT_NOFILE, &before);
}

BOOST_FIXTURE_TEST_CASE(a_missing_file_is_an_error_at_its_include, Directives)
{
    BOOST_TEST(!parse("words a;\ninclude none.conf;"));
    BOOST_TEST(said() == "[emerg] open() \"none.conf\" failed (2: No such file or directory) in "
                         "nginx.conf:2\n");
}

BOOST_FIXTURE_TEST_CASE(a_directory_can_be_opened_but_not_read, Directives)
{
    file("dir/a.conf", "words a;");
    BOOST_TEST(!parse("include dir;"));
    BOOST_TEST(said() == "[crit] pread() \"dir\" failed (21: Is a directory)\n");
}

BOOST_FIXTURE_TEST_CASE(a_glob_takes_what_matches_in_the_order_of_names, Directives)
{
    for (const std::string name : {"b", "a", "c", "10", "9"}) {
        file("sites/" + name + ".conf", "words " + name + ";");
    }
    file("sites/a.txt", "none;");
    file("sites/.hidden.conf", "none;");
    BOOST_TEST(read("include sites/*.conf; words end;") ==
               "words|10;words|9;words|a;words|b;words|c;words|end;");
    BOOST_TEST(read("include sites/?.conf;") == "words|9;words|a;words|b;words|c;");
    BOOST_TEST(read("include sites/[ac].conf;") == "words|a;words|c;");
    BOOST_TEST(read("include s*/9.*;") == "words|9;");
}

BOOST_FIXTURE_TEST_CASE(a_glob_that_matches_nothing_is_no_error, Directives)
{
    BOOST_TEST(read("include none/*.conf; include *.none; words a;") == "words|a;");
    BOOST_TEST(said() == "");
}

BOOST_FIXTURE_TEST_CASE(the_first_file_of_a_glob_that_is_refused_ends_it, Directives)
{
    file("1.inc", "words 1;");
    file("2.inc", "none;");
    file("3.inc", "words 3;");
    BOOST_TEST(read("include *.inc; words 4;") == "words|1;");
    BOOST_TEST(said() == "[emerg] unknown directive \"none\" in 2.inc:1\n");
}

BOOST_FIXTURE_TEST_CASE(a_file_included_in_a_block_holds_its_directives_and_not_its_end, Directives)
{
    file("a.conf", "words a;");
    BOOST_TEST(!parse("block { include a.conf; }"));
    BOOST_TEST(said() == "[emerg] \"words\" directive is not allowed here in a.conf:1\n");

    file("a.conf", "}");
    BOOST_TEST(!parse("block { include a.conf;"));
    BOOST_TEST(said() == "[emerg] unexpected \"}\" in a.conf:1\n");

    file("a.conf", "block {");
    BOOST_TEST(!parse("include a.conf; }"));
    BOOST_TEST(said() == "[emerg] unexpected end of file, expecting \"}\" in a.conf:1\n");
}

BOOST_FIXTURE_TEST_CASE(an_include_leaves_no_descriptor_behind, Directives)
{
    file("a.conf", "words a;");
    file("b.conf", "none;");
    const std::size_t before = open_descriptors();
    BOOST_TEST(parse("include a.conf; include *.nothing; include a.*;"));
    BOOST_TEST(!parse("include b.conf;"));
    BOOST_TEST(!parse("include none.conf;"));
    BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_g_option)

BOOST_FIXTURE_TEST_CASE(its_directives_are_read_as_a_files, Directives)
{
    BOOST_TEST(parse_param(""));
    BOOST_TEST(parse_param("words 'a b'; words \"c\\td\" # comment\n;"));
    BOOST_TEST(text == "words|a b;words|c\td;");
    BOOST_TEST(said() == "");
    BOOST_TEST(cf.conf_file == nullptr);
}

BOOST_FIXTURE_TEST_CASE(its_errors_are_in_the_command_line, Directives)
{
    const Table refused = {
        {"words a", "unexpected end of parameter, expecting \";\""},
        {"words 'a", "unexpected end of parameter, expecting \";\""},
        {"none;", "unknown directive \"none\""},
        {"block {", "block directives are not supported in -g option"},
        {"block;", "directive \"block\" has no opening \"{\""},
        {"}", "unexpected \"}\""},
        {";", "unexpected \";\""},
        {"answer no;", "\"answer\" directive no"},
        {"include none;", "open() \"none\" failed (2: No such file or directory)"},
    };
    for (const auto& [param, complaint] : refused) {
        BOOST_TEST_CONTEXT(param)
        {
            BOOST_TEST(!parse_param(param));
            BOOST_TEST(said() == "[emerg] " + complaint + " in command line\n");
            BOOST_TEST(cf.conf_file == nullptr);
        }
    }
}

BOOST_FIXTURE_TEST_CASE(it_may_include_a_file_which_may_have_blocks, Directives)
{
    file("a.conf", "block {}\nwords a;");
    BOOST_TEST(!parse_param("include a.conf; words b; none;"));
    BOOST_TEST(text == "words|a;words|b;");
    BOOST_TEST(said() == "[emerg] unknown directive \"none\" in command line\n");
}

BOOST_FIXTURE_TEST_CASE(its_words_may_be_of_any_length, Directives)
{
    BOOST_TEST(parse_param("words " + repeat(3 * window) + ";"));
    BOOST_TEST((text == "words|" + repeat(3 * window) + ";"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(files_and_names)

BOOST_FIXTURE_TEST_CASE(a_file_that_cannot_be_opened_is_an_error_without_a_place, Directives)
{
    const std::string name = dir / "none.conf";
    BOOST_TEST(conf_parse(cf, name) == conf_error);
    BOOST_TEST(said() == "[emerg] open() \"none.conf\" failed (2: No such file or directory)\n");
}

BOOST_FIXTURE_TEST_CASE(a_full_name_is_absolute_or_behind_a_prefix, Reader)
{
    cycle->prefix = "/prefix/";
    cycle->conf_prefix = "/conf/";
    BOOST_TEST(conf_full_name(*cycle, "/a/b", false) == "/a/b");
    BOOST_TEST(conf_full_name(*cycle, "/a/b", true) == "/a/b");
    BOOST_TEST(conf_full_name(*cycle, "a/b", false) == "/prefix/a/b");
    BOOST_TEST(conf_full_name(*cycle, "a/b", true) == "/conf/a/b");
    BOOST_TEST(conf_full_name(*cycle, "", false) == "/prefix/");

    const std::string_view cut("abc", 2);
    BOOST_TEST(conf_full_name(*cycle, cut, false).data() == "/prefix/ab");
}

BOOST_FIXTURE_TEST_CASE(a_name_has_one_open_file_however_it_is_spelt, Reader)
{
    OpenFile* const a = conf_open_file(*cycle, "a.log");
    BOOST_TEST(a->name == cycle->prefix + "a.log");
    BOOST_TEST(a->fd == invalid_file);
    BOOST_TEST(conf_open_file(*cycle, "a.log") == a);
    BOOST_TEST(conf_open_file(*cycle, cycle->prefix + "a.log") == a);
    BOOST_TEST(conf_open_file(*cycle, "b.log") != a);
    BOOST_TEST(conf_open_file(*cycle, "a.lo") != a);
    BOOST_TEST(cycle->open_files.size() == 3U);
}

BOOST_FIXTURE_TEST_CASE(an_empty_name_is_stderr, Reader)
{
    OpenFile* const file = conf_open_file(*cycle, "");
    BOOST_TEST(file->fd == STDERR_FILENO);
    BOOST_TEST(file->name == "");
}

void note_flush(OpenFile& file, Log*)
{
    *static_cast<std::string*>(file.data) += file.name.back();
}

BOOST_FIXTURE_TEST_CASE(files_are_flushed_when_the_process_exits, Reader)
{
    std::string flushed;
    for (const std::string_view name : {"1", "2", "3"}) {
        OpenFile* const file = conf_open_file(*cycle, name);
        file->flush = name == "2" ? nullptr : note_flush;
        file->data = &flushed;
    }
    conf_module.exit_process(*cycle);
    BOOST_TEST(flushed == "13");
}

struct Dumping : Directives {
    Dumping() { dump_config = true; }
    ~Dumping() { dump_config = false; }
};

BOOST_FIXTURE_TEST_CASE(a_dump_has_each_file_once_whole_and_in_order, Dumping)
{
    const std::string conf = "include a.conf; include b.conf; include a.conf; words " +
                             repeat(window - 1) + "; words " + repeat(window - 1, '\n') + ";";
    file("a.conf", "words a; # comment\n");
    file("b.conf", "");
    BOOST_TEST_REQUIRE(parse(conf));

    std::string names;
    for (const ConfDump& dump : cycle->config_dump) {
        names += dump.name.substr(cycle->prefix.size()) + " ";
    }
    BOOST_TEST(names == "nginx.conf a.conf b.conf ");
    BOOST_TEST((cycle->config_dump.front().buffer == conf));
    BOOST_TEST(std::next(cycle->config_dump.begin())->buffer == "words a; # comment\n");
    BOOST_TEST(cycle->config_dump.back().buffer == "");
}

BOOST_FIXTURE_TEST_CASE(without_a_dump_no_text_is_kept, Directives)
{
    BOOST_TEST_REQUIRE(parse("words a;"));
    BOOST_TEST(cycle->config_dump.empty());
}

BOOST_FIXTURE_TEST_CASE(an_error_has_its_errno_before_its_place_and_is_cut_to_1024, Reader)
{
    conf_log_error(log_warn, cf, ENOENT, "no {}", "file");
    BOOST_TEST(said() == "[warn] no file (2: No such file or directory)\n");

    ConfFile place{.fd = 0, .name = "some.conf", .line = 7};
    cf.conf_file = &place;
    log.text.clear();
    conf_log_error(log_emerg, cf, 0, "{}", repeat(2000));
    BOOST_TEST(said() == "[emerg] " + repeat(max_conf_errstr) + " in some.conf:7\n");

    log.text.clear();
    conf_log_error(log_emerg, cf, ENOENT, "{}", repeat(2000));
    BOOST_TEST(said() == "[emerg] " + repeat(max_conf_errstr - 50) +
                             "... (2: No such file or directory) in some.conf:7\n");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(observer)

/// Records the errors that the observer receives: "FILE:LINE: TEXT", with the file's name only.
struct Observed : Directives {
    Observed() { conf_observer = &functions; }
    Observed(const Observed&) = delete;
    Observed& operator=(const Observed&) = delete;
    ~Observed() { conf_observer = nullptr; }

    static void add(const ConfPlace& place, std::string_view what, void* data)
    {
        const std::string_view name = place.file.substr(place.file.rfind('/') + 1);
        *static_cast<std::string*>(data) += fmt::format("{}:{}: {}\n", name, place.line, what);
    }

    std::string errors{};
    const ConfObserver functions = {.error = add, .data = &errors};
};

BOOST_FIXTURE_TEST_CASE(an_error_has_the_parsers_place_and_its_text_has_none, Observed)
{
    file("part.conf", "words a;\n\nunknown;");
    parse("\ninclude part.conf;");
    BOOST_TEST(errors == "part.conf:3: unknown directive \"unknown\"\n");
}

BOOST_FIXTURE_TEST_CASE(an_error_has_the_place_as_it_is_where_the_log_escapes_it, Observed)
{
    file("a\tb", "answer \"a: in c:1\";");
    parse("include \"a\tb\";");
    BOOST_TEST(errors == "a\tb:1: \"answer\" directive a: in c:1\n");
    BOOST_TEST(said().find("a\\x09b:1") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(an_error_of_the_g_option_has_a_line_and_no_file, Observed)
{
    parse_param("words a;\nunknown;");
    BOOST_TEST(errors == ":2: unknown directive \"unknown\"\n");
}

BOOST_FIXTURE_TEST_CASE(an_error_about_an_earlier_place_has_that_place, Observed)
{
    conf_log_error(log_emerg, cf.log, {"earlier", 7}, ENOENT, "{} is missing", "x");
    conf_log_error(log_emerg, cf.log, {}, 0, "no {} section", "events");
    BOOST_TEST(errors == "earlier:7: x is missing (2: No such file or directory)\n"
                         ":0: no events section\n");
    BOOST_TEST(said() == "[emerg] x is missing (2: No such file or directory) in earlier:7\n"
                         "[emerg] no events section\n");
}

BOOST_FIXTURE_TEST_CASE(a_warning_is_no_error, Observed)
{
    conf_log_error(log_warn, cf, 0, "odd");
    BOOST_TEST(errors == "");
    BOOST_TEST(said() == "[warn] odd\n");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
