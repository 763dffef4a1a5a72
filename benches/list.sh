#!/bin/sh
# A list of 1,000 names of one image, and of 1,000 images. The peers list the names only.
. "$(dirname -- "$0")/lib.sh"

# In memory: a thousand durable names take minutes to write, and a list reads them from memory anyway.
mkdir "$MOONSHELL_ROOT" && mount -t tmpfs tmpfs "$MOONSHELL_ROOT"

make_rootfs
moonshell_base
"$MOONSHELL" -e "local base = image.get '$base'
    for i = 1, 1000 do base:tag('localhost/moonshell-bench/names:' .. i) end"

set -- -n moonshell "$MOONSHELL -e 'assert(image.list()[1].names[1000])'"
if podman_ready podman && podman_base; then
    $podman tag "$base" $(seq -f localhost/moonshell-bench/names:%g 1000)
    set -- "$@" -n podman "$podman images"
fi
if docker_ready && docker_base; then
    docker_images="$docker_images $(seq -f localhost/moonshell-bench/names:%g 1000)"
    for name in $(seq -f localhost/moonshell-bench/names:%g 1000); do docker tag "$base" "$name"; done
    set -- "$@" -n docker "docker images"
fi
measure "list: one image with 1,000 names" 30 1 "ms 10" -N --warmup 2 "$@"

"$MOONSHELL" --root "$MOONSHELL_ROOT/thousand" --progress none -e "for i = 1, 1000 do
    build.scratch():label{number = tostring(i)}:commit('localhost/moonshell-bench/images:' .. i) end"
measure "list: 1,000 images" 30 1 "ms 10" -N --warmup 2 \
    -n moonshell "$MOONSHELL --root $MOONSHELL_ROOT/thousand -e 'assert(#image.list() == 1000)'"
