#!/bin/sh
# From the start of the process to its end, with nothing to do. The static busybox shows what any process costs.
. "$(dirname -- "$0")/lib.sh"

set -- -n moonshell "$MOONSHELL -e ''"
if installed busybox; then set -- "$@" -n "busybox true" "busybox true"; fi
measure "start: \`moonshell -e ''\`, whole process" 200 1 "ms 5" -N --warmup 10 "$@"
