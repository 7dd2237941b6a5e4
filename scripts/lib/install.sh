#!/bin/sh
# install.sh: installs what is in this bundle, or takes it away again.
#
#   ./install.sh [--prefix DIR] [--destdir DIR] [--program FILE] [--uninstall]
#
# --prefix: where it is to be (default: /usr/local, which takes root; "$HOME/.local" does not). --destdir: put in front of
# that, for who makes a package. --program: instead of the one in `bin`, one that was built from `source`. --uninstall: with
# the --prefix that it was installed with.
set -eu
umask 022 # for everybody, whatever root's is

prefix=/usr/local destdir='' program='' uninstall=0
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
refuse() { usage >&2; exit 2; }
die() { echo "install.sh: $*" >&2; exit 1; }
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) [ $# -ge 2 ] || refuse; prefix=$2; shift ;;
    --prefix=*) prefix=${1#*=} ;;
    --destdir) [ $# -ge 2 ] || refuse; destdir=$2; shift ;;
    --destdir=*) destdir=${1#*=} ;;
    --program) [ $# -ge 2 ] || refuse; program=$2; shift ;;
    --program=*) program=${1#*=} ;;
    --uninstall) uninstall=1 ;;
    -h | --help) usage; exit 0 ;;
    *) refuse ;;
    esac
    shift
done
case $prefix in /*) ;; *) echo "install.sh: --prefix must be an absolute path, such as \"\$HOME/.local\"" >&2; exit 2 ;; esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$destdir${prefix%/}

# Where each file goes: source, mode, place below the prefix.
files() {
    [ -n "$program" ] || echo "bin/bypassctl 755 bin/bypassctl"
    # Those that were bundled; what somebody has laid beside them is none.
    sed -n 's|^[0-9a-f]*  man/man1/\([a-z-]*\.1\)$|man/man1/\1 644 share/man/man1/\1|p' "$here/SHA256SUMS"
    echo "completion/bypassctl.bash 644 share/bash-completion/completions/bypassctl"
    echo "completion/bypassctl.zsh 644 share/zsh/site-functions/_bypassctl"
    echo "completion/bypassctl.fish 644 share/fish/vendor_completions.d/bypassctl.fish"
}

# As kubectl finds it: `kubectl influxdb-bypass`, and what completes its command line (kubectl 1.26 and later).
plugin='kubectl-influxdb_bypass kubectl_complete-influxdb_bypass'

refused="stopped in $root: if it may not be written to, be root there, or take a place of your own: --prefix \"\$HOME/.local\""
if [ $uninstall = 1 ]; then
    [ -e "$root/bin/bypassctl" ] || die "there is nothing to take away from $root: name the --prefix that it was installed with"
    program='' # which one it was is all the same
    files | while read -r _ _ place; do rm -f -- "$root/$place" || exit 1; done || die "$refused"
    for name in $plugin; do rm -f -- "$root/bin/$name" || die "$refused"; done
    echo "taken away from $root"
    exit 0
fi
command -v sha256sum >/dev/null || die "sha256sum is needed, to see that this is what was bundled (coreutils or busybox)"
# busybox knows no --quiet.
sums=$(cd "$here" && sha256sum -c SHA256SUMS 2>&1) || { printf '%s\n' "$sums" | grep -v ': OK$' >&2; die "this is not what was bundled"; }
put() { # put FILE MODE PLACE: beside it first: a program that runs keeps its file
    [ ! -L "$1" ] || die "$1 is a symlink, and none was bundled"
    mkdir -p -- "$(dirname -- "$root/$3")" && cp -- "$1" "$root/$3.new" && chmod "$2" "$root/$3.new" && mv -f -- "$root/$3.new" "$root/$3"
}
files | while read -r source mode place; do put "$here/$source" "$mode" "$place" || exit 1; done || die "$refused"
[ -z "$program" ] || put "$program" 755 bin/bypassctl || die "$refused"
for name in $plugin; do
    if [ -d "$root/bin/$name" ]; then die "$root/bin/$name is a directory: move it away"; fi
    ln -sf bypassctl "$root/bin/$name" || die "$refused"
done
echo "installed in $root: bin/bypassctl, also as kubectl's plugin influxdb-bypass, manual pages, completion"

# What is left to do, where it is installed for use and not for a package.
[ -z "$destdir" ] || exit 0
"$root/bin/bypassctl" --version >/dev/null || die "it does not run here: build it from source (VERIFY.md)"
case :$PATH: in *":$root/bin:"*) ;; *) echo "not in PATH yet: PATH=\"$root/bin:\$PATH\", for kubectl's plugin too" ;; esac
case $root in
/usr | /usr/local) ;;
*) echo "completion in zsh, in ~/.zshrc before compinit: fpath=($root/share/zsh/site-functions \$fpath)" ;;
esac
