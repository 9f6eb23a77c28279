#!/bin/sh
# The library's own tests and the engines' tests of the CPU under sanitizers: ThreadSanitizer (what threads read
# and write without order) and AddressSanitizer (what lies out of bounds, or is used after it was freed).
#
#   sh tests/sanitize.sh [thread|address]...
#
# The standard library is built anew for ThreadSanitizer, which otherwise does not see its locks: that needs a
# nightly toolchain with its sources, which rustup installs.
set -eu
cd "$(dirname "$0")/.."

rustup toolchain list | grep -q ^nightly || rustup toolchain install nightly --profile minimal
rustup +nightly component add rust-src
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-$PWD/target}
[ $# -gt 0 ] || set -- thread address
for sanitizer; do
    echo "== $sanitizer"
    # Threads, tasks and seams are cut out of small problems; the rest would take hours.
    CARGO_TARGET_DIR="$target/$sanitizer" RUSTFLAGS="-Zsanitizer=$sanitizer" \
        TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" \
        cargo +nightly test -Zbuild-std --target "$host" --release --config tests/checked.toml \
        -p channelwise --no-default-features --features learn --lib -- cpu:: engine:: learn:: stream::
done
