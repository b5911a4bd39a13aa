#include "core/module.hpp"

#include <algorithm>
#include <cstring>
#include <link.h>
#include <list>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "auto_build.hpp"
#include "core/conf_file.hpp"
#include "core/errlog_module.hpp"
#include "core/module_signature.hpp"
#include "core/string.hpp"
#include "event/event_core_module.hpp"
#include "test/core/fixture.hpp"

namespace ngx::test {

namespace {

/// A cycle with the test's modules, and perhaps an old cycle.
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

/// A cycle whose configuration is being read, with the server's table of modules.
struct Configured {
    Configured() : owner({})
    {
        preinit_modules();
        cycle_modules(*owner.cycle);
        owner.cycle->conf_ctx = owner.cycle->pool->pcalloc<void*>(max_module);
        cf.cycle = owner.cycle;
        cf.pool = owner.cycle->pool;
        cf.log = owner.cycle->log;
    }

    Rc add(Module& module, const char* const* order = nullptr)
    {
        return add_module(cf, "/dir/m.so", module, order);
    }

    [[nodiscard]] std::size_t place_of(const Module& module) const
    {
        const auto list = modules_of(*owner.cycle);
        return static_cast<std::size_t>(std::ranges::find(list, &module) - list.begin());
    }

    Modules owner;
    Conf cf{};
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
    preinit_modules();
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
    preinit_modules();
    Modules owner({});
    cycle_modules(*owner.cycle);

