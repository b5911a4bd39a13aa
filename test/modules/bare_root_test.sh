#!/bin/bash
# Tests in a new Debian 12 with only the packages of tools/setup: installs the server in each
# prefix, builds a module of each kind with the three commands of the README, and loads it.
#
# usage: bare_root_test.sh [KIND...]; the kinds are event, stream and core.
#
# Exits with status 77 and the reason if no such system can be created.
source "$(dirname "${BASH_SOURCE[0]}")/bare_root.sh"

kinds=("$@")
[[ $# -gt 0 ]] || kinds=(event stream core)

make_root
mkdir "$root/src"
git -C "$source" ls-files -z | tar -C "$source" --null -T - -c | tar -C "$root/src" -x
step inside /src/tools/setup build
! inside sh -c 'command -v dpkg-architecture' || skip "the system has dpkg-dev, which was not asked for"

step inside meson setup /src/build /src -Dtests=disabled
step inside meson compile -C /src/build
step inside meson install --no-rebuild -C /src/build
for kind in "${kinds[@]}"; do
    step make_module /usr/local "$kind"
done
step inside pkg-config --exists ngxx ngxx-module

# Only the folders differ, so the existing build can be used.
step inside meson configure /src/build --prefix=/opt/ngxx -Dlibdir=lib64
step inside ninja -C /src/build build.ninja
step inside meson install --no-rebuild -C /src/build
inside rm -r /usr/local/share/ngxx /usr/local/lib/pkgconfig
step make_module /opt/ngxx "${kinds[0]}"
echo "$SECONDS s in all"
