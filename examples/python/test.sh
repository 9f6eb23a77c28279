#!/bin/sh
# Builds the wheel, installs it with pip into a fresh virtual environment, and runs its tests and the mosaic there. Where
# there is no Vulkan driver it installs Mesa's software one, as `sh tests/run.sh` does.
#
#   sh examples/python/test.sh [what to hand to pytest]
#
# PYTHON names an interpreter: from 3.11 on, for what the tests compare with. What is fetched lies in
# ~/.cache/channelwise/python and may be deleted.
set -eu
cd "$(dirname "$0")"

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "What the tests compare with needs CPython 3.11 or later, and $python is older; PYTHON names another" >&2
    exit 1
}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/channelwise/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache"
sh ../../tests/vulkan.sh
# Without it a layer of Mesa complains about a missing Wayland display.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$work}"

"$python" -m venv "$work/build" || {
    echo "python3-venv is needed (the name of Debian's package)" >&2
    exit 1
}
"$work/build/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9,<2'
"$work/build/bin/maturin" build --release --locked --out "$work/wheels" --interpreter "$work/build/bin/python"
ls -l "$work/wheels"

# The wheel and what it depends on, and nothing else.
"$python" -m venv "$work/alone"
"$work/alone/bin/pip" install --quiet --disable-pip-version-check "$work"/wheels/*.whl
(cd "$work" && alone/bin/python -c '
import channelwise, numpy
x = numpy.arange(300, dtype="float32").reshape(1, 10, 10, 3)
assert channelwise.filter2d(x, numpy.ones((3, 3)) / 9, like="tensorflow").shape == (1, 8, 8, 3)
print(channelwise.Engine())
')

"$python" -m venv "$work/v"
v=$work/v/bin
"$v/pip" install --quiet --disable-pip-version-check "$(ls "$work"/wheels/*.whl)[test]"
# Its tests are in its source distribution alone.
version=$("$v/python" -c 'import importlib.metadata as m; print(m.version("dask-image"))')
[ -d "$cache/dask_image-$version" ] || {
    "$v/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$work/sdist" "dask-image==$version"
    tar -xzf "$work/sdist/dask_image-$version.tar.gz" -C "$cache"
}
DASK_IMAGE_TESTS=$cache/dask_image-$version/tests/test_dask_image/test_ndfilters
export DASK_IMAGE_TESTS
"$v/python" -m pytest -q -p no:cacheprovider "$@"

"$v/python" mosaic.py --height 4000 --width 5000 --folder "$work" --picture "$work/mosaic.png"
test -s "$work/mosaic.png"
