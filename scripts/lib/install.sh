#!/bin/sh
# install.sh: installs what is in this bundle, or takes it away again.
#
#   ./install.sh [--prefix DIR] [--destdir DIR] [--uninstall]
#
# --prefix: where it is to be (default: /usr/local). --destdir: put in front of that, for who makes a package.
set -eu

prefix=/usr/local destdir='' uninstall=0
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) [ $# -ge 2 ] || usage; prefix=$2; shift ;;
    --prefix=*) prefix=${1#*=} ;;
    --destdir) [ $# -ge 2 ] || usage; destdir=$2; shift ;;
    --destdir=*) destdir=${1#*=} ;;
    --uninstall) uninstall=1 ;;
    *) usage ;;
    esac
    shift
done
case $prefix in /*) ;; *) echo "install.sh: --prefix must be an absolute path" >&2; exit 2 ;; esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$destdir$prefix

# Where each file goes: source, mode, place below the prefix.
files() {
    echo "bin/bypassctl 755 bin/bypassctl"
    for page in "$here"/man/man1/*.1; do
        page=${page##*/}
        echo "man/man1/$page 644 share/man/man1/$page"
    done
    echo "completion/bypassctl.bash 644 share/bash-completion/completions/bypassctl"
    echo "completion/bypassctl.zsh 644 share/zsh/site-functions/_bypassctl"
    echo "completion/bypassctl.fish 644 share/fish/vendor_completions.d/bypassctl.fish"
}

# As kubectl finds it: `kubectl influxdb-bypass`, and what completes its command line (kubectl 1.26 and later).
plugin='kubectl-influxdb_bypass kubectl_complete-influxdb_bypass'

if [ $uninstall = 1 ]; then
    files | while read -r _ _ place; do rm -f -- "$root/$place"; done
    for name in $plugin; do rm -f -- "$root/bin/$name"; done
    echo "taken away from $root"
    exit 0
fi
(cd "$here" && sha256sum --check --quiet SHA256SUMS) || { echo "install.sh: this is not what was bundled" >&2; exit 1; }
files | while read -r source mode place; do
    mkdir -p -- "$(dirname -- "$root/$place")"
    # Beside it first: a program that runs keeps its file.
    cp -- "$here/$source" "$root/$place.new"
    chmod "$mode" "$root/$place.new"
    mv -f -- "$root/$place.new" "$root/$place"
done
for name in $plugin; do ln -sf bypassctl "$root/bin/$name"; done
echo "installed in $root: bin/bypassctl, also as kubectl's plugin influxdb-bypass, manual pages, completion"
