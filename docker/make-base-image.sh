#!/bin/bash
# Makes a base image out of Debian packages, for machines that reach no image registry (about 35 s, as root):
#   docker/make-base-image.sh [TAG]        TAG is batchrl-base:bookworm by default
# then: batchrl image build --base-image TAG
# Packages come from the Debian mirror of this machine's own apt configuration, or from MIRROR.
set -euo pipefail

tag=${1:-batchrl-base:bookworm}
suite=${SUITE:-bookworm}
packages=python3,python3-pip,python3-venv,ca-certificates

fail() {
    echo "make-base-image: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "a root file system is made as root: run it with sudo"
command -v docker >/dev/null || fail "there is no docker command"
docker version >/dev/null 2>&1 || fail "no Docker engine answers; docker/start-engine.sh starts one"
if docker image inspect "$tag" >/dev/null 2>&1; then
    echo "$tag is there already; docker rmi $tag makes room for a new one"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# mmdebstrap reads this machine's own sources, so a mirror that works for apt works here.
if command -v mmdebstrap >/dev/null; then
    mmdebstrap --quiet --variant=minbase --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' --aptopt='APT::Install-Recommends "false"' \
        "$suite" "$work/root.tar" ${MIRROR:+"$MIRROR"}
elif command -v debootstrap >/dev/null; then
    debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" ${MIRROR:+"$MIRROR"}
    rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
    tar -C "$work/root" -cf "$work/root.tar" .
else
    fail "neither mmdebstrap nor debootstrap is installed: apt-get install mmdebstrap"
fi
docker import --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' "$work/root.tar" "$tag" >/dev/null
echo "made $tag"
