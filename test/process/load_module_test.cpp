#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>

#include "core/module_signature.hpp"
#include "test/process/client.hpp"
#include "test/process/precondition.hpp"
#include "test/process/server.hpp"

namespace ngx::test::process {

namespace {

namespace fs = std::filesystem;

/// Returns the path of a file of modules that is built beside this program.
fs::path built(std::string_view name)
{
    return fs::read_symlink("/proc/self/exe").parent_path() / name;
}

/// Replaces a file by a rename, as an installation does: processes that use the old file keep it.
void install(const fs::path& from, const fs::path& to)
{
    const fs::path beside = to.string() + ".new";
    fs::copy_file(from, beside, fs::copy_options::overwrite_existing);
    fs::rename(beside, to);
}

/// A directory with a file of modules, m.so.
struct ModuleDir {
    explicit ModuleDir(std::string_view name) { install(built(name), file()); }

    [[nodiscard]] fs::path file() const { return dir / "m.so"; }
    [[nodiscard]] std::string load() const { return "load_module " + file().string() + ";\n"; }

    TempDir dir{};
};

/// Returns whether a process has mapped the file, or an old one of this name.
bool has_loaded(pid_t pid, const fs::path& file)
{
    return read_file(fmt::format("/proc/{}/maps", pid)).find(file.string()) != std::string::npos;
}

ServerConf serving(const Port& port, std::string main, std::string_view text)
{
    ServerConf conf;
    conf.stream = server_block(port, fmt::format("return \"{}\";", text));
    conf.main = std::move(main);
    conf.log_level = "notice";
    return conf;
}

/// The result of -t for a file of modules.
struct Tried {
    explicit Tried(std::string_view directives)
    {
        write_file(dir / "nginx.conf",
                   fmt::format("pid p; error_log stderr;\n{}\nevents {{}}\n", directives));
        const RunResult result = run({setup().binary, "-t", "-p", dir.path().string() + "/", "-c",
                                      "nginx.conf", "-e", "stderr"});
        accepted = result.status.exited_with(0);
        std::ostringstream out;  // with the status: a process that was killed has no message
        out << result.err << result.status;
        text = out.str();
    }

    [[nodiscard]] bool says(std::string_view what) const
    {
        return text.find(what) != std::string::npos;
    }

