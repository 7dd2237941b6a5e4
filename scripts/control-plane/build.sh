#!/usr/bin/env bash
# build.sh DIR: builds etcd, kube-apiserver and kube-controller-manager into DIR/bin.
#
# Uses Debian's packages and source packages. Needs root, because it installs packages, and a Debian
# with a `kubernetes` source package. Takes about 6 minutes on 2 cores. A second run does nothing.
set -euo pipefail

[ $# = 1 ] || { echo "usage: build.sh DIR" >&2; exit 2; }
mkdir -p "$1/bin"
dir=$(cd "$1" && pwd)

exec 9>"$dir/.lock"
flock 9 # a concurrent build into the same directory waits
if [ -x "$dir/bin/etcd" ] && [ -x "$dir/bin/kube-apiserver" ] &&
    [ -x "$dir/bin/kube-controller-manager" ]; then
    echo "already built in $dir/bin"
    exit 0
fi
[ "$(id -u)" = 0 ] || { echo "build.sh: run as root to install packages" >&2; exit 1; }

apt() { # retries, because another apt may hold the lock
    local try
    for try in 1 2 3 4 5 6 7 8; do
        apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >"$dir/apt.log" 2>&1 && return
        [ "$try" = 8 ] || sleep 3
    done
    cat "$dir/apt.log" >&2
    return 1
}

sources=/etc/apt/sources.list.d
if [ -f "$sources/debian.sources" ]; then
    [ -f "$sources/debian-src.sources" ] ||
        sed 's/^Types:.*/Types: deb-src/' "$sources/debian.sources" >"$sources/debian-src.sources"
elif [ ! -f "$sources/debian-src.list" ]; then
    sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$sources/debian-src.list"
fi
apt update
export DEBIAN_FRONTEND=noninteractive
apt install -y --no-install-recommends etcd-server golang-go \
    golang-github-modern-go-reflect2-dev dpkg-dev openssl ca-certificates

src=$dir/src/gopath/src/k8s.io/kubernetes
mkdir -p "$dir/src/out" "$src"
cd "$dir/src"
compgen -G 'kubernetes_*.orig.tar.gz' >/dev/null || apt source --download-only kubernetes
[ -f "$src/go.mod" ] || tar xzf kubernetes_*.orig.tar.gz --strip-components=1 -C "$src"

cd "$src"
export GO111MODULE=off GOPATH="$dir/src/gopath" GOFLAGS="" CGO_ENABLED=0
export GOCACHE="$dir/src/gocache"
if [ ! -f pkg/generated/openapi/zz_generated.openapi.go ]; then
    go build -o ../../../../out/openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    inputs=$(grep -rlE '\+k8s:openapi-gen=true' --include=*.go -R vendor/k8s.io/ pkg cmd |
        xargs -n1 dirname | sort -u | sed 's|^|k8s.io/kubernetes/|' | paste -sd,)
    "$dir/src/out/openapi-gen" -O zz_generated.openapi -h /dev/null \
        -p k8s.io/kubernetes/pkg/generated/openapi -i "$inputs" \
        -r "$dir/src/violations.txt" 2>/dev/null
fi
# The vendored reflect2 crashes with Go 1.18 and later. Debian's package is newer.
rm -rf vendor/github.com/modern-go/reflect2
cp -rL /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/

version=v1.20.2
lib=k8s.io/kubernetes/vendor/k8s.io
flags="-s -w -X $lib/component-base/version.gitVersion=$version"
flags+=" -X $lib/client-go/pkg/version.gitVersion=$version"
go build -ldflags "$flags" \
    -o "$dir/src/out/" ./cmd/kube-apiserver ./cmd/kube-controller-manager

# Moves the programs last, so that an interrupted build never looks complete.
mv "$dir/src/out/kube-apiserver" "$dir/src/out/kube-controller-manager" "$dir/bin/"
cp "$(command -v etcd)" "$dir/bin/etcd.new"
mv "$dir/bin/etcd.new" "$dir/bin/etcd"
chmod -R u+w "$dir/src"
rm -rf "$dir/src" "$dir/apt.log" # 2 GB
ls -l "$dir/bin"
