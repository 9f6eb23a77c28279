#!/bin/sh
# Holds all dependencies to `.deny.toml`: known licences, registries and no second version of a crate without a reason;
# and to the advisories of RustSec where their database can be reached. What is installed for it lies in
# ~/.cache/channelwise/tools and may be deleted.
#
#   sh tests/deny.sh
set -eu
cd "$(dirname "$0")/.."

version=0.20.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/channelwise/tools/cargo-deny-$version
deny=$tools/bin/cargo-deny
# It runs for a second: build it quickly.
[ -x "$deny" ] || CARGO_PROFILE_DEV_DEBUG=false \
    cargo install --quiet --locked --debug --version "$version" --root "$tools" --target-dir "$tools/target" cargo-deny
rm -rf "$tools/target"

# What stands apart has a lock file of its own, and fewer dependencies than there are rules.
for manifest in Cargo.toml examples/web/Cargo.toml benches/isa/Cargo.toml; do
    rules="--deny warnings"
    [ "$manifest" = Cargo.toml ] ||
        rules="--allow license-not-encountered --allow license-exception-not-encountered --allow unmatched-skip --allow unnecessary-skip"
    echo "$manifest"
    # shellcheck disable=SC2086 # words
    "$deny" --locked --workspace --manifest-path "$manifest" --config .deny.toml check $rules bans licenses sources
done

found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
if "$deny" --locked --workspace --config .deny.toml fetch db >"$found/log" 2>&1; then
    for manifest in Cargo.toml examples/web/Cargo.toml; do
        "$deny" --locked --workspace --manifest-path "$manifest" --config .deny.toml check --disable-fetch advisories
    done
else
    echo "NOT CHECKED: advisories, for their database could not be reached:"
    grep . "$found/log" | tail -n 1
fi
