#!/usr/bin/env bash
# Start a one-node Ceph object gateway (the S3 API) on 127.0.0.1: any user, no systemd.
#
#   rgw-up.sh [DIR]     state, logs and PIDs go into DIR (default /tmp/featurelib-rgw);
#                       `. DIR/env` then sets what `make test-servers` asks for
#
# Packages: radosgw ceph-mon ceph-osd.  Stop it with rgw-down.sh DIR.
# Variables: PORT (S3, 7480), MON_PORT (13300), STORE (memstore or bluestore).
set -euo pipefail

dir=${1:-/tmp/featurelib-rgw}
port=${PORT:-7480}
mon_port=${MON_PORT:-13300}
store=${STORE:-memstore}
here=$(dirname "$(realpath "$0")")

fail() { echo "rgw-up: $*" >&2; exit 1; }
listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# Debian keeps the daemons in /usr/bin, Ceph's own packages some in /usr/sbin.
PATH=$PATH:/usr/sbin:/sbin
for program in ceph ceph-mon ceph-osd monmaptool radosgw radosgw-admin; do
    command -v "$program" > /dev/null ||
        fail "$program is not installed (packages: radosgw ceph-mon ceph-osd)"
done
for number in "$port" "$mon_port"; do
    ! listening "$number" || fail "port $number is taken: choose another with PORT or MON_PORT"
done
[ ! -e "$dir" ] || fail "$dir exists: stop it first with rgw-down.sh $dir"

mkdir -p "$dir"/{mon,osd,rgw}
dir=$(realpath "$dir")
conf=$dir/ceph.conf
fsid=$(cat /proc/sys/kernel/random/uuid)

# A start that fails half-way leaves its logs, but no processes.
trap '[ $? = 0 ] || KEEP_DIR=1 "$here/rgw-down.sh" "$dir"' EXIT

cat > "$conf" <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$mon_port
auth cluster required = none
auth service required = none
auth client required = none
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = $dir
admin socket = $dir/\$name.asok
log file = $dir/\$name.log
crash dir = $dir
keyring = $dir/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
paxos propose interval = 0.1
# radosgw wants an encrypted link to the monitor, which "auth none" cannot give
ms mon client mode = crc
[mon]
mon data = $dir/mon
mon cluster log file = $dir/cluster.log
mon data avail crit = 1
[osd]
osd data = $dir/osd
osd objectstore = $store
memstore device bytes = 4G
bluestore block size = 8G
bluestore cache autotune = false
bluestore cache size = 64M
[client.rgw]
# without tcp_nodelay many an answer waits 40 ms for the client's acknowledgement
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
CONF
touch "$dir/keyring"

start() {   # NAME COMMAND...: run in the background, keep the PID
    local name=$1
    shift
    setsid "$@" > "$dir/$name.out" 2>&1 < /dev/null &
    echo $! > "$dir/$name.pid"
}

monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$dir/monmap" \
    > "$dir/mkfs.out"
ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap" >> "$dir/mkfs.out" 2>&1
start mon ceph-mon -c "$conf" -f -i a

osd_uuid=$(cat /proc/sys/kernel/random/uuid)
timeout 60 ceph -c "$conf" osd new "$osd_uuid" > /dev/null ||
    fail "the monitor did not answer, see $dir/mon.out"
ceph-osd -c "$conf" --mkfs -i 0 --osd-uuid "$osd_uuid" >> "$dir/mkfs.out" 2>&1
start osd ceph-osd -c "$conf" -f -i 0

timeout 60 radosgw-admin -c "$conf" user create --uid=test --display-name=test \
    --access-key=testkey --secret-key=testsecret > "$dir/user.json" 2> "$dir/user.err" ||
    fail "no user could be made, see $dir/user.err and $dir/osd.out"
start rgw radosgw -c "$conf" -f -n client.rgw

deadline=$((SECONDS + 30))
until listening "$port"; do
    kill -0 "$(cat "$dir/rgw.pid")" 2> /dev/null || fail "the gateway ended, see $dir/rgw.out"
    [ "$SECONDS" -lt "$deadline" ] || fail "the gateway does not answer, see $dir/rgw.out"
    sleep 0.1
done

cat > "$dir/env" <<ENV
export FEATURELIB_TEST_S3_ENDPOINT=http://127.0.0.1:$port
export AWS_ACCESS_KEY_ID=testkey
export AWS_SECRET_ACCESS_KEY=testsecret
ENV
echo "S3 at http://127.0.0.1:$port (key testkey, secret testsecret); set by: . $dir/env"
