#!/usr/bin/env bash
# Stop what rgw-up.sh started in DIR (default /tmp/featurelib-rgw), and delete DIR.
# KEEP_DIR=1 leaves DIR and its logs.
set -euo pipefail

[ -e "${1:-/tmp/featurelib-rgw}/ceph.conf" ] ||
    { echo "rgw-down: nothing in ${1:-/tmp/featurelib-rgw}" >&2; exit 1; }
dir=$(realpath "${1:-/tmp/featurelib-rgw}")

# PIDs are used again: only a process that was started with this folder is ours.
ours() { grep -qsF -- "$dir/ceph.conf" "/proc/$1/cmdline"; }

for name in rgw osd mon; do
    [ -e "$dir/$name.pid" ] || continue
    pid=$(cat "$dir/$name.pid")
    ! ours "$pid" || kill "$pid" 2> /dev/null || true
    deadline=$((SECONDS + 10))
    while ours "$pid"; do
        [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$pid" 2> /dev/null || true
        sleep 0.1
    done
done
[ -n "${KEEP_DIR:-}" ] || rm -rf "$dir"
