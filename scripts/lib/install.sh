#!/bin/sh
# install.sh: installs the contents of this bundle, or removes them.
#
#   ./install.sh [--prefix DIR] [--destdir DIR] [--program FILE] [--uninstall]
#
#   --prefix DIR     target directory (default: /usr/local, which needs root)
#   --destdir DIR    staging directory in front of the prefix, for packagers
#   --program FILE   a program built from `source`, instead of the one in `bin`
#   --uninstall      remove an installation with the same --prefix
set -eu
umask 022 # all users must be able to read the files

prefix=/usr/local destdir='' program='' uninstall=0
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; }
usage_error() { usage >&2; exit 2; }
die() { echo "install.sh: $*" >&2; exit 1; }
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) [ $# -ge 2 ] || usage_error; prefix=$2; shift ;;
    --prefix=*) prefix=${1#*=} ;;
    --destdir) [ $# -ge 2 ] || usage_error; destdir=$2; shift ;;
    --destdir=*) destdir=${1#*=} ;;
    --program) [ $# -ge 2 ] || usage_error; program=$2; shift ;;
    --program=*) program=${1#*=} ;;
    --uninstall) uninstall=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error ;;
    esac
    shift
done
case $prefix in
/*) ;;
*)
    echo "install.sh: --prefix must be an absolute path, such as \"\$HOME/.local\"" >&2
    exit 2
    ;;
esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$destdir${prefix%/}

# Prints source, mode and path below the prefix of each file.
list_files() {
    [ -n "$program" ] || echo "bin/bypassctl 755 bin/bypassctl"
    # Only bundled pages: another file in the directory must not reach the manual path.
    sed -n 's|^[0-9a-f]*  man/man1/\([a-z-]*\.1\)$|man/man1/\1 644 share/man/man1/\1|p' \
        "$here/SHA256SUMS"
    echo "completion/bypassctl.bash 644 share/bash-completion/completions/bypassctl"
    echo "completion/bypassctl.zsh 644 share/zsh/site-functions/_bypassctl"
    echo "completion/bypassctl.fish 644 share/fish/vendor_completions.d/bypassctl.fish"
}

# `kubectl influxdb-bypass`, and its completion for kubectl 1.26 and later.
plugin_links='kubectl-influxdb_bypass kubectl_complete-influxdb_bypass'

failure="failed in $root: if you cannot write there, run as root or use another --prefix"
if [ $uninstall = 1 ]; then
    [ -e "$root/bin/bypassctl" ] ||
        die "no installation in $root: use the --prefix of the installation"
    program='' # list the program as well
    list_files | while read -r _ _ path; do
        rm -f -- "$root/$path" || exit 1
    done || die "$failure"
    for name in $plugin_links; do rm -f -- "$root/bin/$name" || die "$failure"; done
    echo "uninstalled from $root"
    exit 0
fi
command -v sha256sum >/dev/null ||
    die "sha256sum not found: install coreutils or busybox to verify the bundle"
# busybox has no --quiet.
sums=$(cd "$here" && sha256sum -c SHA256SUMS 2>&1) || {
    printf '%s\n' "$sums" | grep -v ': OK$' >&2
    die "the bundle does not match SHA256SUMS"
}
install_file() { # install_file FILE MODE PATH
    [ ! -L "$1" ] || die "$1 is a symlink, the bundle has none"
    # Renames a copy, because a running program keeps its own file.
    mkdir -p -- "$(dirname -- "$root/$3")" && cp -- "$1" "$root/$3.new" &&
        chmod "$2" "$root/$3.new" && mv -f -- "$root/$3.new" "$root/$3"
}
list_files | while read -r source mode path; do
    install_file "$here/$source" "$mode" "$path" || exit 1
done || die "$failure"
[ -z "$program" ] || install_file "$program" 755 bin/bypassctl || die "$failure"
for name in $plugin_links; do
    if [ -d "$root/bin/$name" ]; then die "$root/bin/$name is a directory: move it away"; fi
    ln -sf bypassctl "$root/bin/$name" || die "$failure"
done
echo "installed in $root: bin/bypassctl, kubectl plugin influxdb-bypass, manual pages, completion"

# The remaining steps do not apply to a package.
[ -z "$destdir" ] || exit 0
"$root/bin/bypassctl" --version >/dev/null ||
    die "the program does not run here: build it from source (VERIFY.md)"
case :$PATH: in
*":$root/bin:"*) ;;
*) echo "add it to PATH, also for the kubectl plugin: PATH=\"$root/bin:\$PATH\"" ;;
esac
case $root in
/usr | /usr/local) ;;
*)
    echo "for completion in zsh, add to ~/.zshrc before compinit:" \
        "fpath=($root/share/zsh/site-functions \$fpath)"
    ;;
esac
