#!/bin/sh
# A context of 50,000 small files, copied whole: at first, again with nothing changed, and with one file changed.
. "$(dirname -- "$0")/lib.sh"

context="$work/context"
mkdir "$context" && (
    cd "$context"
    for folder in $(seq 500); do
        mkdir "$folder"
        for file in $(seq 100); do echo "file $file of folder $folder" >"$folder/file-$file.txt"; done
    done
)
printf 'FROM scratch\nCOPY . /\n' >"$context/Dockerfile"
# Files this young are not taken for known (see src/engine/build/stat_cache.rs).
find "$context" -newerct '3 seconds ago' | grep -q . && sleep 3

cat >"$work/copy.lua" <<END
build.scratch():copy(".", "/", {from = build.context "$context"})
END
cat >"$work/bin/change" <<END
#!/bin/sh
date +%N >"$context/250/file-50.txt"
END
cat >"$work/bin/forget" <<END
#!/bin/sh
rm -rf "$MOONSHELL_ROOT/cache/stat"
sync
END
chmod +x "$work/bin/change" "$work/bin/forget"

buildah_build= docker_build=
options="-q -t localhost/moonshell-bench:context"
if podman_ready buildah; then
    buildah_build="$buildah build --layers $options"
    works buildah $buildah_build "$context" || buildah_build=
fi
if docker_ready && docker_base && docker_build_ready; then
    docker_images="$docker_images localhost/moonshell-bench:context"
    docker_build="$docker_build $options"
    works docker $docker_build "$context" || docker_build=
fi

set -- --prepare "$work/bin/forget" -n moonshell "$MOONSHELL --no-cache $work/copy.lua"
if [ -n "$buildah_build" ]; then set -- "$@" --prepare sync -n buildah "$buildah_build --no-cache $context"; fi
if [ -n "$docker_build" ]; then set -- "$@" --prepare sync -n docker "$docker_build --no-cache $context"; fi
measure "context: 50,000 files, copied at first" 3 1 "" -N "$@"

set -- -n moonshell "$MOONSHELL $work/copy.lua"
if [ -n "$buildah_build" ]; then set -- "$@" -n buildah "$buildah_build $context"; fi
if [ -n "$docker_build" ]; then set -- "$@" -n docker "$docker_build $context"; fi
measure "context: the same again, nothing changed" 10 1 "ms 150" -N --warmup 1 "$@"

set -- --prepare "$work/bin/change" -n moonshell "$MOONSHELL $work/copy.lua"
if [ -n "$buildah_build" ]; then set -- "$@" --prepare "$work/bin/change" -n buildah "$buildah_build $context"; fi
if [ -n "$docker_build" ]; then set -- "$@" --prepare "$work/bin/change" -n docker "$docker_build $context"; fi
measure "context: the same with one file changed, all copied again" 3 1 "" -N "$@"
