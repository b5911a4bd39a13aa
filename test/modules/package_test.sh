#!/bin/bash
# Tests the Debian packages in a new Debian 12: installs the server, which serves; builds a module of
# each kind and a program with ngxx-dev and its dependencies; checks the links of the documents;
# removes the packages, which leaves the configuration and the logs; purges them, which leaves
# nothing.
#
# usage: package_test.sh [DIR]; DIR has the packages. By default tools/package makes them.
#
# Exits with status 77 and the reason if no such system can be created.
source "$(dirname "${BASH_SOURCE[0]}")/bare_root.sh"

packages=${1:-}

# install FILE...: installs packages and their dependencies, without what they recommend.
install() {
    inside apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}

# ours: prints the files and folders with ngxx in their names.
ours() {
    find "$root" -xdev -path "$root/proc" -prune -o -name '*ngxx*' -printf '/%P\n' | LC_ALL=C sort
}

# dpkg does not install two packages with a file of the same name, so ours must not have nginx's.
every_file_has_our_name() {
    ! inside dpkg -L ngxx ngxx-dev ngxx-doc | while read -r file; do
        [[ -d $root$file || $file == *ngxx* ]] || echo "$file"
    done | grep .
}

unit=/lib/systemd/system/ngxx.service

# systemd-analyze prints warnings with status 0.
unit_is_valid() {
    inside apt-get install -qq -y --no-install-recommends systemd &&
        inside systemctl is-enabled ngxx &&
        inside systemd-analyze verify --man=no ngxx.service >"$scratch/unit" 2>&1 &&
        ! grep . "$scratch/unit"
}

# Runs the commands of the unit without systemd. The first process exits when the server serves.
serves() {
    own_network inside bash -ec '
        line_of_unit() { sed -n "s/^$1=//p" '$unit'; }
        answer() { exec 3<>/dev/tcp/127.0.0.1/8080 && grep -q "Welcome to ngxx" <&3; }
        eval "$(line_of_unit ExecStartPre)"
        [[ $(line_of_unit ExecStart) == "/usr/bin/ngxx -g \"daemon off;\"" ]]
        /usr/bin/ngxx
        pid=$(cat /run/ngxx.pid)
        answer
        eval "$(line_of_unit ExecReload)"
        answer
        ngxx -s quit
        tail --pid="$pid" -f /dev/null
        test -e /var/log/ngxx/error.log'
}

# Builds and runs a program of the documents, which runs the loop.
make_program() {
    inside sh -ec 'cp -r /usr/share/doc/ngxx/docs/examples/embed /root/embed && cd /root/embed &&
        meson setup build && meson compile -C build && build/embed here.sock'
}

only_conf_and_logs_are_left() {
    ours | grep -vE '^/(var/lib/dpkg|(var/lib|etc)/systemd)/' >"$scratch/left"
    diff - "$scratch/left" <<END
/etc/logrotate.d/ngxx
/etc/ngxx
/var/log/ngxx
END
}

nothing_is_left() {
    ! ours | grep .
}

make_root
mkdir "$root/packages"
if [[ -z $packages ]]; then
    packages=$scratch/packages
    step "$source/tools/package" --output "$packages"
fi
for name in ngxx ngxx-dev ngxx-doc; do
    cp "$packages/${name}"_*.deb "$root/packages/$name.deb"
done
step inside apt-get update -qq

step install /packages/ngxx.deb
step serves
step unit_is_valid

step install /packages/ngxx-dev.deb
for kind in event stream core; do
    step make_module /usr "$kind"
done
step install /packages/ngxx-doc.deb
step python3 "$source/test/docs/docs_test.py" --links "$root/usr/share/doc/ngxx"
step make_program
step every_file_has_our_name

rm -r "$root/packages" "$root/root/modules" "$root/root/embed"
step inside apt-get remove -qq -y ngxx ngxx-dev ngxx-doc
step only_conf_and_logs_are_left
step inside apt-get purge -qq -y ngxx
step nothing_is_left
echo "$SECONDS s in all"
