#include "core/core_module.hpp"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "auto_build.hpp"
#include "core/nginx.hpp"
#include "os/unix/os.hpp"
#include "test/core/fixture.hpp"
#include "test/support/cycle.hpp"

namespace ngx::test {

namespace {

/// Reads a text and initialises the core module's configuration.
struct Core {
    explicit Core(std::string_view text) : cycle(std::string(text) + "\nevents {}", Start::conf)
    {
        BOOST_TEST_REQUIRE(cycle.ok(), cycle.log());
    }

    const CoreConf* operator->() const { return get_conf<CoreConf>(cycle->conf_ctx); }

    [[nodiscard]] std::string path(std::string_view name) const
    {
        return (cycle.dir() / name).string();
    }

    TestCycle cycle;
};

/// Returns the message for directives that must be refused, without level and place.
std::string refusal(const std::string& text)
{
    Reader reader({&core_module});
    if (reader.parse(text)) {
        return "not refused";
    }
    const std::string said = reader.said();
    constexpr std::string_view before = "[emerg] ";
    constexpr std::string_view behind = " in nginx.conf:1\n";
    BOOST_TEST((said.starts_with(before) && said.ends_with(behind)), said);
    return said.substr(before.size(), said.size() - before.size() - behind.size());
}

/// Returns the processors of a mask, "0 2 ".
std::string cpus(const cpu_set_t& mask)
{
    std::string text;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        text += CPU_ISSET(cpu, &mask) ? std::to_string(cpu) + " " : "";
    }
    return text;
}

/// Returns the masks of worker_cpu_affinity: "0 2 |1 |".
std::string affinity(const std::string& arguments)
{
    const Core core("worker_cpu_affinity " + arguments + ";");
    std::string text = core->cpu_affinity_auto ? "auto " : "";
    for (const cpu_set_t& mask : core->cpu_affinity) {
        text += cpus(mask) + "|";
    }
    return text;
}

/// Returns the processors of the first workers: "0 |1 |1 |", or "any|" for a worker without a mask.
std::string workers(const std::string& directives, std::size_t n)
{
    const Core core(directives);
    std::string text;
    for (std::size_t worker = 0; worker < n; worker++) {
        const cpu_set_t* const mask = get_cpu_affinity(*core.cycle, worker);
        text += (mask ? cpus(*mask) : "any") + "|";
    }
    return text;
}

boost::test_tools::assertion_result is_root(boost::unit_test::test_unit_id)
{
    return ::geteuid() == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(the_core_module)

BOOST_AUTO_TEST_SUITE(directives)

BOOST_AUTO_TEST_CASE(what_is_not_set_has_its_default)
{
    const Core core("");
    BOOST_TEST(core->daemon.value() == true);
    BOOST_TEST(core->master.value() == true);
    BOOST_TEST(core->timer_resolution.value() == 0U);
    BOOST_TEST(core->shutdown_timeout.value() == 0U);
    BOOST_TEST(core->worker_processes.value() == 1);
    BOOST_TEST((core->debug_points.value() == DebugPoints::off));
    BOOST_TEST(!core->rlimit_nofile.has_value());
    BOOST_TEST(!core->rlimit_core.has_value());
    BOOST_TEST(!core->working_directory.has_value());
    BOOST_TEST(core->priority == 0);
    BOOST_TEST(core->cpu_affinity.empty());
    BOOST_TEST(core->env.empty());
    BOOST_TEST(core->pid.value() == default_pid_path);
    BOOST_TEST(core->oldpid == std::string(default_pid_path) + ".oldbin");
    BOOST_TEST(core.cycle->lock_file == std::string(default_lock_path) + ".accept");
}

BOOST_AUTO_TEST_CASE(plain_values_are_stored)
{
    const Core core("daemon off; master_process off; timer_resolution 100ms; "
                    "worker_shutdown_timeout 1m; debug_points stop; worker_rlimit_nofile 1000; "
                    "worker_rlimit_core 2g; working_directory /tmp;");
    BOOST_TEST(core->daemon.value() == false);
    BOOST_TEST(core->master.value() == false);
    BOOST_TEST(core->timer_resolution.value() == 100U);
    BOOST_TEST(core->shutdown_timeout.value() == 60'000U);
    BOOST_TEST((core->debug_points.value() == DebugPoints::stop));
    BOOST_TEST(core->rlimit_nofile.value() == 1000);
    BOOST_TEST(core->rlimit_core.value() == off_t{2} << 30);
    BOOST_TEST(core->working_directory.value() == "/tmp");
    BOOST_TEST((Core("debug_points abort;")->debug_points.value() == DebugPoints::abort));
}

BOOST_AUTO_TEST_CASE(malformed_plain_values_are_refused)
{
    const std::string on_off = ", it must be \"on\" or \"off\"";
    const std::vector<std::pair<std::string, std::string>> table = {
        {"daemon yes;", "invalid value \"yes\" in \"daemon\" directive" + on_off},
        {"master_process 1;", "invalid value \"1\" in \"master_process\" directive" + on_off},
        {"timer_resolution 1y;", "\"timer_resolution\" directive invalid value"},
        {"worker_shutdown_timeout x;", "\"worker_shutdown_timeout\" directive invalid value"},
        {"debug_points off;", "invalid value \"off\""},
        {"worker_rlimit_nofile 1k;", "\"worker_rlimit_nofile\" directive invalid number"},
        {"worker_rlimit_core x;", "\"worker_rlimit_core\" directive invalid value"},
        {"env;", "invalid number of arguments in \"env\" directive"},
        {"user a b c;", "invalid number of arguments in \"user\" directive"},
    };
    for (const auto& [text, complaint] : table) {
        BOOST_TEST(refusal(text) == complaint);
    }
    for (const std::string text :
         {"daemon on", "master_process on", "timer_resolution 1", "pid p", "lock_file l",
          "worker_processes 1", "debug_points stop", "worker_priority 1", "worker_cpu_affinity 1",
          "worker_rlimit_nofile 1", "worker_rlimit_core 1", "worker_shutdown_timeout 1",
          "working_directory /"}) {
        BOOST_TEST(refusal(text + "; " + text + ";") ==
                   "\"" + text.substr(0, text.find(' ')) + "\" directive is duplicate");
    }
}

BOOST_AUTO_TEST_CASE(file_names_are_relative_to_the_prefix_and_have_defaults)
{
    const Core core("pid run/p; lock_file run/l;");
    BOOST_TEST(core->pid.value() == core.path("run/p"));
    BOOST_TEST(core->oldpid == core.path("run/p.oldbin"));
    BOOST_TEST(core.cycle->lock_file == core.path("run/l.accept"));
    BOOST_TEST(Core("pid /a/b;")->pid.value() == "/a/b");

    const Core empty("pid ''; lock_file '';");
    BOOST_TEST(empty->pid.value() == default_pid_path);
    BOOST_TEST(empty.cycle->lock_file == std::string(default_lock_path) + ".accept");
}

BOOST_AUTO_TEST_CASE(workers_are_a_number_or_as_many_as_processors)
{
    BOOST_TEST(Core("worker_processes 3;")->worker_processes.value() == 3);
    BOOST_TEST(Core("worker_processes 0;")->worker_processes.value() == 0);
    BOOST_TEST(Core("worker_processes auto;")->worker_processes.value() == ncpu);
    for (const std::string value : {"-1", "x", "''", "1k", "Auto", "9223372036854775808"}) {
        BOOST_TEST(refusal("worker_processes " + value + ";") ==
                   "\"worker_processes\" directive invalid value");
    }
}

BOOST_AUTO_TEST_CASE(a_priority_may_have_a_sign)
{
    BOOST_TEST(Core("worker_priority 5;")->priority == 5);
    BOOST_TEST(Core("worker_priority +5;")->priority == 5);
    BOOST_TEST(Core("worker_priority -5;")->priority == -5);
    BOOST_TEST(Core("worker_priority -0;")->priority == 0);
    for (const std::string value : {"x", "''", "-", "+", "--5", "+-5", "5-"}) {
        BOOST_TEST(refusal("worker_priority " + value + ";") ==
                   "\"worker_priority\" directive invalid number");
    }
}

BOOST_AUTO_TEST_CASE(a_processor_mask_has_its_first_processor_last)
{
    BOOST_TEST(affinity("1") == "0 |");
    BOOST_TEST(affinity("0101") == "0 2 |");
    BOOST_TEST(affinity("01 10 11") == "0 |1 |0 1 |");
    BOOST_TEST(affinity("'1000 0001'") == "0 7 |");
    BOOST_TEST(affinity("0 ''") == "||");
    BOOST_TEST(affinity("1" + std::string(CPU_SETSIZE - 1, '0')) ==
               std::to_string(CPU_SETSIZE - 1) + " |");
}

BOOST_AUTO_TEST_CASE(auto_is_a_processor_for_each_worker_out_of_all_or_of_a_mask)
{
    std::string all;
    for (int cpu = 0; cpu < ncpu; cpu++) {
        all += std::to_string(cpu) + " ";
    }
    BOOST_TEST(affinity("auto") == "auto " + all + "|");
    BOOST_TEST(affinity("auto 0110") == "auto " + all + "|1 2 |");
    BOOST_TEST(refusal("worker_cpu_affinity auto 1 1;") ==
               "invalid number of arguments in \"worker_cpu_affinity\" directive");
}

BOOST_AUTO_TEST_CASE(a_processor_mask_is_zeros_and_ones_for_1024_processors)
{
    BOOST_TEST(refusal("worker_cpu_affinity 0121;") ==
               "invalid character \"2\" in \"worker_cpu_affinity\"");
    BOOST_TEST(refusal("worker_cpu_affinity 1 auto;") ==
               "invalid character \"o\" in \"worker_cpu_affinity\"");
    BOOST_TEST(refusal("worker_cpu_affinity " + std::string(CPU_SETSIZE + 1, '0') + ";") ==
               "\"worker_cpu_affinity\" supports up to 1024 CPUs only");
}

BOOST_AUTO_TEST_CASE(a_number_of_masks_other_than_of_workers_is_a_warning)
{
    const auto warning = [](const std::string& conf) {
        return messages(Core(conf).cycle.log(), "warn");
    };
    const std::string wanted =
        "[warn] the number of \"worker_processes\" is not equal to the number of "
        "\"worker_cpu_affinity\" masks, using last mask for remaining worker processes\n";
    BOOST_TEST(warning("worker_processes 2; worker_cpu_affinity 1 1 1;") == wanted);
    BOOST_TEST(warning("worker_processes 3; worker_cpu_affinity 1 1;") == wanted);
    BOOST_TEST(warning("worker_processes 2; worker_cpu_affinity 1 1;") == "");
    BOOST_TEST(warning("worker_processes 2; worker_cpu_affinity 1;") == "");
    BOOST_TEST(warning("worker_processes 3; worker_cpu_affinity auto 1;") == "");
}

BOOST_AUTO_TEST_CASE(a_module_that_cannot_be_loaded_is_named)
{
    BOOST_TEST(refusal("load_module /nowhere/a.so;") ==
               "dlopen() \"/nowhere/a.so\" failed (/nowhere/a.so: cannot open shared object file: "
               "No such file or directory)");
    TestCycle cycle("events {} load_module a.so;", Start::conf);
    BOOST_TEST(!cycle.ok());
    BOOST_TEST(messages(cycle.log(), "emerg")
                   .starts_with("[emerg] \"load_module\" directive is specified too late in "));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_user)

BOOST_AUTO_TEST_CASE(for_root_it_is_looked_up_with_its_group,
                     *boost::unit_test::precondition(is_root))
{
    const passwd unprivileged = *::getpwnam("nobody");
    const group root = *::getgrnam("root");
    const group nogroup = *::getgrnam("nogroup");

    const Core named("user nobody root;");
    BOOST_TEST(named->username == "nobody");
    BOOST_TEST(named->user.value() == unprivileged.pw_uid);
    BOOST_TEST(named->group == root.gr_gid);
    BOOST_TEST(Core("user root;")->group == root.gr_gid);

    const Core by_default("");
    BOOST_TEST(by_default->username == default_user);
    BOOST_TEST(by_default->user.value() == unprivileged.pw_uid);
    BOOST_TEST(by_default->group == nogroup.gr_gid);
}

BOOST_AUTO_TEST_CASE(for_root_it_must_exist_and_so_must_its_group,
                     *boost::unit_test::precondition(is_root))
{
    BOOST_TEST(refusal("user no_such_user;").starts_with("getpwnam(\"no_such_user\") failed"));
    BOOST_TEST(refusal("user nobody no_group;").starts_with("getgrnam(\"no_group\") failed"));
    BOOST_TEST(refusal("user root; user root;") == "\"user\" directive is duplicate");
}

BOOST_AUTO_TEST_CASE(for_another_user_it_is_a_warning_and_ignored)
{
    const std::string said = answer_of_child([]() -> std::string {
        Reader reader({&core_module});
        if (::geteuid() == 0 &&
            (::chmod(reader.dir.path().c_str(), 0777) != 0 || ::seteuid(65534) != 0)) {
            return "seteuid() failed";
        }
        const bool fine = reader.parse("user no_such_user; user no_such_user;");
        const auto& conf = *static_cast<const CoreConf*>(reader.cycle->conf_ctx[core_module.index]);
        return (fine && !conf.user ? "" : "refused ") + reader.said();
    });
    const std::string warning = "[warn] the \"user\" directive makes sense only if the master "
                                "process runs with super-user privileges, ignored in "
                                "nginx.conf:1\n";
    BOOST_TEST(said == warning + warning);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_environment)

/// Returns the environment after the directives: "A=1 B=2 TZ=UTC ".
std::string environment(const std::string& directives)
{
    return answer_of_child([&] {
        static char a[] = "A=1";
        static char long_name[] = "AB=3";
        static char zone[] = "TZ=UTC";
        static char* given[] = {a, long_name, zone, nullptr};
        environ = given;

        // The program keeps its original environment.
        const TempDir dir;
        write_file(dir / "nginx.conf", "error_log stderr; events {}");
        std::vector<std::string> argv = {"ngxx",       "-t", "-q",     "-p", dir.path(), "-c",
                                         "nginx.conf", "-e", "stderr", "-g", "pid pid;"};
        std::vector<char*> pointers;
        for (std::string& arg : argv) {
            pointers.push_back(arg.data());
        }
        pointers.push_back(nullptr);
        if (ngx::main(static_cast<int>(argv.size()), pointers.data()) != 0) {
            return std::string("the configuration was refused");
        }
        test_config = quiet_mode = false;

        const Core core(directives);
        set_environment(*core.cycle);
        char** const made = environ;
        set_environment(*core.cycle);
        std::string text = environ == made ? "" : "made twice: ";
        for (char** entry = environ; *entry; entry++) {
            text.append(*entry).append(" ");
        }
        return text;
    });
}

BOOST_AUTO_TEST_CASE(only_the_time_zone_is_kept_by_default)
{
    BOOST_TEST(environment("") == "TZ=UTC ");
}

BOOST_AUTO_TEST_CASE(a_name_keeps_its_value_and_a_value_is_set)
{
    BOOST_TEST(environment("env A;") == "A=1 TZ=UTC ");
    BOOST_TEST(environment("env A; env AB;") == "A=1 AB=3 TZ=UTC ");
    BOOST_TEST(environment("env A=2; env NEW=a=b; env EMPTY=;") == "A=2 NEW=a=b EMPTY= TZ=UTC ");
    BOOST_TEST(environment("env NONE; env a;") == "TZ=UTC ");
    BOOST_TEST(environment(std::string("env A\0;", 7)) == "TZ=UTC ");
}

BOOST_AUTO_TEST_CASE(env_tz_replaces_the_inherited_time_zone)
{
    BOOST_TEST(environment("env TZ=CET; env A;") == "TZ=CET A=1 ");
    BOOST_TEST(environment("env TZ;") == "TZ=UTC ");
    BOOST_TEST(environment("env TZX=1;") == "TZX=1 TZ=UTC ");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(processors_of_workers)

BOOST_AUTO_TEST_CASE(without_a_mask_a_worker_may_run_on_any)
{
    BOOST_TEST(workers("", 2) == "any|any|");
}

BOOST_AUTO_TEST_CASE(each_worker_has_its_mask_and_the_last_is_for_the_rest)
{
    BOOST_TEST(workers("worker_processes 4; worker_cpu_affinity 01 1110;", 4) ==
               "0 |1 2 3 |1 2 3 |1 2 3 |");
    BOOST_TEST(workers("worker_processes 2; worker_cpu_affinity 10;", 2) == "1 |1 |");
}

BOOST_AUTO_TEST_CASE(with_auto_workers_take_the_processors_of_the_mask_in_turn)
{
    BOOST_TEST(workers("worker_cpu_affinity auto 10110;", 5) == "1 |2 |4 |1 |2 |");
    BOOST_TEST(workers("worker_cpu_affinity auto 1;", 2) == "0 |0 |");
    BOOST_TEST(workers("worker_cpu_affinity auto 000;", 2) == "any|any|");
}

BOOST_AUTO_TEST_CASE(with_auto_alone_they_take_those_that_this_process_may_use)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    BOOST_TEST(::sched_getaffinity(0, sizeof(all), &all) == 0);
    std::string wanted;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        wanted += CPU_ISSET(cpu, &all) ? std::to_string(cpu) + " |" : "";
    }
    const std::string first = wanted.substr(0, wanted.find('|') + 1);
    BOOST_TEST(workers("worker_cpu_affinity auto;",
                       static_cast<std::size_t>(CPU_COUNT(&all)) + 1) == wanted + first);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
