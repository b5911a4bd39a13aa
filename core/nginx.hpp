#pragma once

#include "core/core.hpp"

namespace ngx {

/// The server, from its command line to its exit status. It stands apart from the program's
/// main() so that a test program can be linked with everything else.
///
/// nginx: main()
int main(int argc, char** argv) noexcept;

/// Makes the environment of this process what the `env` directives ask for: TZ and the named
/// variables, nothing else.
///
/// nginx: ngx_set_environment()
void set_environment(Cycle& cycle);

}  // namespace ngx
