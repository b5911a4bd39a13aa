#pragma once

#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "core/cycle.hpp"
#include "core/module.hpp"
#include "os/unix/os.hpp"
#include "test/support/cycle.hpp"
#include "test/support/poller.hpp"

namespace ngx::test {

inline std::string conf_of(std::string_view directives)
{
    return "master_process off; events { use iouring; worker_connections 128; " +
           std::string(directives) + " }";
}

/// Whether the kernel has provided buffers.
inline boost::test_tools::assertion_result completion_is_there(unsigned long id)
{
    if (!iouring_is_there(id)) {
        return false;
    }
    const TestCycle cycle(conf_of("iouring_io completion;"));
    return io.recv != os_io.recv;
}

/// Calls the hooks of a process that exits.
inline void exit_process_of_modules(const TestCycle& cycle)
{
    for (const Module* module : modules_of(*cycle)) {
        if (module->exit_process) {
            module->exit_process(*cycle);
        }
    }
}

}  // namespace ngx::test
