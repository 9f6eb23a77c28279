#!/bin/sh
# Checks the crate with the oldest Rust that it promises: the library with that of Cargo.toml, and the features `store`
# and `cli` with 1.91. rustup installs what is missing; where it cannot, it is said, and nothing is checked.
#
#   sh tests/msrv.sh
set -eu
cd "$(dirname "$0")/.."

library=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

# Rust VERSION, and what to hand to `cargo check`.
check() {
    version=$1
    shift
    if ! cargo "+$version" --version >/dev/null 2>&1 &&
        ! rustup toolchain install "$version" --profile minimal --no-self-update >"$found/log" 2>&1; then
        echo "NOT CHECKED with Rust $version, which could not be installed: $*"
        tail -n 1 "$found/log"
        return
    fi
    echo "Rust $version: $*"
    cargo "+$version" check --quiet --locked -p channelwise "$@"
}

check "$library" --lib --no-default-features
check "$library" --lib --features image,learn
check 1.91 --lib --bins --all-features
