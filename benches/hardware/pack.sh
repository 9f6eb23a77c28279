#!/bin/sh
# pack.sh FOLDER: gathers what a machine with a GPU but no toolchain and no network needs.
#
# Run in a clone with cargo and python3. Builds release binaries and makes FOLDER and FOLDER.tar.xz
# of 48 MiB at most; there, `sh run.sh` in FOLDER does the rest (README.md beside this file).
set -eu
[ $# = 1 ] || { sed -n '2s/^# //p' "$0" >&2 && exit 2; }
[ ! -e "$1" ] || { echo "$1 is there already" >&2 && exit 2; }
mkdir -p "$1/bin"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# build NAME KIND TARGET CARGO-ARGUMENT ...: puts a stripped executable of cargo's into bin/NAME.
build() {
    name=$1 kind=$2 target=$3
    shift 3
    cargo "$@" --message-format=json-render-diagnostics >"$log"
    executable=$(python3 - "$log" "$kind" "$target" <<'END'
import json, sys
log, kind, name = sys.argv[1:]
for line in open(log):
    m = json.loads(line) if line.startswith("{") else {}
    target = m.get("target", {})
    if m.get("executable") and target["name"] == name and kind in target["kind"]:
        print(m["executable"])
END
    )
    [ -n "$executable" ] || { echo "cargo made no $kind $target" >&2 && exit 1; }
    cp "$executable" "$folder/bin/$name"
    strip "$folder/bin/$name" || echo "$name is not stripped" >&2
}
# The program and the tests as `tests/run.sh` builds them, so that one build serves both.
checked='--release --config tests/checked.toml --all-features --no-run'
# shellcheck disable=SC2086 # several options
build channelwise bin channelwise test $checked --test program
# shellcheck disable=SC2086
build tests test engines test $checked --test engines
build engines bench engines bench --bench engines --no-run

cp -R tests/golden "$folder/golden"
cp benches/cases.json benches/hardware/peers.py benches/hardware/run.sh \
    benches/hardware/README.md "$folder"

# The binaries open Vulkan's loader when they run. It is small, and a machine with a driver may lack
# it; the driver itself has to be there.
loader=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null |
    grep -i "libvulkan\.so\.1 (.*$(uname -m | tr _ -)" | sed -n '1s/.*=> //p')
if [ -n "$loader" ]; then
    mkdir "$folder/lib" && cp -L "$loader" "$folder/lib/libvulkan.so.1"
else
    echo "no Vulkan loader here (Debian's libvulkan1): that machine has to have one" >&2
fi

{
    echo "commit $(git describe --always --dirty)"
    echo "packed $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    rustc --version
    uname -sm
    # The newest version that a symbol asks for; musl's binaries ask for none.
    glibc=$(cat "$folder"/bin/* "$folder"/lib/* 2>/dev/null | grep -ao 'GLIBC_[0-9][0-9.]*' |
        sort -Vu | tail -n 1)
    echo "glibc needed at least: ${glibc:-none}"
} >"$folder/about"
cat "$folder/about"

if command -v xz >/dev/null; then pack=xz option=-cJf; else pack=gz option=-czf; fi
rm -f "$folder.tar.xz" "$folder.tar.gz"
tar -C "$(dirname "$folder")" $option "$folder.tar.$pack" "$(basename "$folder")"
size=$(($(wc -c <"$folder.tar.$pack")))
echo "$folder.tar.$pack: $size bytes"
[ "$size" -le $((48 << 20)) ] || { echo "that is more than 48 MiB" >&2 && exit 1; }