    TempDir dir{};
    bool accepted = false;
    std::string text{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(load_module)

BOOST_AUTO_TEST_CASE(modules_of_several_types_in_one_file_work_like_those_that_are_built_in)
{
    const Port port;
    const ModuleDir modules("say1.so");
    Server server(serving(port, modules.load() + "say hello;", "version $say_version"));
    BOOST_TEST(Client(port).receive_all() == "version 1");

    const std::string log = server.log();
    const std::size_t module = log.find("say module version 1: hello");
    BOOST_TEST_REQUIRE(module != std::string::npos);
    BOOST_TEST(log.find("say process version 1: hello", module) != std::string::npos);
    BOOST_TEST(server.stop(SIGQUIT).exited_with(0));
    BOOST_TEST(count(server.log(), "say exit version 1: hello") == 1U);
}

BOOST_AUTO_TEST_CASE(a_reload_loads_and_unloads)
{
    const Port port;
    const ModuleDir modules("say1.so");
    const ServerConf without = serving(port, "", "without");
    ServerConf conf = without;
    conf.workers = 1;
    Server server(conf);
    BOOST_TEST(!has_loaded(server.pid(), modules.file()));

    conf = serving(port, modules.load(), "with $say_version");
    conf.workers = 1;
    server.reload(conf);
    BOOST_TEST(Client(port).receive_all() == "with 1");
    BOOST_TEST(has_loaded(server.pid(), modules.file()));

    conf = without;
    conf.workers = 1;
    server.reload(conf);
    BOOST_TEST(Client(port).receive_all() == "without");
    BOOST_TEST(!has_loaded(server.pid(), modules.file()));
    server.wait_for_workers(1);
    BOOST_TEST(!has_loaded(server.workers().at(0), modules.file()));
}

BOOST_AUTO_TEST_CASE(a_file_that_was_replaced_is_loaded_by_the_next_reload)
{
    const Port port;
    const ModuleDir modules("say1.so");
    ServerConf conf = serving(port, modules.load(), "version $say_version");
    conf.workers = 1;
    Server server(conf);
    for (const std::string version : {"2", "1", "2"}) {
        install(built("say" + version + ".so"), modules.file());
        server.reload(conf);
        BOOST_TEST(Client(port).receive_all() == "version " + version);
    }

    // Loading the same file again loads the same module.
    server.reload(conf);
    BOOST_TEST(Client(port).receive_all() == "version 2");
    const std::string maps = read_file(server.proc("maps"));
    BOOST_TEST(count(maps, modules.file().string() + " (deleted)") == 0U);
}

BOOST_AUTO_TEST_CASE(without_a_master_a_module_stays_until_its_cycle_is_gone)
{
    const Port port;
    const ModuleDir modules("say1.so");
    Server server(serving(port, modules.load(), "version $say_version"));
    install(built("say2.so"), modules.file());
    server.reload(serving(port, modules.load(), "version $say_version"));
    BOOST_TEST(Client(port).receive_all() == "version 2");
    BOOST_TEST(count(read_file(server.proc("maps")), modules.file().string() + " (deleted)") > 0U);

    // The exit hook of the old version was called, that of the new one not.
    BOOST_TEST(count(server.log(), "say exit version 1: ") == 1U);
    BOOST_TEST(count(server.log(), "say exit version 2: ") == 0U);

    // Each reload frees the cycles that are no longer used, except the previous one.
    server.reload(serving(port, "", "without"));
    server.reload(serving(port, "", "without"));
    BOOST_TEST(Client(port).receive_all() == "without");
    BOOST_TEST(!has_loaded(server.pid(), modules.file()));
    BOOST_TEST(count(server.log(), "say exit version 2: ") == 1U);
}

BOOST_AUTO_TEST_CASE(a_reload_that_is_refused_leaves_the_modules_as_they_were)
{
    const Port port;
    const ModuleDir modules("say1.so");
    ServerConf conf = serving(port, modules.load(), "version $say_version");
    conf.workers = 1;
    Server server(conf);
    install(built("say2.so"), modules.file());

    server.allow("is already loaded");
    server.reload_refused(serving(port, modules.load() + modules.load(), "x").text(),
                          "module \"ngx_say_module\" is already loaded in ");
    BOOST_TEST(Client(port).receive_all() == "version 1");
    server.reload(conf);
    BOOST_TEST(Client(port).receive_all() == "version 2");
}

BOOST_AUTO_TEST_CASE(a_relative_path_starts_at_the_prefix)
{
    TempDir dir;
    install(built("say1.so"), dir / "m.so");
    write_file(dir / "conf/nginx.conf", "pid p; load_module m.so; say so; events {}\n");
    const RunResult result = run({setup().binary, "-t", "-p", dir.path().string() + "/", "-c",
                                  "conf/nginx.conf", "-e", "stderr"});
    BOOST_TEST(result.status.exited_with(0), result.err);
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_module_is_refused_before_it_is_loaded)
{
    const std::string file = built("fault.so").string();
    const Tried other("load_module " + file + ";");
    BOOST_TEST(!other.accepted);
    BOOST_TEST(other.says("[emerg] "), other.text);
    BOOST_TEST(other.says("module \"" + file + "\" has no signature of ngxx in "), other.text);

    const Tried text("load_module nginx.conf;");
    BOOST_TEST(!text.accepted);
    BOOST_TEST(text.says("nginx.conf\" is not a shared object in "), text.text);
}

BOOST_AUTO_TEST_CASE(a_module_of_nginx_is_reported_as_such, *precondition(nginx_is_there))
{
    const std::string file = "/usr/lib/nginx/modules/ngx_stream_module.so";
    const Tried nginxs("load_module " + file + ";");
    BOOST_TEST(!nginxs.accepted);
    BOOST_TEST(nginxs.says("module \"" + file + "\" is a module of nginx, not of ngxx in "),
               nginxs.text);
}

// A sanitizer has a second symbol for each symbol, which is resolved when the file is loaded.
BOOST_AUTO_TEST_CASE(a_module_without_its_table_is_refused, *precondition(no_sanitizer))
{
    std::string bytes = read_file(built("say1.so"));
    const std::string name("ngx_modules\0", 12);  // may be the end of a longer name
    for (std::size_t at = bytes.find(name); at != bytes.npos; at = bytes.find(name)) {
        bytes[at] = 'x';
    }
    TempDir dir;
    write_file(dir / "m.so", bytes);
    const Tried tried("load_module " + (dir / "m.so").string() + ";");
    BOOST_TEST(!tried.accepted);
    BOOST_TEST(tried.says("m.so\", \"ngx_modules\" failed ("), tried.text);
}

BOOST_AUTO_TEST_CASE(a_module_that_is_cut_off_is_refused_wherever_it_ends)
{
    const std::string bytes = read_file(built("say1.so"));
    TempDir dir;
    // The loaded part ends after the signature; debug information follows.
    const std::size_t loaded = bytes.find(module_signature_mark);
    BOOST_TEST_REQUIRE(loaded != bytes.npos);
    for (const std::size_t part : {1UL, 10UL, 50UL, 100UL}) {
        write_file(dir / "m.so", bytes.substr(0, loaded * part / 100));
        const Tried tried("load_module " + (dir / "m.so").string() + ";");
        BOOST_TEST(!tried.accepted);
        BOOST_TEST(count(tried.text, " [emerg] ") == 1U, tried.text);
    }
}

BOOST_AUTO_TEST_CASE(a_reload_to_a_file_that_is_no_module_leaves_the_server_as_it_was)
{
    const Port port;
    ServerConf conf = serving(port, "", "hello");
    conf.workers = 1;
    Server server(conf);
    server.allow("has no signature of ngxx");
    server.reload_refused("load_module " + built("fault.so").string() + ";\n" + conf.text(),
                          "has no signature of ngxx in ");
    BOOST_TEST(ask(port) == "hello");
}

BOOST_AUTO_TEST_CASE(a_module_must_come_before_the_blocks_that_need_it)
{
    const ModuleDir modules("say1.so");
    const Tried late("events {}\n" + modules.load());
    BOOST_TEST(!late.accepted);
    BOOST_TEST(late.says("\"load_module\" directive is specified too late in "), late.text);
}

BOOST_AUTO_TEST_CASE(a_module_that_was_built_otherwise_is_refused_with_what_differs)
{
    const std::string gcc = "\ncompiler=";
    std::string bytes = read_file(built("say1.so"));
    const std::size_t mark = bytes.find("[ngxx module signature]\n");
    BOOST_TEST_REQUIRE(mark != std::string::npos);
    TempDir dir;
    const std::string load = "load_module " + (dir / "m.so").string() + ";";

    const auto changed = [&](std::string_view part, char to) {
        std::string copy = bytes;
        const std::size_t value = copy.find(part, mark) + part.size();
        copy[value] = copy[value] == to ? 'y' : to;
        write_file(dir / "m.so", copy);
        return Tried(load);
    };

    const Tried version = changed("\nversion=", '9');
    BOOST_TEST(!version.accepted);
    BOOST_TEST(version.says("m.so\" version 9."), version.text);
    BOOST_TEST(version.says(" instead of 0."), version.text);

    for (const std::string part :
         {"compiler", "C++ standard", "C++ library", "Boost", "fmt", "sanitizer",
          "option with_debug", "option stream", "size of Module", "size of Cycle", "size of Conf",
          "size of Listening", "size of Connection", "size of Event"}) {
        const Tried tried = changed("\n" + part + "=", 'x');
        BOOST_TEST(!tried.accepted, part);
        BOOST_TEST(tried.says("m.so\" is not binary compatible: " + part + " is \"x"), tried.text);
        BOOST_TEST(tried.says("\" instead of \""), tried.text);
        BOOST_TEST(!tried.says("; "), tried.text);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test::process
