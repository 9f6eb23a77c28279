#!/bin/sh
# Drives the page of examples/web in a headless Chromium and holds its pixels to the native engine.
# Installs what is missing of Chromium, Node.js and the standard library for wasm32 (Debian: as root or
# through sudo; elsewhere it says what to install).
#
#   sh tests/browser/run.sh [FOLDER]    keeps pictures of the page in FOLDER
set -eu
cd "$(dirname "$0")/../.."

browser=
for name in ${CHROMIUM:-} chromium chromium-browser google-chrome; do
    browser=$(command -v "$name") && break
done
missing=
[ -n "$browser" ] || missing="$missing chromium"
command -v node >/dev/null || missing="$missing nodejs"
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || {
        echo "Install these and run this again (CHROMIUM names a browser elsewhere):$missing" >&2
        exit 1
    }
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    echo "Installing$missing."
    $as_root apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends $missing
    [ -n "$browser" ] || browser=$(command -v chromium)
fi

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
folder=${1:-$work}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

cargo test --all-features --test browser -- "$folder"

std=$(sh tests/browser/std.sh "${XDG_CACHE_HOME:-$HOME/.cache}/channelwise")
eval "$std"
(cd examples/web && cargo build && exec ./target/debug/serve --port 0 >"$work/url") &
server=$!
until grep -q http "$work/url" 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || {
        echo "the page could not be built" >&2
        exit 1
    }
    sleep 1
done
ls -l examples/web/target/page/*.wasm
node tests/browser/page.mjs "$browser" "$(cat "$work/url")/" "$folder"
