#!/bin/bash
# Fills docker/wheelhouse with every wheel of the image, so that its build needs no package index:
#   docker/fill-wheelhouse.sh [FOLDER]
# Indexes are those of this machine's own pip configuration; TORCH_INDEX as in docker/install-torch.sh.
# PYTHON: any Python with pip. IMAGE_PYTHON: the Python of the base image (3.11), which may be another one.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
wheelhouse=${1:-$here/wheelhouse}
python=${PYTHON:-python3}
image_python=${IMAGE_PYTHON:-3.11}
torch="torch==$("$here/install-torch.sh" --version)+cpu"

"$python" -m pip --version >/dev/null || {
    echo "fill-wheelhouse: $python has no pip; name one that has: PYTHON=.venv/bin/python $0" >&2
    exit 1
}
mkdir -p "$wheelhouse"

# Debian 12 has glibc 2.36; pip does not infer that an image which takes 2_36 takes the older ones as well.
platforms=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64 --platform manylinux2010_x86_64)
for minor in $(seq 5 36); do
    platforms+=(--platform "manylinux_2_${minor}_x86_64")
done
fetch() {
    "$python" -m pip --disable-pip-version-check download -q --no-deps --only-binary=:all: --dest "$wheelhouse" \
        --implementation cp --python-version "$image_python" "${platforms[@]}" "$@"
}

if [ -n "${TORCH_INDEX:-}" ]; then
    fetch --index-url "$TORCH_INDEX" "$torch"
else
    fetch "$torch" || fetch --index-url "$("$here/install-torch.sh" --public-index)" "$torch"
fi
fetch -r "$here/requirements.txt"
echo "$(find "$wheelhouse" -name '*.whl' | wc -l) wheels in $wheelhouse, $(du -sh "$wheelhouse" | cut -f1)"
