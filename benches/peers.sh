#!/bin/sh
# Installs what moonshell is compared with, and the tools that do it. Debian and its relatives; needs root.
set -eu

if ! command -v apt-get >/dev/null; then
    echo "peers.sh: no apt-get here; install these by hand:" >&2
    echo "  hyperfine crun bubblewrap podman buildah docker umoci skopeo docker-registry busybox(static) runc" >&2
    exit 1
fi
apt-get update -q
# Without a service manager the daemons of these packages stay off; the benchmarks start what they need.
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    hyperfine busybox-static skopeo docker-registry \
    crun runc bubblewrap podman buildah umoci docker.io
