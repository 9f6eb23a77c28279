#!/bin/sh
# Whether FXC takes every planned shader, which wgpu uses on Windows where no dxcompiler.dll lies
# beside the program. Microsoft's d3dcompiler_47.dll comes with npm's `webgpu`; Wine runs it, from a
# folder of its own: nothing is installed. Slow, so not part of check.sh. See README.md.
#
#   sh benches/isa/fxc.sh FOLDER
#
# The exit status is 1 if a shader is refused; those that take longer than 2 s are named.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lab.sh"
[ $# -eq 1 ] || die "usage: sh fxc.sh FOLDER"
need_debian
build_isa
fetch_dawn

wine=$LAB/wine
lib=$wine/root/usr/lib
if [ ! -f "$wine/done" ]; then
    say "fetching Wine and a compiler for Windows (160 MB)"
    rm -rf "$wine"
    mkdir -p "$wine/debs"
    # Wine must fit the system's C library, so these come from the system's own sources.
    (cd "$wine/debs" && apt-get download -qq wine64 libwine libz-mingw-w64 \
        gcc-mingw-w64-x86-64-win32 gcc-mingw-w64-x86-64-win32-runtime gcc-mingw-w64-base \
        binutils-mingw-w64-x86-64 mingw-w64-x86-64-dev mingw-w64-common) >&2 ||
        die "Packages could not be fetched; as root: apt-get update"
    for deb in "$wine"/debs/*.deb; do dpkg -x "$deb" "$wine/root"; done
    rm -rf "$wine/debs" "$lib/x86_64-linux-gnu/wine/i386-windows"
    # Debian's is a script that looks for the server in /usr only.
    ln -sf wineserver64 "$lib/wine/wineserver"
    cp "$wine/root/usr/x86_64-w64-mingw32/lib/zlib1.dll" "$lib/x86_64-linux-gnu/wine/x86_64-windows/"
    touch "$wine/done"
fi
export WINEPREFIX="$wine/prefix" WINEDEBUG=-all
export WINEDLLOVERRIDES="d3dcompiler_47=n;mscoree,mshtml,winemenubuilder.exe="

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH="$wine/root/usr/bin:$PATH" x86_64-w64-mingw32-gcc-win32 -O1 -o "$work/fxc.exe" "$HERE/fxc.c"
cp "$LAB/npm/node_modules/webgpu/dist/win32-x64/d3dcompiler_47.dll" "$work/"
bad=0
"$ISA" hlsl "$1" "$work" || bad=1
cd "$work"
find . -name '*.fxc.hlsl' | sort | xargs -n 100 "$lib/wine/wine64" fxc.exe || bad=1
exit $bad
