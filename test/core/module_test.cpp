#include "core/module.hpp"

#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// A cycle with modules of the test's, and perhaps a cycle before it.
struct Modules {
    explicit Modules(std::vector<Module*> list, Cycle* old = nullptr)
        : table(std::move(list))
        , cycle(create_cycle(&log.log))
    {
        cycle->modules = table.data();
        cycle->modules_n = table.size();
        cycle->old_cycle = old;
    }
    Modules(const Modules&) = delete;
    Modules& operator=(const Modules&) = delete;
    ~Modules() { destroy_cycle_pools(cycle); }

    TestLog log{log_debug_all};
    std::vector<Module*> table;
    Cycle* cycle;
};

std::string called;

Rc init_fine(Cycle&)
{
    called += 'a';
    return Rc::ok;
}

Rc init_failed(Cycle&)
{
    called += 'b';
    return Rc::error;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(module)

BOOST_AUTO_TEST_CASE(the_table_gives_each_module_its_name_and_index)
{
    BOOST_TEST((preinit_modules() == Rc::ok));
    std::size_t n = 0;
    for (; modules[n]; n++) {
        BOOST_TEST(modules[n]->index == n);
        BOOST_TEST(modules[n]->name == module_names[n]);
        BOOST_TEST(modules[n]->signature == &module_signature);
    }
    BOOST_TEST(module_names[n].empty());
    BOOST_TEST(max_module == n + max_dynamic_modules);
    BOOST_TEST(&core_module == modules[0]);
    BOOST_TEST(core_module.name == "ngx_core_module");
    BOOST_TEST(errlog_module.index == 1U);
    BOOST_TEST(conf_module.index == 2U);
    BOOST_TEST(events_module.index == 3U);
    BOOST_TEST(event_core_module.index == 4U);
}

BOOST_AUTO_TEST_CASE(a_cycle_has_the_table_with_room_for_more)
{
    BOOST_TEST((preinit_modules() == Rc::ok));
    Modules owner({});
    BOOST_TEST((cycle_modules(*owner.cycle) == Rc::ok));

    const auto list = modules_of(*owner.cycle);
    BOOST_TEST(list.size() + max_dynamic_modules == max_module);
    for (std::size_t i = 0; i < list.size(); i++) {
        BOOST_TEST(list[i] == modules[i]);
    }
    for (std::size_t i = list.size(); i <= max_module; i++) {
        BOOST_TEST_REQUIRE(owner.cycle->modules[i] == nullptr);
    }
}

BOOST_AUTO_TEST_CASE(init_stops_at_the_first_module_that_fails)
{
    Module fine{.type = ModuleType::core, .init_module = init_fine};
    Module none{.type = ModuleType::conf};
    Module bad{.type = ModuleType::event, .init_module = init_failed};

    called.clear();
    Modules good({&fine, &none, &fine});
    BOOST_TEST((init_modules(*good.cycle) == Rc::ok));
    BOOST_TEST(called == "aa");

    called.clear();
    Modules failing({&fine, &bad, &fine});
    BOOST_TEST((init_modules(*failing.cycle) == Rc::error));
    BOOST_TEST(called == "ab");
}

BOOST_AUTO_TEST_CASE(modules_of_a_type_are_counted_in_their_order)
{
    Module a{.type = ModuleType::event};
    Module b{.type = ModuleType::stream};
    Module c{.type = ModuleType::event};
    Module d{.type = ModuleType::event};
    Modules owner({&a, &b, &c, &d});
    BOOST_TEST(!owner.cycle->modules_used);

    BOOST_TEST(count_modules(*owner.cycle, ModuleType::event) == 3U);
    BOOST_TEST(a.ctx_index == 0U);
    BOOST_TEST(b.ctx_index == module_unset_index);
    BOOST_TEST(c.ctx_index == 1U);
    BOOST_TEST(d.ctx_index == 2U);
    BOOST_TEST(owner.cycle->modules_used);
    BOOST_TEST(count_modules(*owner.cycle, ModuleType::stream) == 1U);
    BOOST_TEST(count_modules(*owner.cycle, ModuleType::conf) == 1U);
}

BOOST_AUTO_TEST_CASE(an_index_once_given_stays_and_a_new_module_takes_a_free_one)
{
    Module a{.ctx_index = 2, .type = ModuleType::event};
    Module b{.type = ModuleType::event};
    Module c{.ctx_index = 0, .type = ModuleType::event};
    Module d{.type = ModuleType::event};
    Modules owner({&a, &b, &c, &d});
    BOOST_TEST(count_modules(*owner.cycle, ModuleType::event) == 4U);
    BOOST_TEST(a.ctx_index == 2U);
    BOOST_TEST(b.ctx_index == 1U);
    BOOST_TEST(c.ctx_index == 0U);
    BOOST_TEST(d.ctx_index == 3U);
}

BOOST_AUTO_TEST_CASE(an_index_of_the_cycle_before_is_not_given_again)
{
    Module kept{.ctx_index = 0, .type = ModuleType::event};
    Module gone{.ctx_index = 1, .type = ModuleType::event};
    Module late{.ctx_index = 4, .type = ModuleType::event};
    Module added{.type = ModuleType::event};
    Modules before({&kept, &gone, &late});
    Modules after({&kept, &added}, before.cycle);

    BOOST_TEST(count_modules(*after.cycle, ModuleType::event) == 5U);
    BOOST_TEST(kept.ctx_index == 0U);
    BOOST_TEST(added.ctx_index == 2U);
}

BOOST_AUTO_TEST_CASE(the_next_index_is_the_first_that_is_free_in_both_cycles)
{
    Module a{.index = 0, .type = ModuleType::core};
    Module b{.index = 1, .type = ModuleType::core};
    Module c{.index = 3, .type = ModuleType::event};
    Modules before({&a, &b});
    Modules after({&a, &c}, before.cycle);
    BOOST_TEST(module_index(*before.cycle) == 2U);
    BOOST_TEST(module_index(*after.cycle) == 2U);
    Modules none({});
    BOOST_TEST(module_index(*none.cycle) == 0U);
}

BOOST_AUTO_TEST_CASE(the_next_ctx_index_is_sought_among_its_type_from_a_start)
{
    Module a{.ctx_index = 0, .type = ModuleType::event};
    Module b{.ctx_index = 1, .type = ModuleType::stream};
    Module c{.ctx_index = 2, .type = ModuleType::event};
    Module d{.ctx_index = 3, .type = ModuleType::event};
    Modules before({&d});
    Modules after({&a, &b, &c}, before.cycle);

    BOOST_TEST(module_ctx_index(*after.cycle, ModuleType::event, 0) == 1U);
    BOOST_TEST(module_ctx_index(*after.cycle, ModuleType::event, 2) == 4U);
    BOOST_TEST(module_ctx_index(*after.cycle, ModuleType::stream, 0) == 0U);
    BOOST_TEST(module_ctx_index(*after.cycle, ModuleType::stream, 1) == 2U);
    BOOST_TEST(module_ctx_index(*after.cycle, ModuleType::stream, 7) == 7U);
}

BOOST_AUTO_TEST_CASE(a_type_spells_its_name_in_memory)
{
    const auto spelt = [](ModuleType type) {
        return std::string(reinterpret_cast<const char*>(&type), sizeof(type));
    };
    BOOST_TEST(spelt(ModuleType::core) == "CORE");
    BOOST_TEST(spelt(ModuleType::conf) == "CONF");
    BOOST_TEST(spelt(ModuleType::event) == "EVNT");
    BOOST_TEST(spelt(ModuleType::stream) == "STRM");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
