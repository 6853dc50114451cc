#!/bin/bash
# Ends what docker/start-rgw.sh started, gateway first; the objects stay: docker/stop-rgw.sh FOLDER
set -euo pipefail

folder=${1:?usage: docker/stop-rgw.sh FOLDER}
for name in rgw osd mon; do
    [ -e "$folder/$name.pid" ] || continue
    pid=$(cat "$folder/$name.pid")
    kill "$pid" 2>/dev/null || true
    deadline=$((SECONDS + 20))
    while kill -0 "$pid" 2>/dev/null; do
        if [ $SECONDS -ge $deadline ]; then
            kill -9 "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.2
    done
    rm -f "$folder/$name.pid"
done
