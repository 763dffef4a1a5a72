#!/bin/sh
# `true` of a busybox image in a fresh container without a network: as a whole process, and many from one script.
. "$(dirname -- "$0")/lib.sh"

make_rootfs
moonshell_base

bwrap="bwrap --unshare-all --bind $rootfs / --proc /proc --dev /dev /bin/true"
has_bwrap=
if installed bwrap && works bwrap $bwrap; then has_bwrap=1; fi

set -- -n moonshell "$MOONSHELL -e 'container.run(\"$base\", {\"true\"})'"
if crun_bundle /bin/true; then
    crun="crun --root $work/crun run --bundle $work/bundle msbench"
    if works crun $crun; then set -- "$@" -n crun "$crun"; fi
fi
if [ -n "$has_bwrap" ]; then set -- "$@" -n bwrap "$bwrap"; fi
if podman_ready podman && podman_base; then
    run="$podman run --rm --network none $base true"
    if works podman $run; then set -- "$@" -n podman "$run"; fi
fi
if docker_ready && docker_base; then
    run="docker run --rm --network none $base true"
    if works docker $run; then set -- "$@" -n docker "$run"; fi
fi
measure "run: busybox \`true\`, no network, whole process" 50 1 "crun 1.5, podman 0.1" -N --warmup 3 "$@"

cat >"$work/many.lua" <<END
local base = image.get "$base"
for _ = 1, 100 do container.run(base, {"true"}) end
END
set -- -n moonshell "$MOONSHELL $work/many.lua"
if [ -n "$has_bwrap" ]; then
    printf 'i=0\nwhile [ $i -lt 100 ]; do %s; i=$((i + 1)); done\n' "$bwrap" >"$work/many.sh"
    set -- "$@" -n bwrap "sh $work/many.sh"
fi
measure "run: 100 in one script, time of each" 10 100 "bwrap 1.5" -N --warmup 1 "$@"
