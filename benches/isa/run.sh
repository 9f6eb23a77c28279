#!/bin/sh
# What every planned shader costs on GPUs that are not there, by Mesa's compilers on null devices:
# registers, spills, workgroup memory, instructions, memory instructions, waves. Needs cargo. The
# first run takes 1 to 3 minutes and downloads 63 MB, later ones half a second a shader. See README.md.
#
#   sh benches/isa/run.sh FOLDER [--markdown FILE] [--only WORD]
#   sh benches/isa/run.sh --text CHIP FOLDER/NAME.json      the code itself, e.g. CHIP "RDNA2 navi21"
#
# FOLDER is made by `cargo bench --bench engines -- --shaders FOLDER`. WORD is part of a chip's name.
# The exit status is 1 if a shader spills or does not compile.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lab.sh"
[ $# -ge 1 ] || die "usage: sh run.sh FOLDER [--markdown FILE] [--only WORD]"
need_debian
build_isa
fetch_mesa
export ISA_DRIVER="$HERE/driver.sh"
if [ "$1" = --text ]; then
    exec "$ISA" text "$2" "$3"
fi
exec "$ISA" table "$@"
