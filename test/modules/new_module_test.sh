#!/bin/bash
# Does what a user does after installing ngxx: creates, builds, tests, loads and uses a module of
# each kind, and stops the server.
#
# usage: new_module_test.sh BUILD [OPTION...]; BUILD is up to date. The options are meson's, by
# which a module is built as the server was. CXX is the compiler of both.
set -eu

build=$1
shift
options=("$@")
scratch=$(mktemp -d)
server=

cleanup() {
    [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT

# step COMMAND...: prints the command, and its output only if it fails.
step() {
    local start=$SECONDS
    if ! timeout 100 "$@" >"$scratch/output" 2>&1 </dev/null; then
        cat "$scratch/output"
        echo "FAILED: $*"
        exit 1
    fi
    echo "$((SECONDS - start)) s: $*"
}

# Installs into a temporary root that pkg-config does not know.
install_server() {
    local root=$scratch/root pc prefix
    step meson install --no-rebuild -C "$build" --destdir "$root"
    pc=$(find "$root" -name ngxx-module.pc)
    prefix=$(sed -n 's/^prefix=//p' "$pc")
    sed -i "s|^prefix=.*|prefix=$root$prefix|" "$pc"
    unset PKG_CONFIG_PATH
    export PATH=$root$prefix/bin:$PATH
    hash -r
}

free_port() {
    python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# until_true COMMAND...: repeats the command for some seconds until it succeeds.
until_true() {
    local n
    for ((n = 0; n < 1000; n++)); do
        ! "$@" || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.02
    done
    cat server.log
    echo "FAILED: $*"
    return 1
}

# ask PORT TEXT: sends a line and stores the server's line in $answer.
ask() {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf '%s\n' "$2" >&3 && IFS= read -r -t 20 answer <&3
    exec 3>&-
} 2>/dev/null

has_beaten() {
    grep -q "$1: [0-9]* turns" server.log
}

# use KIND NAME: uses the module as its README describes, with another port.
use() {
    local kind=$1 name=$2 port
    port=$(free_port)
    sed -i "s/127\.0\.0\.1:8100/127.0.0.1:$port/; s/interval 1s/interval 20ms/" "$name.conf"

    ngxx -p . -c "$name.conf" >server.log 2>&1 </dev/null &
    server=$!
    case $kind in
    event) until_true ask "$port" "a line" && [[ $answer == "a line" ]] ;;
    stream) until_true ask "$port" "a line" && [[ $answer == "A LINE" ]] ;;
    core) until_true has_beaten "$name" ;;
    esac
    [[ $kind != event ]] || grep -q "using the \"$name\" event method" server.log

    kill -QUIT "$server"
    wait "$server"
    server=
    if grep -E '\[(error|crit|alert|emerg)\]' server.log || [[ -e build/$name.pid ]]; then
        echo "FAILED: $name has not come to a good end"
        exit 1
    fi
}

# try_kind KIND: runs the commands of a module's README in an empty folder.
try_kind() {
    local kind=$1 name=my_${1}_2
    mkdir "$scratch/$kind"
    cd "$scratch/$kind"
    step ngxx-new-module "$kind" "$name" "$name"
    cd "$name"
    step meson setup build "${options[@]}"
    step meson compile -C build
    step meson test -C build --print-errorlogs
    use "$kind" "$name"
}

install_server
for kind in event stream core; do
    try_kind "$kind"
done
echo "$SECONDS s in all"
