#!/bin/sh
# Checks that the library compiles with the oldest version that Cargo.toml allows of each crate it names, as it is
# published and with a lock file of its own: without features, with those that are on by default, and with all.
#
#   sh tests/lowest.sh
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo package --quiet -p channelwise --no-verify --allow-dirty --target-dir "$work"
tar -xzf "$work"/package/channelwise-*.crate -C "$work"
cd "$work"/channelwise-*/
rm Cargo.lock
# For cargo alone, and only while it chooses: what is compiled is compiled by stable Rust as it is.
RUSTC_BOOTSTRAP=1 cargo -Z direct-minimal-versions generate-lockfile --quiet
export CARGO_TARGET_DIR="$target/lowest"
for features in --no-default-features --features=default --all-features; do
    echo "lowest versions, $features"
    cargo check --quiet --locked --lib --bins $features
done
