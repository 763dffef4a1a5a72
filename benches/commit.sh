#!/bin/sh
# One step that writes 5,000 small files and 50 MiB of noise, and its commit: the commit alone, then both.
# The noise differs each time, so that nobody finds the layer known.
. "$(dirname -- "$0")/lib.sh"

make_rootfs
moonshell_base
image=localhost/moonshell-bench:committed
cat >"$rootfs/bin/fill" <<'END'
#!/bin/sh
i=0
while [ $i -lt 5000 ]; do
    [ $((i % 100)) -gt 0 ] || mkdir -p /data/$((i / 100))
    echo "number $i" >/data/$((i / 100))/$i
    i=$((i + 1))
done
head -c 52428800 /dev/urandom >/data/noise
END
chmod +x "$rootfs/bin/fill"
tar -C "$rootfs" --sort=name --mtime=@0 -cf "$work/rootfs.tar" .
moonshell_base

# script NAME LINE...: a program of the given lines.
script() {
    file="$work/bin/$1" && shift
    { echo '#!/bin/sh' && echo 'set -e' && printf '%s\n' "$@"; } >"$file"
    chmod +x "$file"
}

# For each program: NAME-step makes the files, NAME-commit commits them.
script moonshell-step "$MOONSHELL --no-cache -e 'build.from(\"$base\"):run{\"fill\"}'" sync
commit="$MOONSHELL -e 'build.from(\"$base\"):run{\"fill\"}:commit \"$image\"'"
both="$MOONSHELL --no-cache -e 'build.from(\"$base\"):run{\"fill\"}:commit \"$image\"'"
set -- --prepare "$work/bin/moonshell-step" -n moonshell "$commit"
programs=
if podman_ready podman && podman_base; then
    script podman-step "$podman rm -f filled >/dev/null 2>&1 || true" \
        "$podman run --name filled --network none $base fill" sync
    if works podman "$work/bin/podman-step"; then
        script podman-both "$work/bin/podman-step" "$podman commit -q filled $image"
        set -- "$@" --prepare "$work/bin/podman-step" -n podman "$podman commit -q filled $image"
        programs="$programs podman"
    fi
fi
if docker_ready && docker_base; then
    docker_images="$docker_images $image"
    script docker-step "docker rm -f moonshell-bench >/dev/null 2>&1 || true" \
        "docker run --name moonshell-bench --network none $base fill" sync
    if works docker "$work/bin/docker-step"; then
        script docker-both "$work/bin/docker-step" "docker commit moonshell-bench $image"
        set -- "$@" --prepare "$work/bin/docker-step" -n docker "docker commit moonshell-bench $image"
        programs="$programs docker"
    fi
fi
measure "commit: 5,000 small files and 50 MiB of noise" 5 1 "docker 0.5" -N "$@"

set -- -n moonshell "$both"
for program in $programs; do set -- "$@" -n "$program" "$work/bin/$program-both"; done
measure "commit: the same with the step that writes them" 5 1 "docker 0.5" -N --prepare sync "$@"
case $programs in *docker*) docker rm -f moonshell-bench >/dev/null ;; esac
