#!/bin/sh
# Runs the example `live` in a window of a virtual X server, on a software GPU, and holds what is on the
# screen to the CPU engine. Installs what is missing of it (Debian, Ubuntu: as root or through sudo).
set -eu
cd "$(dirname "$0")/../.."

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
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || {
        echo "Install these (names of Debian's packages) and run this again:$missing" >&2
        exit 1
    }
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    echo "Installing$missing."
    $as_root apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends $missing
fi

cargo build --all-features --example live
cargo test --all-features --test live
