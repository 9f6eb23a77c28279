#!/bin/sh
# Runs the example `live` in a window of a virtual X server, on a software GPU, and holds what is on the
# screen to the CPU engine. Installs what is missing of it (Debian, Ubuntu: as root or through sudo).
set -eu
cd "$(dirname "$0")/../../.."

missing=
for pair in Xvfb:xvfb xdotool:xdotool; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
# What winit opens at run time.
for pair in libxkbcommon-x11.so.0:libxkbcommon-x11-0 libXcursor.so.1:libxcursor1 \
    libXi.so.6:libxi6 libX11-xcb.so.1:libx11-xcb1; do
    there=
    for file in /usr/lib/*/"${pair%%:*}" /usr/lib*/"${pair%%:*}"; do
        [ ! -e "$file" ] || there=yes
    done
    [ -n "$there" ] || missing="$missing ${pair##*:}"
done
# shellcheck disable=SC2086
[ -z "$missing" ] || sh tests/install.sh $missing

# As one with all others: what they need is built once.
cargo build --release --workspace --example live
cargo test --release --workspace --test screen
