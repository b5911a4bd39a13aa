// Tests of texts with variables: how they are parsed, and which are rejected.

#include "stream/stream_script.hpp"

#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "stream/stream_variables.hpp"
#include "test/stream/hooks_module.hpp"
#include "test/stream/server.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

using Strings = std::vector<std::string>;

/// Returns a server that compiles and returns the text, with the variables $one, $two and $none.
std::string server_of(const std::string& text)
{
    constexpr auto constant = [](StreamSession&, std::uintptr_t data) -> std::string_view {
        return data == 0 ? std::string_view{} : data == 1 ? "1" : "22";
    };
    hooks.variables = {{"one", constant, 1}, {"two", constant, 2}, {"none", constant, 0}};
    return "server { listen unix:DIR/a; test_text " + text + "; return " + text + "; }";
}

/// Returns what a client of the server receives.
std::string value_of(const std::string& text)
{
    const Server server(server_of(text));
    BOOST_TEST_REQUIRE(server.cycle.ok(), server.log());
    return answer(server);
}

/// Returns the parts of a text: literals in quotes, and names of variables.
Strings parts_of(const std::string& text)
{
    const Server server({.stream = server_of(text), .start = Start::conf});
    BOOST_TEST_REQUIRE(server.cycle.ok(), server.log());
    Strings parts;
    for (const StreamComplexValue::Part& part : hooks.texts.front().parts) {
        parts.push_back(part.use ? std::string(part.use->variable->name)
                                 : "'" + std::string(part.literal) + "'");
    }
    return parts;
}

void check_parts(const std::string& text, const Strings& wanted)
{
    BOOST_TEST_CONTEXT(text)
    {
        BOOST_TEST(parts_of(text) == wanted, boost::test_tools::per_element());
    }
}

/// Checks that a text is rejected with the message and a place.
void check_script_refused(const std::string& text, const std::string& message)
{
    const std::string log = refusal("server { listen unix:DIR/a; test_text " + text + "; }");
    BOOST_TEST(contains(log, "[emerg]"), text << " gave " << log);
    BOOST_TEST(contains(log, message + " in "), text << " gave " << log);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_script)

BOOST_AUTO_TEST_CASE(a_text_is_split_at_its_variables)
{
    check_parts("text", {"'text'"});
    check_parts("$one", {"one"});
    check_parts("\"a $one b\"", {"'a '", "one", "' b'"});
    check_parts("$one-$two.", {"one", "'-'", "two", "'.'"});
    check_parts("$one$two", {"one", "two"});
    check_parts("$one$one", {"one", "one"});
    check_parts("\"\"", {});
}

BOOST_AUTO_TEST_CASE(brackets_end_a_name)
{
    check_parts("\"${one}\"", {"one"});
    check_parts("\"${one}two\"", {"one", "'two'"});
    check_parts("\"${one}${two}\"", {"one", "two"});
    check_parts("\"a${one}}\"", {"'a'", "one", "'}'"});
    check_parts("\"{$one}\"", {"'{'", "one", "'}'"});
}

BOOST_AUTO_TEST_CASE(a_name_ends_where_no_letter_digit_or_underscore_follows)
{
    check_parts("$one:$two", {"one", "':'", "two"});
    check_parts("\"$one two\"", {"one", "' two'"});
    check_parts("$one/", {"one", "'/'"});
    check_parts("$one\xc3\xa9", {"one", "'\xc3\xa9'"});
}

BOOST_AUTO_TEST_CASE(letters_of_a_name_may_be_of_either_case)
{
    check_parts("$ONE", {"one"});
    check_parts("\"${Two}\"", {"two"});
}

BOOST_AUTO_TEST_CASE(the_parts_are_put_together_for_a_session)
{
    BOOST_TEST(value_of("text") == "text");
    BOOST_TEST(value_of("$one") == "1");
    BOOST_TEST(value_of("\"<$one-${two}3>\"") == "<1-223>");
    BOOST_TEST(value_of("$two$two$one") == "22221");
}

BOOST_AUTO_TEST_CASE(a_variable_without_a_value_leaves_nothing)
{
    BOOST_TEST(value_of("[$none]") == "[]");
    BOOST_TEST(value_of("$none") == "");
}

BOOST_AUTO_TEST_CASE(a_text_without_variables_is_not_copied)
{
    const Server server("server { listen unix:DIR/a; test_text 'a text'; hold; }");
    const Client client = server.connect();
    server.accept();
    const StreamComplexValue& value = hooks.texts.front();
    const std::string_view text = stream_complex_value(*hooks.session, value);
    BOOST_TEST(text == "a text");
    BOOST_TEST((text.data() == value.parts.front().literal.data()));
}

BOOST_AUTO_TEST_CASE(an_empty_text_has_no_parts_and_no_value)
{
    const Server server("server { listen unix:DIR/a; test_text ''; hold; }");
    const Client client = server.connect();
    server.accept();
    BOOST_TEST(hooks.texts.front().parts.empty());
    BOOST_TEST(stream_complex_value(*hooks.session, hooks.texts.front()).empty());
}

BOOST_AUTO_TEST_CASE(a_dollar_without_a_name_is_refused)
{
    for (const char* const text : {"$", "a$", "\"a $ b\"", "$$", "$-", "\"$\"", "\"${}\"", "\"${\"",
                                   "\"$(one)\"", "\"$\\one\""}) {
        check_script_refused(text, "invalid variable name");
    }
}

BOOST_AUTO_TEST_CASE(a_bracket_that_is_not_closed_is_refused)
{
    check_script_refused("\"${one\"", "the closing bracket in \"one\" variable is missing");
    check_script_refused("\"${one two}\"", "the closing bracket in \"one\" variable is missing");
    check_script_refused("\"${one-}\"", "the closing bracket in \"one\" variable is missing");
    check_script_refused("\"${ one}\"", "the closing bracket in \"\" variable is missing");
}

BOOST_AUTO_TEST_CASE(captures_are_refused_as_there_are_no_regular_expressions)
{
    check_script_refused("$1", "using variable \"$1\" requires PCRE library");
    check_script_refused("a$9b", "using variable \"$9\" requires PCRE library");
    check_script_refused("$10", "using variable \"$1\" requires PCRE library");
}

BOOST_AUTO_TEST_CASE(zero_is_a_name)
{
    const std::string log = refusal("server { listen unix:DIR/a; test_text $0; }");
    BOOST_TEST(contains(log, "unknown \"0\" variable"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
