#!/usr/bin/env bash
# Start an OpenSSH server for the current user on 127.0.0.1, with keys of its own: no systemd.
#
#   sshd-up.sh [DIR]    keys, log and PID go into DIR (default /tmp/featurelib-sshd)
#
# DIR/id is the client's key, DIR/known_hosts the server's, and DIR/port its port.
# Package: openssh-server.  Stop it with sshd-down.sh DIR.
# Variables: PORT (2222).
set -euo pipefail

dir=${1:-/tmp/featurelib-sshd}
port=${PORT:-2222}
here=$(dirname "$(realpath "$0")")

fail() { echo "sshd-up: $*" >&2; exit 1; }
listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

PATH=$PATH:/usr/sbin:/sbin
sshd=$(command -v sshd) || fail "sshd is not installed (package: openssh-server)"
! listening "$port" || fail "port $port is taken: choose another with PORT"
[ ! -e "$dir" ] || fail "$dir exists: stop it first with sshd-down.sh $dir"

mkdir -p "$dir"
chmod 700 "$dir"
dir=$(realpath "$dir")

# A start that fails half-way leaves its log, but no process.
trap '[ $? = 0 ] || KEEP_DIR=1 "$here/sshd-down.sh" "$dir"' EXIT

for name in host id; do
    ssh-keygen -q -t ed25519 -N '' -f "$dir/$name"
done
cp "$dir/id.pub" "$dir/authorized_keys"
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$dir/host.pub")" > "$dir/known_hosts"
echo "$port" > "$dir/port"
cat > "$dir/sshd_config" <<CONF
ListenAddress 127.0.0.1
Port $port
HostKey $dir/host
AuthorizedKeysFile $dir/authorized_keys
PidFile none
# the folder may be below one that others may write, such as /tmp
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
CONF
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd    # where sshd gives up its rights

setsid "$sshd" -D -f "$dir/sshd_config" -E "$dir/sshd.log" < /dev/null > "$dir/sshd.out" 2>&1 &
echo $! > "$dir/sshd.pid"

deadline=$((SECONDS + 30))
until listening "$port"; do
    kill -0 "$(cat "$dir/sshd.pid")" 2> /dev/null || fail "sshd ended, see $dir/sshd.log"
    [ "$SECONDS" -lt "$deadline" ] || fail "sshd does not answer, see $dir/sshd.log"
    sleep 0.1
done
echo "SSH at 127.0.0.1 port $port, key $dir/id, known hosts $dir/known_hosts"
