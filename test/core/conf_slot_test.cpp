#include "core/conf_slot.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "core/palloc.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

enum class Colour { red, green };

/// One member for each kind of slot.
struct SlotConf {
    std::optional<bool> flag{};
    std::optional<std::string_view> str{};
    std::vector<std::string_view> strings{};
    std::vector<Keyval> pairs{};
    std::optional<std::int64_t> num{};
    std::optional<std::size_t> size{};
    std::optional<off_t> off{};
    std::optional<Msec> msec{};
    std::optional<Seconds> sec{};
    std::optional<Bufs> bufs{};
    std::optional<Colour> colour{};
    std::uint64_t mask = 0;
    std::optional<std::int64_t> between{};
    std::optional<std::int64_t> at_least{};
    std::optional<bool> old_flag{};
    std::optional<std::string_view> old_str{};
};

constexpr ConfEnum<Colour> colours[] = {
    {"red", Colour::red},
    {"Green", Colour::green},
};

constexpr ConfBitmask bits[] = {
    {"one", 0x1},
    {"two", 0x2},
    {"both", 0x3},
    {"high", 0x8000000000000000},
};

constexpr ConfNumBounds two_to_nine{.low = 2, .high = 9};
constexpr ConfNumBounds from_seven{.low = 7};
constexpr ConfDeprecated old_name{.old_name = "old", .new_name = "new"};

constexpr std::uint32_t slot_conf = main_conf | direct_conf;

constexpr Command slot_commands[] = {
    {"flag", slot_conf | conf_flag, conf_set_flag_slot<&SlotConf::flag>},
    {"str", slot_conf | conf_take1, conf_set_str_slot<&SlotConf::str>},
    {"strings", slot_conf | conf_take1, conf_set_str_array_slot<&SlotConf::strings>},
    {"pairs", slot_conf | conf_take2, conf_set_keyval_slot<&SlotConf::pairs>},
    {"num", slot_conf | conf_take1, conf_set_num_slot<&SlotConf::num>},
    {"size", slot_conf | conf_take1, conf_set_size_slot<&SlotConf::size>},
    {"off", slot_conf | conf_take1, conf_set_off_slot<&SlotConf::off>},
    {"msec", slot_conf | conf_take1, conf_set_msec_slot<&SlotConf::msec>},
    {"sec", slot_conf | conf_take1, conf_set_sec_slot<&SlotConf::sec>},
    {"bufs", slot_conf | conf_take2, conf_set_bufs_slot<&SlotConf::bufs>},
    {"colour", slot_conf | conf_take1, conf_set_enum_slot<&SlotConf::colour, colours>},
    {"mask", slot_conf | conf_1more, conf_set_bitmask_slot<&SlotConf::mask, bits>},
    {"between", slot_conf | conf_take1, conf_set_num_slot<&SlotConf::between, &two_to_nine>},
    {"at_least", slot_conf | conf_take1, conf_set_num_slot<&SlotConf::at_least, &from_seven>},
    {"old_flag", slot_conf | conf_flag, conf_set_flag_slot<&SlotConf::old_flag, &old_name>},
    {"old_str", slot_conf | conf_take1, conf_set_str_slot<&SlotConf::old_str, &old_name>},
};

void* create_conf(Cycle& cycle)
{
    return cycle.pool->create<SlotConf>();
}

constexpr CoreModule slot_ctx = {.name = "slot", .create_conf = create_conf};

constinit Module slot_module = {
    .ctx = &slot_ctx,
    .commands = slot_commands,
    .type = ModuleType::core,
};

struct Slots {
    /// Returns the configuration of the text; its messages are in `said`.
    const SlotConf& read(std::string_view text)
    {
        reader.emplace(std::vector<Module*>{&slot_module});
        ok = reader->parse(text);
        said = reader->said();
        return *static_cast<SlotConf*>(reader->cycle->conf_ctx[slot_module.index]);
    }

    /// Returns the message for a text that must be refused, without level and place.
    std::string refusal(std::string_view text)
    {
        read(text);
        constexpr std::string_view before = "[emerg] ";
        constexpr std::string_view behind = " in nginx.conf:1\n";
        if (ok || !said.starts_with(before) || !said.ends_with(behind)) {
            return "not refused: " + said;
        }
        return said.substr(before.size(), said.size() - before.size() - behind.size());
    }

    std::optional<Reader> reader{};
    bool ok = false;
    std::string said{};
};

constexpr std::int64_t max_int = std::numeric_limits<std::int64_t>::max();

}  // namespace

