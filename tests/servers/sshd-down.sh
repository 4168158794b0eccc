#!/usr/bin/env bash
# Stop what sshd-up.sh started in DIR (default /tmp/featurelib-sshd), and delete DIR.
# KEEP_DIR=1 leaves DIR and its log.
set -euo pipefail

[ -e "${1:-/tmp/featurelib-sshd}/host.pub" ] ||
    { echo "sshd-down: nothing in ${1:-/tmp/featurelib-sshd}" >&2; exit 1; }
dir=$(realpath "${1:-/tmp/featurelib-sshd}")

# PIDs are used again: only a process that was started with this folder is ours.
ours() { grep -qsF -- "$dir/sshd_config" "/proc/$1/cmdline"; }

if [ -e "$dir/sshd.pid" ]; then
    pid=$(cat "$dir/sshd.pid")
    ! ours "$pid" || kill "$pid" 2> /dev/null || true
    deadline=$((SECONDS + 10))
    while ours "$pid"; do
        [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$pid" 2> /dev/null || true
        sleep 0.1
    done
fi
[ -n "${KEEP_DIR:-}" ] || rm -rf "$dir"
