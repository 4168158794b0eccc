#!/usr/bin/env bash
# Cancel the jobs of what slurm-up.sh started in DIR (default /tmp/featurelib-slurm), stop it, and
# delete DIR.  KEEP_DIR=1 leaves DIR and its logs.
set -euo pipefail

[ -e "${1:-/tmp/featurelib-slurm}/slurm.conf" ] ||
    { echo "slurm-down: nothing in ${1:-/tmp/featurelib-slurm}" >&2; exit 1; }
dir=$(realpath "${1:-/tmp/featurelib-slurm}")
export SLURM_CONF=$dir/slurm.conf

# PIDs are used again: only a process that was started with this folder is ours.
ours() { grep -qsF -- "$dir/" "/proc/$1/cmdline"; }

no_jobs() { [ -z "$(timeout 10 squeue -h 2> /dev/null)" ]; }

if [ -e "$dir/slurmctld.pid" ] && timeout 10 scancel --me 2> /dev/null; then
    deadline=$((SECONDS + 15))
    until no_jobs || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.2; done
fi
for name in slurmd slurmctld munged; do
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
