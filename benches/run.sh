#!/bin/sh
# Runs all benchmarks, or those named, and writes a Markdown table with the machine: run.sh [--write] [NAME...]
# With --write the table replaces the results in README.md.
. "$(dirname -- "$0")/lib.sh"

write=
if [ "${1-}" = --write ]; then write=1 && shift; fi
[ $# -gt 0 ] || set -- start container lasting pull build context commit list

export BENCH_TABLE="$work/table"
: >"$BENCH_TABLE"
for name in "$@"; do
    [ -f "$here/$name.sh" ] || fail "there is no benchmark '$name'"
    sh "$here/$name.sh" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; fail "$name failed"; }
    cat "$work/log" >&2
    grep '^skipped: ' "$work/log" >>"$work/skipped" || true
done

# version COMMAND...: the first number with a dot in what the command prints.
version() {
    if command -v "$1" >/dev/null; then "$@" 2>/dev/null | grep -o '[0-9][0-9]*\.[0-9][0-9.]*' | head -n 1; fi
}
peers=
for peer in crun bwrap podman buildah docker dockerd tar hyperfine; do
    number=$(version "$peer" --version)
    if [ -n "$number" ]; then peers="$peers${peers:+, }$peer $number"; fi
done
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)

report() {
    echo "Measured $(date -u +%Y-%m-%d) with moonshell $(version "$MOONSHELL" --version) on Linux $(uname -r)," \
        "$(nproc) processors (${processor:-$(uname -m)}), $(stat -f -c %T "$work")."
    echo "Against $peers."
    if [ -s "$work/skipped" ]; then
        echo && sort -u "$work/skipped" | sed 's/^skipped: /- Not measured: /'
    fi
    echo
    echo "| work | program | median ms | range ms | times moonshell | aim |"
    echo "|---|---|---|---|---|---|"
    cat "$BENCH_TABLE"
}

report >"$work/report"
cat "$work/report"
if [ -n "$write" ]; then
    awk -v report="$work/report" '
        /^<!-- end of results -->/ { inside = 0 }
        !inside { print }
        /^<!-- results -->/ { inside = 1; print ""; while ((getline line < report) > 0) print line; print "" }
    ' "$here/README.md" >"$work/README.md"
    cat "$work/README.md" >"$here/README.md"
fi
