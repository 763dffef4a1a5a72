#!/bin/sh
# Containers that last: a program inside one, forty started at once, a list of a thousand, 300 side by side, and the
# memory of a monitor.
. "$(dirname -- "$0")/lib.sh"

make_rootfs
moonshell_base
podman_here= docker_here=
if podman_ready podman && podman_base; then podman_here=1; fi
if docker_ready && docker_base; then docker_here=1; fi

# A program inside a running container.
"$MOONSHELL" -e "container.start('$base', {'sleep', '3600'}, {name = 'inside'})"
set -- -n moonshell "$MOONSHELL -e 'container.get(\"inside\"):exec({\"true\"})'"
if crun_bundle /bin/sleep 3600; then
    if works crun crun --root "$work/crun" run --detach --bundle "$work/bundle" msbench; then
        set -- "$@" -n crun "crun --root $work/crun exec msbench /bin/true"
    fi
fi
if [ -n "$podman_here" ] && works podman $podman run -d --network none --name inside "$base" sleep 3600; then
    set -- "$@" -n podman "$podman exec inside true"
fi
if [ -n "$docker_here" ] && works docker docker run -d --network none --name msbench-inside "$base" sleep 3600; then
    set -- "$@" -n docker "docker exec msbench-inside true"
fi
measure "exec: \`true\` inside a running container, whole process" 50 1 "crun 1.5" -N --warmup 3 "$@"

# What a monitor keeps in memory; conmon beside it.
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }
note "monitor: $(resident "$(pgrep -x moonshell-mon | head -n 1)") kB resident, aim 2,048 kB"
if pgrep -x conmon >/dev/null; then note "conmon: $(resident "$(pgrep -x conmon | head -n 1)") kB resident"; fi
if pgrep -f containerd-shim >/dev/null; then
    note "containerd-shim: $(resident "$(pgrep -f containerd-shim | head -n 1)") kB resident"
fi
"$MOONSHELL" -e "container.get('inside'):remove{force = true}"
if installed crun; then crun --root "$work/crun" delete --force msbench 2>/dev/null || true; fi
if [ -n "$podman_here" ]; then $podman rm -f -t 0 inside >/dev/null; fi
if [ -n "$docker_here" ]; then docker rm -f msbench-inside >/dev/null; fi

# Forty at once: from nothing to forty that run; taken away before each measurement.
cat >"$work/forty.lua" <<END
local base, jobs = image.get "$base", {}
for i = 1, 40 do
  jobs[i] = function() container.start(base, {"sleep", "3600"}, {name = "forty-" .. i}) end
end
parallel(jobs)
END
cat >"$work/gone.lua" <<'END'
for _, c in ipairs(container.list{all = true}) do c:remove{force = true} end
END
printf 'for i in $(seq 40); do %s run -d --network none --name forty-$i %s sleep 3600 >/dev/null & done; wait\n' \
    "${podman:-podman}" "$base" >"$work/forty.podman.sh"
printf 'for i in $(seq 40); do docker run -d --network none --name forty-$i %s sleep 3600 >/dev/null & done; wait\n' \
    "$base" >"$work/forty.docker.sh"
set -- --prepare "$MOONSHELL $work/gone.lua" -n moonshell "$MOONSHELL $work/forty.lua"
if [ -n "$podman_here" ]; then
    set -- "$@" --prepare "$podman rm -f -a -t 0" -n podman "sh $work/forty.podman.sh"
fi
if [ -n "$docker_here" ]; then
    gone='docker rm -f $(docker ps -aq --filter name=forty-)'
    set -- "$@" --prepare "sh -c '$gone || true'" -n docker "sh $work/forty.docker.sh"
fi
measure "start: 40 containers at once, detached" 5 1 "podman 0.16667" -N "$@"
"$MOONSHELL" "$work/gone.lua"
if [ -n "$podman_here" ]; then $podman rm -f -a -t 0 >/dev/null; fi
if [ -n "$docker_here" ]; then sh -c "$gone" >/dev/null 2>&1 || true; fi

# A list of a thousand.
"$MOONSHELL" --progress none -e "local base = image.get '$base'
    for i = 1, 1000 do container.create(base, {'true'}, {name = 'list-' .. i}) end"
measure "list: 1,000 containers" 30 1 "ms 10" -N --warmup 2 \
    -n moonshell "$MOONSHELL -e 'assert(#container.list{all = true} == 1000)'"
"$MOONSHELL" "$work/gone.lua"

# Three hundred that run: is the last as quick to start as the first?
cat >"$work/many.lua" <<END
local base = image.get "$base"
local function now() return tonumber(host.out "date +%s%N") / 1e6 end
local function start(first, last)
  local from = now()
  for i = first, last do container.start(base, {"sleep", "3600"}, {name = "many-" .. i}) end
  return (now() - from) / (last - first + 1)
end
local first = start(1, 20)
start(21, 280)
local last = start(281, 300)
local from = now()
assert(#container.list() == 300)
io.stderr:write(("300 at once: %.1f ms each for the first 20, %.1f for the last 20; a list of them %.1f ms\n")
  :format(first, last, now() - from))
END
"$MOONSHELL" "$work/many.lua"
"$MOONSHELL" "$work/gone.lua"