BOOST_FIXTURE_TEST_SUITE(conf_slot, Slots)

BOOST_AUTO_TEST_CASE(what_is_not_set_is_empty)
{
    const SlotConf& conf = read("");
    BOOST_TEST(!conf.flag.has_value());
    BOOST_TEST(!conf.str.has_value());
    BOOST_TEST(!conf.sec.has_value());
    BOOST_TEST(conf.strings.empty());
    BOOST_TEST(conf.mask == 0U);
}

BOOST_AUTO_TEST_CASE(a_flag_is_on_or_off_in_any_case_of_letters)
{
    BOOST_TEST(read("flag on;").flag.value() == true);
    BOOST_TEST(read("flag off;").flag.value() == false);
    BOOST_TEST(read("flag oN;").flag.value() == true);
    BOOST_TEST(read("flag OFF;").flag.value() == false);
    for (const std::string value : {"yes", "1", "onn", "o", "\"\"", "'on '"}) {
        const std::string bare = value.front() == '"' || value.front() == '\''
                                     ? value.substr(1, value.size() - 2)
                                     : value;
        BOOST_TEST(refusal("flag " + value + ";") ==
                   "invalid value \"" + bare +
                       "\" in \"flag\" directive, it must be \"on\" or \"off\"");
    }
    BOOST_TEST(refusal("flag on; flag on;") == "\"flag\" directive is duplicate");
    BOOST_TEST(refusal("flag off; flag on;") == "\"flag\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(a_string_is_any_word_and_set_even_when_it_is_empty)
{
    BOOST_TEST(read("str a;").str.value() == "a");
    BOOST_TEST(read("str '';").str.value() == "");
    BOOST_TEST(refusal("str a; str b;") == "\"str\" directive is duplicate");
    BOOST_TEST(refusal("str ''; str b;") == "\"str\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(strings_and_pairs_are_appended_in_their_order)
{
    const SlotConf& conf = read("strings a; strings b; strings a; pairs k v; pairs k w;");
    BOOST_TEST(conf.strings == (std::vector<std::string_view>{"a", "b", "a"}),
               boost::test_tools::per_element());
    BOOST_TEST_REQUIRE(conf.pairs.size() == 2U);
    BOOST_TEST(conf.pairs[0].key == "k");
    BOOST_TEST(conf.pairs[0].value == "v");
    BOOST_TEST(conf.pairs[1].value == "w");
}

BOOST_AUTO_TEST_CASE(a_number_is_decimal_digits)
{
    BOOST_TEST(read("num 0;").num.value() == 0);
    BOOST_TEST(read("num 007;").num.value() == 7);
    BOOST_TEST(read("num 9223372036854775807;").num.value() == max_int);
    for (const std::string value :
         {"9223372036854775808", "-1", "+1", "1k", "0x10", "1.0", "a", "''", "' 1'", "'1 '"}) {
        BOOST_TEST(refusal("num " + value + ";") == "\"num\" directive invalid number");
    }
    BOOST_TEST(refusal("num 0; num 0;") == "\"num\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(a_size_has_k_and_m)
{
    BOOST_TEST(read("size 0;").size.value() == 0U);
    BOOST_TEST(read("size 4k;").size.value() == 4096U);
    BOOST_TEST(read("size 3M;").size.value() == 3U << 20);
    for (const std::string value : {"1g", "k", "1kk", "-1", "''", "9007199254740992k"}) {
        BOOST_TEST(refusal("size " + value + ";") == "\"size\" directive invalid value");
    }
    BOOST_TEST(refusal("size 1; size 1;") == "\"size\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(an_offset_has_k_m_and_g)
{
    BOOST_TEST(read("off 0;").off.value() == 0);
    BOOST_TEST(read("off 2g;").off.value() == off_t{2} << 30);
    BOOST_TEST(read("off 2K;").off.value() == 2048);
    for (const std::string value : {"1t", "g", "8589934592g", "''"}) {
        BOOST_TEST(refusal("off " + value + ";") == "\"off\" directive invalid value");
    }
    BOOST_TEST(refusal("off 1; off 1;") == "\"off\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(a_time_is_in_milliseconds_or_in_seconds)
{
    BOOST_TEST(read("msec 5;").msec.value() == 5000U);
    BOOST_TEST(read("msec '1m 5ms';").msec.value() == 60'005U);
    BOOST_TEST(read("sec 5;").sec.value().count == 5);
    BOOST_TEST(read("sec 1y;").sec.value().count == 31'536'000);
    for (const std::string value : {"msec 1y", "msec ''", "sec 5ms", "sec x", "msec -1"}) {
        const std::string name = value.substr(0, value.find(' '));
        BOOST_TEST(refusal(value + ";") == "\"" + name + "\" directive invalid value");
    }
    BOOST_TEST(refusal("msec 1; msec 1;") == "\"msec\" directive is duplicate");
    BOOST_TEST(refusal("sec 0; sec 0;") == "\"sec\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(buffers_are_a_number_and_a_size_neither_of_them_zero)
{
    const Bufs bufs = read("bufs 8 4k;").bufs.value();
    BOOST_TEST(bufs.num == 8);
    BOOST_TEST(bufs.size == 4096U);
    for (const std::string value : {"0 4k", "8 0", "x 4k", "8 x", "8k 4k", "8 4g", "'' 1"}) {
        BOOST_TEST(refusal("bufs " + value + ";") == "\"bufs\" directive invalid value");
    }
    BOOST_TEST(refusal("bufs 1 1; bufs 1 1;") == "\"bufs\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(an_enum_is_a_word_of_its_table_in_any_case_of_letters)
{
    BOOST_TEST((read("colour red;").colour.value() == Colour::red));
    BOOST_TEST((read("colour GREEN;").colour.value() == Colour::green));
    for (const std::string value : {"blue", "re", "redd"}) {
        BOOST_TEST(refusal("colour " + value + ";") == "invalid value \"" + value + "\"");
    }
    BOOST_TEST(refusal("colour '';") == "invalid value \"\"");
    BOOST_TEST(refusal("colour red; colour red;") == "\"colour\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(a_bitmask_is_any_words_of_its_table)
{
    BOOST_TEST(read("mask one;").mask == 0x1U);
    BOOST_TEST(read("mask TWO high one;").mask == 0x8000000000000003U);
    BOOST_TEST(read("mask one; mask two;").mask == 0x3U);
    BOOST_TEST(refusal("mask one three two;") == "invalid value \"three\"");
    BOOST_TEST(refusal("mask '';") == "invalid value \"\"");
}

BOOST_AUTO_TEST_CASE(setting_a_bit_twice_is_a_warning)
{
    BOOST_TEST(read("mask one two one;").mask == 0x3U);
    BOOST_TEST(ok);
    BOOST_TEST(said == "[warn] duplicate value \"one\" in nginx.conf:1\n");
    read("mask one;\nmask both;");
    BOOST_TEST(said == "[warn] duplicate value \"both\" in nginx.conf:2\n");
}

BOOST_AUTO_TEST_CASE(a_number_may_have_bounds)
{
    BOOST_TEST(read("between 2;").between.value() == 2);
    BOOST_TEST(read("between 9;").between.value() == 9);
    BOOST_TEST(refusal("between 1;") == "value must be between 2 and 9");
    BOOST_TEST(refusal("between 10;") == "value must be between 2 and 9");
    BOOST_TEST(refusal("between x;") == "\"between\" directive invalid number");

    BOOST_TEST(read("at_least 7;").at_least.value() == 7);
    BOOST_TEST(read("at_least 9223372036854775807;").at_least.value() == max_int);
    BOOST_TEST(refusal("at_least 6;") == "value must be equal to or greater than 7");
    BOOST_TEST(refusal("at_least 0; ") == "value must be equal to or greater than 7");
}

BOOST_AUTO_TEST_CASE(a_deprecated_directive_works_and_warns)
{
    BOOST_TEST(read("\nold_flag on;").old_flag.value() == true);
    BOOST_TEST(ok);
    BOOST_TEST(said == "[warn] the \"old\" directive is deprecated, use the \"new\" directive "
                       "instead in nginx.conf:2\n");
    BOOST_TEST(read("old_str a;").old_str.value() == "a");
    BOOST_TEST(said.starts_with("[warn] the \"old\" directive is deprecated"));
    BOOST_TEST(refusal("old_flag x;").starts_with("invalid value \"x\""));
}

BOOST_AUTO_TEST_CASE(a_helper_names_the_word_it_refuses)
{
    read("num 1;");
    Conf& cf = reader->cf;
    cf.args = {"directive", "first", "second"};
    reader->log.text.clear();
    BOOST_TEST(conf_invalid_value(cf) == conf_error);
    BOOST_TEST(conf_invalid_value(cf, 2) == conf_error);
    BOOST_TEST(reader->said() ==
               "[emerg] invalid value \"first\"\n[emerg] invalid value \"second\"\n");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
