#include "core/string.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

namespace ngx::test {

BOOST_AUTO_TEST_SUITE(string)

BOOST_AUTO_TEST_CASE(formatted_text_is_cut_at_the_end_of_the_buffer)
{
    std::array<char, 8> buf;
    for (std::size_t room = 0; room <= buf.size(); room++) {
        buf.fill('#');
        char* const last = buf.data() + room;
        char* const end = slprintf(buf.data(), last, "{}-{}", 12, "abc");

        const std::string whole = "12-abc";
        const std::size_t n = std::min(room, whole.size());
        BOOST_TEST((end == buf.data() + n));
        BOOST_TEST(std::string(buf.data(), buf.size()) ==
                   whole.substr(0, n) + std::string(buf.size() - n, '#'));
    }
}

BOOST_AUTO_TEST_CASE(a_number_is_digits_and_nothing_else)
{
    BOOST_TEST(atoi("0").value() == 0);
    BOOST_TEST(atoi("00042").value() == 42);
    BOOST_TEST(atoi("9223372036854775807").value() == std::numeric_limits<std::int64_t>::max());
    for (const std::string_view text : {"", "-", "-1", "+1", " 1", "1 ", "1a", "a", "0x1", "1.0",
                                        "9223372036854775808", "99999999999999999999999"}) {
        BOOST_TEST(!atoi(text).has_value(), text);
    }
    BOOST_TEST(!atoi(std::string_view("1\0", 2)).has_value());
}

BOOST_AUTO_TEST_CASE(only_ascii_letters_are_equal_in_both_cases)
{
    BOOST_TEST(strcaseeq("", ""));
    BOOST_TEST(strcaseeq("aZ09", "Az09"));
    BOOST_TEST(!strcaseeq("a", "b"));
    BOOST_TEST(!strcaseeq("a", "aa"));
    BOOST_TEST(!strcaseeq("aa", "a"));
    BOOST_TEST(!strcaseeq("@[`{", "`{@["));
    BOOST_TEST(!strcaseeq("\xc4", "\xe4"));
    BOOST_TEST(!strcaseeq(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

BOOST_AUTO_TEST_CASE(the_characters_with_a_meaning_in_html_are_escaped)
{
    BOOST_TEST(escape_html("") == "");
    BOOST_TEST(escape_html("a'\n\t\xe4") == "a'\n\t\xe4");
    BOOST_TEST(escape_html("<a href=\"&\">") == "&lt;a href=&quot;&amp;&quot;&gt;");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
