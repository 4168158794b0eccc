#!/usr/bin/env bash
# Start a one-node Slurm on 127.0.0.1 (munged, slurmctld, slurmd): any user, no systemd.
#
#   slurm-up.sh [DIR]   state, logs and PIDs go into DIR (default /tmp/featurelib-slurm);
#                       `export SLURM_CONF=DIR/slurm.conf`, then sinfo, sbatch, squeue work
#
# Packages: slurm-wlm munge.  Stop it, and its jobs, with slurm-down.sh DIR.
# Variables: CPUS (what the node claims to have, 2), PORT and NODE_PORT (16817, 16818).
set -euo pipefail

dir=${1:-/tmp/featurelib-slurm}
port=${PORT:-16817}
node_port=${NODE_PORT:-16818}
here=$(dirname "$(realpath "$0")")
node=$(hostname -s)
user=$(id -un)
megabytes=$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)

fail() { echo "slurm-up: $*" >&2; exit 1; }

PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd sbatch squeue sinfo; do
    command -v "$program" > /dev/null ||
        fail "$program is not installed (packages: slurm-wlm munge)"
done
[ ! -e "$dir" ] || fail "$dir exists: stop it first with slurm-down.sh $dir"

mkdir -p "$dir"/{state,spool}
chmod 755 "$dir"
dir=$(realpath "$dir")
export SLURM_CONF=$dir/slurm.conf

# A start that fails half-way leaves its logs, but no processes.
trap '[ $? = 0 ] || KEEP_DIR=1 "$here/slurm-down.sh" "$dir"' EXIT

cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$node_port
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$dir/munge.sock
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.own.pid
SlurmdPidFile=$dir/slurmd.own.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
MailProg=/bin/true
MpiDefault=none
# neither cgroups nor an accounting database: for those this would have to be root's, or systemd's
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
ReturnToService=2
# a job over its wall time gets SIGTERM at once, and SIGKILL after KillWait
OverTimeLimit=0
KillWait=5
NodeName=$node NodeAddr=127.0.0.1 CPUs=${CPUS:-2} RealMemory=$megabytes
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP
CONF
(umask 077; head -c 1024 /dev/urandom > "$dir/munge.key")

start() {   # NAME COMMAND...: run in the background, keep the PID
    local name=$1
    shift
    setsid "$@" > "$dir/$name.out" 2>&1 < /dev/null &
    echo $! > "$dir/$name.pid"
}

wait_for() {   # WHAT COMMAND...: until the command succeeds
    local what=$1 deadline=$((SECONDS + 30))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$what, see $dir/*.out and $dir/*.log"
        sleep 0.1
    done
}

is_idle() { [ "$(sinfo -h -o %t 2> /dev/null)" = idle ]; }

start munged munged --foreground --force --key-file "$dir/munge.key" \
    --socket "$dir/munge.sock" --pid-file "$dir/munged.own.pid" \
    --log-file "$dir/munged.log" --seed-file "$dir/munged.seed"
wait_for "munged does not start" test -S "$dir/munge.sock"
start slurmctld slurmctld -D -f "$SLURM_CONF"
start slurmd slurmd -D -f "$SLURM_CONF"
wait_for "the node does not become idle" is_idle

echo "Slurm is up: export SLURM_CONF=$SLURM_CONF"
