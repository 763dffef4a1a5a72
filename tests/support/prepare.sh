#!/bin/sh
# Installs what the tests need and keeps a Debian tree for them. Called by `make test`.
#
# As root on Debian and its relatives, missing packages come by apt-get. Elsewhere it says what is missing.
set -eu

cache=${1:?usage: prepare.sh CACHE_FOLDER}
suite=bookworm

missing=""
need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
need docker-registry docker-registry
need skopeo skopeo
need debootstrap debootstrap
need htpasswd apache2-utils
need mkfs.ext4 e2fsprogs
need losetup mount
need ip iproute2
need setcap libcap2-bin
need script bsdutils
need xz xz-utils
need openssl openssl
# Peers: they run what we make, and run on us.
need crun crun
need podman podman
need dockerd docker.io
need buildah buildah
need git git
need bzip2 bzip2
need python3 python3
[ "$(uname -m)" != x86_64 ] || need qemu-system-x86_64 qemu-system-x86
need cpio cpio
need zstd zstd
need curl curl
[ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 || missing="$missing busybox-static"

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "prepare.sh: the tests need these Debian packages:$missing" >&2
        exit 1
    fi
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# A minimal Debian, made once from the machine's own package source.
tree="$cache/debian-$suite.tar"
if [ ! -s "$tree" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "prepare.sh: no $tree, and only root can make it: tests on Debian will fail" >&2
        exit 1
    fi
    mkdir -p "$cache"
    source=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(CREATED_BY)' | awk -v suite=$suite '$2 == suite && $3 == "Packages" { print $1; exit }')
    work=$(mktemp -d "$cache/debootstrap.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # debootstrap makes its archives' checks itself, with the keys of debian-archive-keyring.
    debootstrap --variant=minbase --merged-usr "$suite" "$work/root" "$source" >"$work/log" 2>&1 || {
        tail -20 "$work/log" >&2
        exit 1
    }
    rm -rf "$work/root/var/cache/apt/archives" "$work/root/var/lib/apt/lists"
    mkdir -p "$work/root/var/cache/apt/archives/partial" "$work/root/var/lib/apt/lists/partial"
    tar -C "$work/root" --numeric-owner --xattrs -cf "$work/tree.tar" .
    mv "$work/tree.tar" "$tree"
fi

# An older kernel, for a virtual machine: downloaded, not installed.
if [ "$(uname -m)" = x86_64 ] && [ ! -d "$cache/kernel/boot" ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
    [ -n "$package" ] || { apt-get update -qq; package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }'); }
    download=$(mktemp -d "$cache/kernel.XXXXXX")
    (cd "$download" && apt-get download -qq "$package" 2>/dev/null && dpkg -x ./*.deb root)
    mv "$download/root" "$cache/kernel"
    rm -rf "$download"
fi

# The compiler of AppArmor profiles, for that machine: downloaded, not installed.
if [ "$(uname -m)" = x86_64 ] && [ ! -d "$cache/apparmor/sbin" ]; then
    download=$(mktemp -d "$cache/apparmor.XXXXXX")
    (cd "$download" && { apt-get download -qq apparmor 2>/dev/null || { apt-get update -qq && apt-get download -qq apparmor; }; } &&
        dpkg -x ./*.deb root)
    mv "$download/root" "$cache/apparmor"
    rm -rf "$download"
fi
