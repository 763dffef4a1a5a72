# What every benchmark needs: the program, a work folder, the peers, and one measurement. Sourced, not run.
#
# Variables a benchmark may set from outside:
#   MOONSHELL     the program; built when it is not set
#   BENCH_DIR     where the work folder goes (default /var/tmp: a disk, not memory)
#   BENCH_RUNS    runs of every measurement, instead of what the benchmark thinks right
#   BENCH_TABLE   file that gets the rows as well

set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

note() { printf '%s\n' "$*" >&2; }
fail() { note "$(basename -- "$0"): $*"; exit 1; }

[ "$(id -u)" = 0 ] || fail "containers need root here; run it as root"
command -v hyperfine >/dev/null || fail "hyperfine is not installed (benches/peers.sh installs it and the peers)"

# A mount namespace of its own: what daemons and peers mount goes with it. On hosts with both kinds of control groups
# crun and podman stumble over the second, so that is hidden from everyone alike.
if [ -z "${BENCH_NAMESPACE-}" ]; then
    BENCH_NAMESPACE=1 exec unshare --mount --propagation private sh "$0" "$@"
fi
if grep -q ' /sys/fs/cgroup/unified ' /proc/self/mounts; then umount /sys/fs/cgroup/unified; fi

# Builds the program unless there is one, and says where it is.
find_moonshell() {
    if [ -z "${MOONSHELL-}" ]; then
        MOONSHELL=$(cd "$here/.." && cargo build --release --message-format=json |
            sed -n 's/.*"executable":"\([^"]*\/moonshell\)".*/\1/p' | tail -n 1)
    fi
    [ -x "$MOONSHELL" ] || fail "no program at '$MOONSHELL'"
    export MOONSHELL
}

find_moonshell
work=$(mktemp -d "${BENCH_DIR:-/var/tmp}/msbench.XXXXXX")
export MOONSHELL_ROOT="$work/moonshell"
mkdir "$work/bin"
pids=

