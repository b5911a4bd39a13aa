#!/bin/bash
# Tests in a new Debian 12 with only the packages of tools/setup: installs the server in each
# prefix, builds a module of each kind with the three commands of the README, and loads it.
#
# usage: bare_root_test.sh [KIND...]; the kinds are event, stream and core.
#
# Exits with status 77 and the reason if no such system can be created, which needs root,
# debootstrap and a reachable mirror (MIRROR, or Debian's).
set -eu

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mirror=${MIRROR:-http://deb.debian.org/debian}
kinds=("$@")
[[ $# -gt 0 ]] || kinds=(event stream core)

skip() {
    echo "skipped: bare_root: $*"
    exit 77
}

[[ $EUID -eq 0 ]] || skip "only root can make a system"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"

scratch=$(mktemp -d)
root=$scratch/root
cleanup() {
    ! mountpoint -q "$root/proc" || umount "$root/proc"
    rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT

# step COMMAND...: prints the command, and its output only if it fails.
step() {
    local start=$SECONDS
    if ! "$@" >"$scratch/output" 2>&1 </dev/null; then
        tail -n 100 "$scratch/output"
        echo "FAILED: $*"
        exit 1
    fi
    echo "$((SECONDS - start)) s: $*"
}

# inside COMMAND...: runs the command in that system with an empty environment.
inside() {
    chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

make_root() {
    debootstrap --variant=minbase bookworm "$root" "$mirror" >"$scratch/log" 2>&1 ||
        skip "no Debian could be had from $mirror: $(tail -n 1 "$scratch/log")"
    cp /etc/resolv.conf "$root/etc/"
    mount -t proc proc "$root/proc"
    mkdir "$root/src"
    git -C "$source" ls-files -z | tar -C "$source" --null -T - -c | tar -C "$root/src" -x
}

# try_kind PREFIX KIND: runs the three commands, and the server for a moment.
try_kind() {
    local prefix=$1 kind=$2 name=my_$2 folder=/root/modules$1/$2
    step inside sh -ec "mkdir -p $folder && cd $folder &&
        PATH=$prefix/bin:\$PATH && ngxx-new-module $kind $name $name && cd $name &&
        meson setup build && meson compile -C build && meson test -C build --print-errorlogs &&
        ngxx -p . -c $name.conf -t"
}

make_root
echo "$SECONDS s: a system of $(inside dpkg-query -W | wc -l) packages"
step inside /src/tools/setup build
! inside sh -c 'command -v dpkg-architecture' || skip "the system has dpkg-dev, which was not asked for"

step inside meson setup /src/build /src -Dtests=disabled
step inside meson compile -C /src/build
step inside meson install --no-rebuild -C /src/build
for kind in "${kinds[@]}"; do
    try_kind /usr/local "$kind"
done
step inside pkg-config --exists ngxx ngxx-module

# Only the folders differ, so the existing build can be used.
step inside meson configure /src/build --prefix=/opt/ngxx -Dlibdir=lib64
step inside ninja -C /src/build build.ninja
step inside meson install --no-rebuild -C /src/build
inside rm -r /usr/local/share/ngxx /usr/local/lib/pkgconfig
try_kind /opt/ngxx "${kinds[0]}"
echo "$SECONDS s in all"
