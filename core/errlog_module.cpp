#include "core/errlog_module.hpp"

#include <cstddef>
#include <string_view>

#include "core/conf_file.hpp"
#include "core/cycle.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/palloc.hpp"
#include "core/syslog.hpp"

namespace ngx {

namespace {

/// nginx: ngx_log_set_levels()
const char* log_set_levels(Conf& cf, Log& log)
{
    if (cf.args.size() == 2) {
        log.log_level = log_err;
        return conf_ok;
    }

    for (std::size_t i = 2; i < cf.args.size(); i++) {
        const unsigned level = find_err_level(cf.args[i]);
        const unsigned debug = find_debug_level(cf.args[i]);

        if (level != 0 && log.log_level != 0) {
            conf_log_error(log_emerg, cf, 0, "duplicate log level \"{}\"", cf.args[i]);
            return conf_error;
        }
        if ((level == 0 && debug == 0) || (debug != 0 && (log.log_level & ~log_debug_all) != 0)) {
            conf_log_error(log_emerg, cf, 0, "invalid log level \"{}\"", cf.args[i]);
            return conf_error;
        }
        log.log_level |= level | debug;
    }

    if (log.log_level == log_debug_level) {
        log.log_level = log_debug_all;
    }
    return conf_ok;
}

/// Sets the log's destination from the first argument of `error_log`.
const char* set_destination(Conf& cf, Log& log)
{
    const std::string_view name = cf.args[1];

    if (name == "stderr") {
        cf.cycle->log_use_stderr = true;
        log.file = conf_open_file(*cf.cycle, "");
        return conf_ok;
    }

    // Differs from nginx: logs in memory, which only a debugger can read, are not supported.
    // Without this check the text would be taken as the name of a file.
    if (name.starts_with("memory:")) {
        conf_log_error(log_emerg, cf, 0, "\"memory:\" logs are not supported in \"{}\"", name);
        return conf_error;
    }

    if (name.starts_with("syslog:")) {
        auto* peer = cf.pool->create<SyslogPeer>();
        if (const char* rv = syslog_process_conf(cf, *peer); rv != conf_ok) {
            return rv;
        }
        log.writer = syslog_writer;
        log.wdata = peer;
        return conf_ok;
    }

    log.file = conf_open_file(*cf.cycle, name);
    return conf_ok;
}

/// nginx: ngx_error_log()
const char* error_log(Conf& cf, const Command&, void*)
{
    Log* head = &cf.cycle->new_log;
    return log_set_log(cf, head);
}

constexpr Command errlog_commands[] = {
    {.name = "error_log", .type = main_conf | conf_1more, .set = error_log},
};

constexpr CoreModule errlog_module_ctx = {
    .name = "errlog",
};

}  // namespace

const char* log_set_log(Conf& cf, Log*& head)
{
    // A head without a level is unused: the first error_log fills it.
    Log* added = head && head->log_level == 0 ? head : cf.pool->create<Log>();
    if (!head) {
        head = added;
    }

    if (const char* rv = set_destination(cf, *added); rv != conf_ok) {
        return rv;
    }
    if (const char* rv = log_set_levels(cf, *added); rv != conf_ok) {
        return rv;
    }
    if (head != added) {
        log_insert(*head, *added);
    }
    return conf_ok;
}

constinit Module errlog_module = {
    .ctx = &errlog_module_ctx,
    .commands = errlog_commands,
    .type = ModuleType::core,
};

}  // namespace ngx
