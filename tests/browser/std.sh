#!/bin/sh
# Sees to it that cargo finds Rust's standard library for wasm32-unknown-unknown, and prints the line
# for `eval` that this needs: nothing where rustup installed it, which is the usual way:
#
#   rustup target add wasm32-unknown-unknown
#
# On Debian without it, it is built once into FOLDER from Debian's source of this very version of Rust
# (in its backports when this was written): one to two minutes, 100 MB.
#
#   eval "$(sh tests/browser/std.sh FOLDER)"
set -eu
target=wasm32-unknown-unknown
folder=$1

# Prints a library's files.
built() { ls "$1"/libstd-*.rlib 2>/dev/null; }
use() { echo "export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=--sysroot=$folder/std"; }

[ -n "$(built "$(rustc --print target-libdir --target $target)")" ] && exit 0

version=$(rustc --version | cut -d' ' -f2)
stamp="$(rustc --version), 1"
if [ "$(cat "$folder/std/stamp" 2>/dev/null)" = "$stamp" ]; then
    use
    exit 0
fi

refuse() {
    echo "There is no standard library for $target: $1" >&2
    echo "The usual way to get it is: rustup target add $target" >&2
    exit 1
}
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || refuse "this is not Debian."
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    awk '/^URIs:/ || /^deb[ \t]/ { for (i = 2; i <= NF; i++) if ($i ~ /\/debian\/?$/) { print $i; exit } }')
[ -n "$mirror" ] || refuse "apt's sources name no mirror of Debian."

mkdir -p "$folder"
work=$(mktemp -d "$folder/std.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A root of apt's own: neither the system's sources nor its packages are touched.
echo "fetching the source of Rust $version" >&2
mkdir -p "$work/apt/sources" "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/source"
: >"$work/apt/status"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
for suite in trixie-backports forky sid; do
    echo "deb [signed-by=$keys] $mirror $suite main" >"$work/apt/sources/one.list"
    set -- -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/apt/sources" \
        -o Dir::State::lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" \
        -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1
    apt-get "$@" -qq update >&2 || continue
    package=$(apt-cache "$@" madison rust-src | awk -F' *[|] *' -v v="$version" '
        index($2, v "+") == 1 || index($2, v "-") == 1 { print $2; exit }')
    [ -n "$package" ] || continue
    (cd "$work/source" && apt-get "$@" -qq download "rust-src=$package" >&2 && dpkg-deb -x ./*.deb .)
    break
done
source=$work/source/usr/src/rustc-$version/library
[ -d "$source" ] || refuse "Debian has no source of Rust $version."

echo "building the standard library for $target" >&2
mkdir "$work/src"
printf '[package]\nname = "nothing"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$work/Cargo.toml"
echo '#![no_std]' >"$work/src/lib.rs"
# With bitcode, as rustup's has it: the page is optimised as one.
(cd "$work" && RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$source RUSTFLAGS=-Cembed-bitcode=yes \
    CARGO_TARGET_DIR=$work/target cargo build --quiet --release --target $target \
    -Zbuild-std=std,panic_abort >&2)
made=$work/std/lib/rustlib
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$made/$target/lib" "$made/$host"
rm -f "$work/target/$target"/release/deps/libnothing-*
cp "$work/target/$target"/release/deps/lib*.rlib "$made/$target/lib/"
[ -n "$(built "$made/$target/lib")" ] || refuse "the build gave none."
# The linker lies beside the host's library.
ln -s "$(rustc --print sysroot)/lib/rustlib/$host/bin" "$made/$host/bin"
echo "$stamp" >"$work/std/stamp"
rm -rf "$folder/std"
mv "$work/std" "$folder/std"
use