    const auto list = modules_of(*owner.cycle);
    BOOST_TEST(list.size() + max_dynamic_modules == max_module);
    for (std::size_t i = 0; i < list.size(); i++) {
        BOOST_TEST(list[i] == modules[i]);
    }
    for (std::size_t i = list.size(); i <= max_module; i++) {
        BOOST_TEST_REQUIRE(owner.cycle->modules[i] == nullptr);
    }
}

BOOST_AUTO_TEST_CASE(a_module_is_added_behind_the_last_with_the_first_free_index)
{
    Configured conf;
    const std::size_t n = conf.owner.cycle->modules_n;
    Module one{.name = "ngx_one_module", .type = ModuleType::event};
    Module two{.name = "ngx_two_module", .type = ModuleType::event};
    BOOST_TEST((conf.add(one) == Rc::ok));
    BOOST_TEST((conf.add(two) == Rc::ok));
    BOOST_TEST(conf.place_of(one) == n);
    BOOST_TEST(conf.place_of(two) == n + 1);
    BOOST_TEST(one.index == n);
    BOOST_TEST(two.index == n + 1);
    BOOST_TEST(conf.owner.cycle->modules_n == n + 2);
    BOOST_TEST(conf.owner.cycle->modules[n + 2] == nullptr);
}

BOOST_AUTO_TEST_CASE(a_module_is_added_before_those_that_stand_behind_it_in_the_order)
{
    Configured conf;
    Module one{.name = "ngx_one_module", .type = ModuleType::event};
    const std::size_t before = conf.place_of(event_core_module);
    constexpr const char* order[] = {"ngx_events_module", "ngx_one_module", "ngx_nobodys_module",
                                     "ngx_event_core_module", nullptr};
    BOOST_TEST((conf.add(one, order) == Rc::ok));
    BOOST_TEST(conf.place_of(one) == before);
    BOOST_TEST(conf.place_of(event_core_module) == before + 1);
    BOOST_TEST(event_core_module.index == before);

    // An order without the module has no effect.
    Module two{.name = "ngx_two_module", .type = ModuleType::event};
    BOOST_TEST((conf.add(two, order) == Rc::ok));
    BOOST_TEST(conf.place_of(two) == conf.owner.cycle->modules_n - 1);
}

BOOST_AUTO_TEST_CASE(an_index_that_an_older_cycle_has_given_is_kept)
{
    Configured conf;
    Module one{.index = 77, .name = "ngx_one_module", .type = ModuleType::event};
    BOOST_TEST((conf.add(one) == Rc::ok));
    BOOST_TEST(one.index == 77U);
}

BOOST_AUTO_TEST_CASE(a_module_is_not_added_twice)
{
    Configured conf;
    Module one{.name = "ngx_event_core_module", .type = ModuleType::event};
    BOOST_TEST((conf.add(one) == Rc::error));
    BOOST_TEST(conf.owner.log.text.find("module \"ngx_event_core_module\" is already loaded") !=
               std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_number_of_added_modules_is_limited)
{
    Configured conf;
    std::vector<std::string> names;
    for (std::size_t i = 0; i <= max_dynamic_modules; i++) {
        names.push_back("ngx_" + std::to_string(i) + "_module");
    }
    std::list<Module> added;
    for (const std::string& name : names) {
        Module& one = added.emplace_back(Module{.name = name, .type = ModuleType::event});
        BOOST_TEST((conf.add(one) == (added.size() <= max_dynamic_modules ? Rc::ok : Rc::error)));
    }
    BOOST_TEST(conf.owner.log.text.find("too many modules loaded") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_core_module_that_is_added_has_its_configuration_at_once)
{
    Configured conf;
    static int value;
    constexpr CoreModule good{.create_conf = [](Cycle&) -> void* { return &value; }};
    Module one{.name = "ngx_one_module", .ctx = &good, .type = ModuleType::core};
    BOOST_TEST((conf.add(one) == Rc::ok));
    BOOST_TEST(conf.owner.cycle->conf_ctx[one.index] == &value);

    constexpr CoreModule bad{.create_conf = [](Cycle&) -> void* { return nullptr; }};
    Module two{.name = "ngx_two_module", .ctx = &bad, .type = ModuleType::core};
    BOOST_TEST((conf.add(two) == Rc::error));

    constexpr CoreModule none{};
    Module three{.name = "ngx_three_module", .ctx = &none, .type = ModuleType::core};
    BOOST_TEST((conf.add(three) == Rc::ok));
}

BOOST_AUTO_TEST_CASE(a_module_of_another_build_is_not_added)
{
    Configured conf;
    ModuleSignature other = module_signature;
    const std::size_t size = std::string_view(other.text.data()).find("size of Event=");
    other.text[size + std::string_view("size of Event=").size()] = '1';
    Module one{.name = "ngx_one_module", .signature = &other, .type = ModuleType::event};
    BOOST_TEST((conf.add(one) == Rc::error));
    const std::string wanted =
        "module \"/dir/m.so\" is not binary compatible: size of Event is \"1";
    BOOST_TEST(conf.owner.log.text.find(wanted) != std::string::npos, conf.owner.log.text);

    // Parts that the signature does not have are unknown, and other text is ignored.
    ModuleSignature empty{};
    Module two{.name = "ngx_two_module", .signature = &empty, .type = ModuleType::event};
    BOOST_TEST((conf.add(two) == Rc::error));
    BOOST_TEST(conf.owner.log.text.find("module \"/dir/m.so\" version unknown instead of ") !=
               std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_signature_is_found_in_the_bytes_of_a_file)
{
    const std::string mark(module_signature_mark);
    BOOST_TEST(find_module_signature("") == "");
    BOOST_TEST(find_module_signature("nothing") == "");
    const std::string inside = "xx" + mark + "a=b\n" + std::string(1, '\0') + "xx";
    BOOST_TEST(find_module_signature(inside) == mark + "a=b\n");
    BOOST_TEST(find_module_signature(mark) == mark);
    const std::string endless = mark + std::string(4096, 'x');
    BOOST_TEST(find_module_signature(endless).size() == sizeof(ModuleSignature::text));
}

/// Returns the bytes of a shared object with one segment: `content` and `more` bytes.
std::string shared_object(std::string_view content, std::size_t more = 0)
{
    struct {
        ElfW(Ehdr) header{};
        ElfW(Phdr) segment{};
    } object;
    std::memcpy(object.header.e_ident, ELFMAG, SELFMAG);
    object.header.e_ident[EI_CLASS] = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    object.header.e_type = ET_DYN;
    object.header.e_phoff = sizeof(object.header);
    object.header.e_phnum = 1;
    object.segment.p_type = PT_LOAD;
    object.segment.p_filesz = sizeof(object) + content.size() + more;
    return std::string(reinterpret_cast<const char*>(&object), sizeof(object)).append(content);
}

/// Returns the message for a file that is to be loaded; empty if it may be loaded.
std::string fault_of(const std::string& path)
{
    Configured conf;
    const Rc rc = check_module_file(conf.cf, path);
    const std::string said = messages(conf.owner.log.text);
    BOOST_TEST((rc == Rc::ok) == said.empty());
    const std::string start = "[emerg] module \"" + path + "\" ";
    return said.starts_with(start) ? said.substr(start.size()) : said;
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_module_of_this_server_is_refused_with_the_reason)
{
    const TempDir dir;
    const std::string path = dir / "file";
    const auto fault = [&](std::string_view bytes) {
        write_file(path, bytes);
        return fault_of(path);
    };
    const std::string signature = module_signature.text.data();

    BOOST_TEST(fault(shared_object(signature)) == "");
    BOOST_TEST(fault("") == "is empty\n");
    BOOST_TEST(fault("text") == "is not a shared object\n");
    BOOST_TEST(fault(std::string("\x7f") + "ELF") == "is not a shared object\n");
    BOOST_TEST(fault(shared_object("").replace(EI_CLASS, 1, 1, '\7')) ==
               "is not a shared object\n");
    BOOST_TEST(fault(shared_object(signature).substr(0, sizeof(ElfW(Ehdr)))) == "is cut off\n");
    BOOST_TEST(fault(shared_object(signature, 1)) == "is cut off\n");
    BOOST_TEST(fault(shared_object("ngx_modules")) == "has no signature of ngxx\n");
    BOOST_TEST(fault(shared_object("ngx_module_names")) == "is a module of nginx, not of ngxx\n");
    BOOST_TEST(fault(shared_object(std::string(module_signature_mark) + "version=0\n")) ==
               fmt::format("version 0 instead of {}\n", server_version));

    const std::string other_api =
        std::string(module_signature_mark) + "module API=999\nversion=0\n";
    BOOST_TEST(fault(shared_object(other_api)) ==
               fmt::format("is for module API 999 instead of {}\n", module_api_version));
}

BOOST_AUTO_TEST_CASE(a_file_without_an_end_is_refused_at_once)
{
    const TempDir dir;
    const std::string irregular = "is not a regular file\n";
    BOOST_TEST(fault_of(dir.path()) == irregular);
    BOOST_TEST(fault_of("/dev/zero") == irregular);
    const std::string fifo = dir / "fifo";
    BOOST_TEST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    BOOST_TEST(fault_of(fifo) == irregular);

    const std::string sparse = dir / "sparse";
    write_file(sparse, shared_object(module_signature.text.data()));
    BOOST_TEST_REQUIRE(::truncate(sparse.c_str(), std::int64_t{20} << 30) == 0);
    BOOST_TEST(fault_of(sparse) == "is larger than 256 MiB\n");

    BOOST_TEST(fault_of("/nowhere/file") ==
               "[emerg] dlopen() \"/nowhere/file\" failed (/nowhere/file: cannot open shared "
               "object file: No such file or directory)\n");
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

BOOST_AUTO_TEST_CASE(an_index_of_the_old_cycle_is_not_reused)
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