clean_up() {
    trap - EXIT INT TERM
    if [ -n "${docker_images-}" ]; then docker rmi -f $docker_images >/dev/null 2>&1 || true; fi
    for pid in $pids; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    # Deepest first: podman and dockerd leave mounts of their own.
    awk -v work="$work/" 'index($2, work) == 1 { print length($2), $2 }' /proc/self/mounts | sort -rn |
        while read -r _ path; do umount -l "$path" || true; done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_until SECONDS COMMAND...: polls until the command succeeds.
wait_until() {
    limit=$(($1 * 10)) && shift
    while ! "$@" >/dev/null 2>&1; do
        limit=$((limit - 1))
        [ $limit -gt 0 ] || return 1
        sleep 0.1
    done
}

# installed PROGRAM...: whether all are; the first that is not is named.
installed() {
    for program in "$@"; do
        command -v "$program" >/dev/null && continue
        note "skipped: $program is not installed"
        return 1
    done
}

# works PEER COMMAND...: whether the command succeeds here; otherwise the peer is left out, with the reason.
works() {
    name=$1 && shift
    "$@" >"$work/probe" 2>&1 </dev/null && return
    note "skipped: $name does not work here: $(tail -n 1 "$work/probe")"
    return 1
}

# Readies podman and buildah with a store of their own, and sets $podman and $buildah.
podman_ready() {
    installed "$1" || return
    mkdir -p "$work/podman"
    manager=systemd
    [ -d /run/systemd/system ] || manager=cgroupfs
    # Without limits of its own: raising them fails where root lacks CAP_SYS_RESOURCE.
    cat >"$work/podman/containers.conf" <<END
[containers]
default_ulimits = []
[engine]
cgroup_manager = "$manager"
events_logger = "file"
END
    export CONTAINERS_CONF="$work/podman/containers.conf"
    store="--root $work/podman/root --runroot $work/podman/run --storage-driver overlay"
    podman="podman $store --tmpdir $work/podman/tmp"
    buildah="buildah $store"
}

# Readies docker: the daemon that answers, or one started here.
docker_ready() {
    installed docker || return
    docker version >/dev/null 2>&1 && return
    [ -z "${docker_failed-}" ] || return
    installed dockerd || return
    export DOCKER_HOST="unix://$work/docker.sock"
    dockerd --host "$DOCKER_HOST" --data-root "$work/docker" --exec-root "$work/docker-run" \
        --pidfile "$work/docker.pid" --bridge none --iptables=false >"$work/dockerd.log" 2>&1 &
    pids="$pids $!"
    wait_until 30 docker version && return
    docker_failed=1
    note "skipped: dockerd does not start here: $(tail -n 1 "$work/dockerd.log")"
    return 1
}

base=localhost/moonshell-bench:base

# Makes $rootfs, a busybox, and its archive.
make_rootfs() {
    busybox=$(command -v busybox) || fail "busybox is not installed (a static one is needed)"
    rootfs="$work/rootfs"
    mkdir -p "$rootfs/bin" "$rootfs/etc" "$rootfs/proc" "$rootfs/dev" "$rootfs/sys" "$rootfs/tmp"
    cp "$busybox" "$rootfs/bin/busybox"
    chroot "$rootfs" /bin/busybox --install -s /bin || fail "busybox is not static"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$rootfs/etc/passwd"
    echo 'root:x:0:' >"$rootfs/etc/group"
    tar -C "$rootfs" --sort=name --mtime=@0 -cf "$work/rootfs.tar" .
}

moonshell_base() {
    "$MOONSHELL" --progress none -e "build.scratch():copy('$rootfs', '/'):cmd{'/bin/sh'}
        :env{PATH = '/bin'}:commit '$base'"
}
podman_base() { works podman $podman import -c 'ENV PATH=/bin' "$work/rootfs.tar" "$base"; }
docker_base() {
    works docker docker import -c 'ENV PATH=/bin' "$work/rootfs.tar" "$base" && docker_images="${docker_images-} $base"
}

# crun_bundle PROGRAM...: makes $work/bundle, ready for crun, which makes neither root file systems nor names itself.
crun_bundle() {
    installed crun || return
    mkdir "$work/bundle"
    cp -a "$rootfs" "$work/bundle/rootfs"
    (cd "$work/bundle" && crun spec)
    "$MOONSHELL" - "$work/bundle/config.json" "$@" <<'END'
local path = arg[1]
local file = assert(io.open(path))
local config = json.decode(file:read "a")
file:close()
config.process.terminal, config.process.args, config.root.readonly = false, table.move(arg, 2, #arg, 1, {}), false
file = assert(io.open(path, "w"))
file:write(json.encode(config))
file:close()
END
}

# Sets $docker_build: with BuildKit where the client has it.
docker_build_ready() {
    docker_build="env DOCKER_BUILDKIT=1 docker build"
    printf 'FROM %s\n' "$base" >"$work/probe.Dockerfile"
    $docker_build -f "$work/probe.Dockerfile" "$work/bin" >/dev/null 2>&1 && return
    docker_build="env DOCKER_BUILDKIT=0 docker build"
    works "docker build" $docker_build -f "$work/probe.Dockerfile" "$work/bin"
}

# measure TITLE RUNS PER AIMS HYPERFINE-ARGUMENT...: runs hyperfine once over all programs and writes table rows.
# PER divides the times (runs inside one command); AIMS is a list such as "crun 1.5, ms 10" (see table.lua).
measure() {
    title=$1 runs=${BENCH_RUNS:-$2} per=$3 aims=$4 && shift 4
    note "== $title"
    hyperfine --style basic --runs "$runs" --export-json "$work/result.json" "$@" >&2
    "$MOONSHELL" "$here/table.lua" "$work/result.json" "$title" "$per" "$aims" |
        if [ -n "${BENCH_TABLE-}" ]; then tee -a "$BENCH_TABLE"; else cat; fi
}
