#!/bin/sh
# Installs torch, and torch alone, into the environment of a Python: docker/install-torch.sh PYTHON [more pip arguments]
# The Makefile, the image and the lock all come here, so that the version has one home.
#
#   TORCH=cpu          (default) the CPU build: about 190 MB
#   TORCH=cuda         the plain build with its CUDA packages: several gigabytes, so only on request
#   TORCH_INDEX=URL    where the CPU build is looked for when the configured index does not have it
set -eu

VERSION=2.13.0
PUBLIC_CPU_INDEX=https://download.pytorch.org/whl/cpu

case "${1:-}" in
--version)
    echo "$VERSION"
    exit 0
    ;;
--public-index)
    echo "$PUBLIC_CPU_INDEX"
    exit 0
    ;;
esac
python=$1
shift
pip="$python -m pip --disable-pip-version-check"

case "${TORCH:-cpu}" in
cuda)
    exec $pip install "torch==$VERSION" "$@"
    ;;
cpu) ;;
*)
    echo "TORCH is '$TORCH'; it can be cpu or cuda" >&2
    exit 2
    ;;
esac

# Only a CPU index has a version that ends in +cpu, so the first attempt can never fetch the CUDA packages.
wanted="torch==$VERSION+cpu"
if [ -z "${TORCH_INDEX:-}" ]; then
    if said=$($pip install -q --no-deps "$wanted" "$@" 2>&1); then
        exit 0
    fi
    case "$said" in
    *"No matching distribution"*) echo "the configured index has no $wanted; asking $PUBLIC_CPU_INDEX" ;;
    *)
        echo "$said" >&2
        exit 1
        ;;
    esac
fi
exec $pip install --no-deps --index-url "${TORCH_INDEX:-$PUBLIC_CPU_INDEX}" "$wanted" "$@"
