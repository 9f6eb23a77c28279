#!/bin/sh
# Opens `examples/web` in a headless Chromium, with software WebGPU and without WebGPU, and compares what
# it shows with what the program gives on the CPU. What is missing is installed on Debian (as root or
# through sudo), and elsewhere it is said what to install. What is built for it lies in
# ~/.cache/channelwise and may be deleted.
#
#   sh tests/browser/run.sh
#
# CHROMIUM names another browser of the kind; SCREENSHOTS a folder for pictures of the page.
set -eu
cd "$(dirname "$0")/../.."

found() {
    for program in "$@"; do
        command -v "$program" && return 0
    done
    return 1
}

browser=${CHROMIUM:-$(found chromium chromium-browser google-chrome || true)}
node=$(found node nodejs || true)
if [ -z "$browser" ] || [ -z "$node" ]; then
    packages=
    [ -n "$browser" ] || packages=chromium
    [ -n "$node" ] || packages="$packages nodejs"
    # shellcheck disable=SC2086
    sh tests/install.sh $packages
    browser=${browser:-$(found chromium)}
    node=${node:-$(found node nodejs)}
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/channelwise
# While the other downloads and builds.
(cd examples/web && CARGO_TARGET_DIR="$cache/web" cargo build --quiet) &
building=$!
wasm=$(sh tests/browser/std.sh "$cache")
wait "$building"

# As the other tests build it.
cargo test --quiet --release --config tests/checked.toml --all-features --test program --no-run
program=${CARGO_TARGET_DIR:-target}/release/channelwise

# The guide's command.
work=$(mktemp -d)
server=
end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
(
    eval "$wasm"
    cd examples/web
    export CARGO_TARGET_DIR="$cache/web"
    exec cargo run --quiet -- --port 0
) >"$work/url" &
server=$!
until [ -s "$work/url" ]; do
    kill -0 "$server" 2>/dev/null || {
        echo "the page could not be built" >&2
        exit 1
    }
    sleep 0.2
done

"$node" tests/browser/drive.mjs "$(sed -n '1s/.*://p' "$work/url")" "$program" "$browser" examples
