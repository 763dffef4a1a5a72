#!/bin/sh
# Twenty steps that each run a program and write a file, and the commit: with nothing known, then with all known.
. "$(dirname -- "$0")/lib.sh"

make_rootfs
moonshell_base
mkdir "$work/context"
echo "FROM $base" >"$work/context/Dockerfile"
for step in $(seq 20); do echo "RUN echo $step > /f$step" >>"$work/context/Dockerfile"; done
cat >"$work/build.lua" <<END
local s = build.from "$base"
for step = 1, 20 do s = s:run("echo " .. step .. " > /f" .. step) end
s:commit "localhost/moonshell-bench:built"
END

options="--network host -q -t localhost/moonshell-bench:built"
buildah_build= docker_build=
if podman_ready buildah && installed podman && podman_base; then
    buildah_build="$buildah build $options"
    works buildah $buildah_build --layers "$work/context" || buildah_build=
fi
if docker_ready && docker_base && docker_build_ready; then
    docker_images="$docker_images localhost/moonshell-bench:built"
    docker_build="$docker_build $options"
    works docker $docker_build "$work/context" || docker_build=
fi

own="$MOONSHELL build $options"
set -- -n moonshell "$MOONSHELL --no-cache $work/build.lua" -n "moonshell, Dockerfile" "$own --no-cache $work/context"
if [ -n "$buildah_build" ]; then
    set -- "$@" -n buildah "$buildah_build --layers --no-cache $work/context"
    # Its default, which keeps no layer of a step and so answers nothing from a cache later.
    set -- "$@" -n "buildah, one layer" "$buildah_build --layers=false --no-cache $work/context"
fi
if [ -n "$docker_build" ]; then set -- "$@" -n docker "$docker_build --no-cache $work/context"; fi
measure "build: 20 uncached \`run\` steps and the commit" 5 1 "buildah 0.1, docker 0.1" -N --warmup 1 "$@"

set -- -n moonshell "$MOONSHELL $work/build.lua" -n "moonshell, Dockerfile" "$own $work/context"
if [ -n "$buildah_build" ]; then set -- "$@" -n buildah "$buildah_build --layers $work/context"; fi
if [ -n "$docker_build" ]; then set -- "$@" -n docker "$docker_build $work/context"; fi
measure "build: the same again, nothing changed" 20 1 "ms 10" -N --warmup 2 "$@"

# What a known step costs by itself: the difference between 500 of them and none.
cat >"$work/many.lua" <<END
local s = build.from "$base"
for step = 1, tonumber(arg[1]) do s = s:write("/many/" .. step, "text " .. step) end
END
"$MOONSHELL" "$work/many.lua" 500
measure "build: 500 cached steps" 20 1 "ms 100" -N --warmup 2 -n moonshell "$MOONSHELL $work/many.lua 500" \
    -n "moonshell, no step" "$MOONSHELL $work/many.lua 0"
