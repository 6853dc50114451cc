#!/bin/bash
# Starts a Docker engine when none answers, and waits for it: docker/start-engine.sh [FOLDER]
# FOLDER (/var/run by default) gets dockerd.log and, only when this script started the engine, dockerd.pid.
set -euo pipefail

folder=${1:-/var/run}
deadline=$((SECONDS + 60))

if docker version >/dev/null 2>&1; then
    echo "an engine answers: $(docker version --format '{{.Server.Version}}')"
    exit 0
fi
for need in docker dockerd; do
    command -v "$need" >/dev/null || {
        echo "start-engine: $need is not installed: apt-get install docker.io" >&2
        exit 1
    }
done
[ "$(id -u)" = 0 ] || {
    echo "start-engine: only root can start an engine" >&2
    exit 1
}

# An engine that was killed leaves its pid files, and dockerd will not start over the pid of whoever has it now, be it
# the zombie of its predecessor.
forget_dead() {
    local file=$1 name=$2 pid state
    [ -e "$file" ] || return 0
    pid=$(cat "$file")
    state=$(awk '$1 == "State:" {print $2}' "/proc/$pid/status" 2>/dev/null || true)
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$name" ] || [ "$state" = Z ]; then
        rm -f "$file"
    fi
}
forget_dead /var/run/docker.pid dockerd
forget_dead /var/run/docker/containerd/containerd.pid containerd

mkdir -p "$folder"
# A session of its own, so that a Ctrl-C meant for the caller leaves the engine alone.
setsid dockerd >"$folder/dockerd.log" 2>&1 </dev/null &
echo $! >"$folder/dockerd.pid"
until docker version >/dev/null 2>&1; do
    if ! kill -0 "$(cat "$folder/dockerd.pid")" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
        echo "start-engine: dockerd did not come up; the end of $folder/dockerd.log:" >&2
        tail -n 20 "$folder/dockerd.log" >&2
        exit 1
    fi
    sleep 0.3
done
echo "started an engine: $(docker version --format '{{.Server.Version}}')"
