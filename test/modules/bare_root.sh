# shellcheck shell=bash
# Functions of the tests that create a new Debian 12 with its smallest set of packages; each test
# sources this file.
#
# make_root creates the system in $root. It ends the test with status 77 and the reason if no such
# system can be created, which needs root, debootstrap and a reachable mirror (MIRROR, or Debian's).
# For a day build-root has an archive of the new system, from which the next one is created.
set -eu

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
test_name=$(basename "$0" _test.sh)

skip() {
    echo "skipped: $test_name: $*"
    exit 77
}

# bootstrap ARCHIVE: creates the system, and the archive of it.
bootstrap() {
    local mirror=${MIRROR:-http://deb.debian.org/debian}
    debootstrap --variant=minbase bookworm "$root" "$mirror" >"$scratch/log" 2>&1 ||
        skip "no Debian could be had from $mirror: $(tail -n 1 "$scratch/log")"
    mkdir -p "${1%/*}"
    tar -C "$root" --numeric-owner -c . >"$1.$$"
    mv "$1.$$" "$1"
}

make_root() {
    local archive=$source/build-root/minbase.tar
    [[ $EUID -eq 0 ]] || skip "only root can make a system"
    command -v debootstrap >/dev/null || skip "debootstrap is not installed"

    scratch=$(mktemp -d)
    root=$scratch/root
    trap remove_root EXIT
    if [[ -n $(find "$archive" -mtime -1 2>/dev/null) ]]; then
        mkdir "$root"
        tar -C "$root" --numeric-owner -x <"$archive"
    else
        bootstrap "$archive"
    fi
    echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"  # no fsync() of each file
    cp /etc/resolv.conf "$root/etc/"
    mount -t proc proc "$root/proc"
    echo "$SECONDS s: a system of $(inside dpkg-query -W | wc -l) packages"
}

remove_root() {
    ! mountpoint -q "$root/proc" || umount "$root/proc"
    rm -rf --one-file-system "$scratch"
}

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

outside=()

# inside COMMAND...: runs the command in that system with an empty environment.
inside() {
    "${outside[@]}" chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# own_network COMMAND...: runs COMMAND, whose `inside` then has its own network with only the
# loopback interface, so that every port is free. At the end the daemons in it are killed.
own_network() {
    local outside=(unshare --net --pid --fork --kill-child python3 -c '
import fcntl, os, socket, struct, sys

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
os.execvp(sys.argv[1], sys.argv[1:])')
    "$@"
}

# make_module PREFIX KIND: runs the three commands of the README, and tests the configuration.
make_module() {
    local prefix=$1 kind=$2 name=my_$2 folder=/root/modules$1/$2
    inside sh -ec "mkdir -p $folder && cd $folder &&
        PATH=$prefix/bin:\$PATH && ngxx-new-module $kind $name $name && cd $name &&
        meson setup build && meson compile -C build && meson test -C build --print-errorlogs &&
        ngxx -p . -c $name.conf -t"
}
