#!/bin/bash
# Starts a Ceph object gateway (RGW) for the tests, with the monitor and the one disk that it needs:
#   docker/start-rgw.sh FOLDER [PORT]      PORT is 19002 by default, on loopback
# FOLDER keeps everything: settings, objects, logs, pids. A second start finds the objects of the first.
# Packages: apt-get install radosgw ceph-mon ceph-osd. About 15 s the first time, 10 s later; docker/stop-rgw.sh ends it.
set -euo pipefail

[ $# -ge 1 ] || {
    echo "usage: $0 FOLDER [PORT]" >&2
    exit 2
}
mkdir -p "$1"
folder=$(cd "$1" && pwd)
port=${2:-19002}
conf=$folder/ceph.conf
# The same as in tests/support/services.py: a user without any value, reachable from this machine alone.
access_key=BATCHRLTESTKEY000001
secret_key=batchrl-test-secret-0000000000000000001
export CEPH_CONF=$conf

fail() {
    echo "start-rgw: $*" >&2
    exit 1
}

# await SECONDS NAME COMMAND...: until the command succeeds, or the daemon NAME has died.
await() {
    local deadline=$((SECONDS + $1)) name=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        kill -0 "$(cat "$folder/$name.pid")" 2>/dev/null || fail "$name has ended: $(tail -n 5 "$folder/log/$name.out")"
        [ $SECONDS -lt $deadline ] || fail "$name did not get ready; its log is $folder/log/$name.out"
        sleep 0.3
    done
}

# launch NAME COMMAND...: a daemon in a session of its own, its pid in FOLDER/NAME.pid.
launch() {
    local name=$1
    shift
    setsid "$@" >"$folder/log/$name.out" 2>&1 </dev/null &
    echo $! >"$folder/$name.pid"
}

monitor_answers() { timeout 5 ceph -s; }
disk_is_up() { timeout 5 ceph osd stat | grep -q '1 up'; }
# An unsigned request is refused by a gateway that works, so any answer will do here.
gateway_answers() { python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1).close()"; }

start_monitor() {
    launch mon ceph-mon -i a -f
    await 60 mon monitor_answers
}

start_disk() {
    launch osd ceph-osd -i 0 --keyring "$folder/osd/keyring" -f
    await 60 osd disk_is_up
}

start_gateway() {
    launch rgw radosgw -n client.rgw -k "$folder/keyring" -f
    await 90 rgw gateway_answers
}

write_settings() {
    cat >"$conf" <<SETTINGS
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = $folder/keyring
admin socket = $folder/run/\$name.asok
log file = $folder/log/\$name.log
run dir = $folder/run
pid file =
# One disk, one copy: enough for tests.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
osd crush location = host=localhost root=default
mon allow pool size one = true
mon max pg per osd = 1000
mon data = $folder/mon
mon data avail warn = 2
mon data avail crit = 1
osd data = $folder/osd
osd objectstore = bluestore
bluestore block create = true
# A sparse file: it takes what is stored in it.
bluestore block size = 21474836480
osd memory target = 1073741824
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw thread pool size = 64
rgw dynamic resharding = false
# Overwritten objects give their space back soon.
rgw gc obj min wait = 60
SETTINGS
}

make_monitor() {
    local fsid
    fsid=$(sed -n 's/^fsid = //p' "$conf")
    ceph-authtool --create-keyring "$folder/keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$folder/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    ceph-authtool "$folder/keyring" --gen-key -n client.rgw --cap mon 'allow *' --cap osd 'allow *'
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]" "$folder/monmap"
    ceph-mon --mkfs -i a --monmap "$folder/monmap" --keyring "$folder/keyring"
}

make_disk() {
    local uuid
    uuid=$(cat /proc/sys/kernel/random/uuid)
    ceph osd new "$uuid"
    ceph-authtool --create-keyring "$folder/osd/keyring" --gen-key -n osd.0
    ceph auth add osd.0 osd 'allow *' mon 'allow profile osd' -i "$folder/osd/keyring"
    ceph-osd -i 0 --mkfs --osd-uuid "$uuid" --keyring "$folder/osd/keyring"
}

make_user() {
    radosgw-admin user create --uid=batchrl-test --display-name=batchrl-test --max-buckets=1000 \
        --access-key="$access_key" --secret-key="$secret_key"
}

# A signed list of buckets: the gateway, the disk under it and the user all have to work for it.
list_buckets() {
    python3 - "$port" "$access_key" "$secret_key" <<'SIGNED'
import base64, email.utils, hashlib, hmac, sys, urllib.request
port, access_key, secret_key = sys.argv[1:]
date = email.utils.formatdate(usegmt=True)
digest = hmac.new(secret_key.encode(), f"GET\n\n\n{date}\n/".encode(), hashlib.sha1).digest()
headers = {"Date": date, "Authorization": f"AWS {access_key}:{base64.b64encode(digest).decode()}"}
answer = urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers), timeout=30).read()
sys.exit(b"ListAllMyBucketsResult" not in answer)
SIGNED
}

for need in ceph-mon ceph-osd radosgw radosgw-admin ceph; do
    command -v "$need" >/dev/null || fail "$need is not installed: apt-get install radosgw ceph-mon ceph-osd"
done
[ "$(id -u)" = 0 ] || fail "Ceph's daemons are started by root"
if [ -e "$folder/rgw.pid" ] && kill -0 "$(cat "$folder/rgw.pid")" 2>/dev/null; then
    list_buckets || fail "a gateway runs (pid $(cat "$folder/rgw.pid")), but does not answer on port $port"
    echo "a gateway answers already at http://127.0.0.1:$port"
    exit 0
fi

# What did not come up whole does not stay half.
trap '[ $? = 0 ] || "$(dirname "$0")/stop-rgw.sh" "$folder"' EXIT
[ -e "$folder/made" ] || rm -rf "$folder"/{mon,osd,log,run,keyring,monmap}
mkdir -p "$folder"/{mon,osd,log,run}
if [ -e "$folder/made" ]; then
    start_monitor
    start_disk
else
    write_settings
    make_monitor >"$folder/log/make.out" 2>&1 || fail "see $folder/log/make.out"
    start_monitor
    make_disk >>"$folder/log/make.out" 2>&1 || fail "see $folder/log/make.out"
    start_disk
    make_user >>"$folder/log/make.out" 2>&1 || fail "see $folder/log/make.out"
    touch "$folder/made"
fi
start_gateway
await 60 rgw list_buckets
echo "a gateway answers at http://127.0.0.1:$port"
