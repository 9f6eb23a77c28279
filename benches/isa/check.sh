#!/bin/sh
# Whether browsers and Direct3D 12 take every planned shader: Tint (WebGPU's default limits unless
# the plan says otherwise), and naga's HLSL through DXC. Needs cargo, node with npm, python3 with
# pip. The first run takes 1 to 3 minutes and downloads 66 MB, later ones 2 s. See README.md.
#
#   sh benches/isa/check.sh FOLDER
#
# FOLDER is made by `cargo bench --bench engines -- --shaders FOLDER`. The exit status is 1 if a
# shader is refused.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lab.sh"
[ $# -eq 1 ] || die "usage: sh check.sh FOLDER"
[ "$(uname -sm)" = "Linux x86_64" ] || die "This runs on Linux, x86_64."
build_isa
fetch_dawn
fetch_dxc
bad=0
node "$HERE/tint.mjs" "$1" || bad=1
hlsl=$(mktemp -d)
trap 'rm -rf "$hlsl"' EXIT
"$ISA" hlsl "$1" "$hlsl" || bad=1
python3 "$HERE/dxc.py" "$hlsl" || bad=1
exit $bad
