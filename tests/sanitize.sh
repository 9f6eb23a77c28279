#!/bin/sh
# The library's own tests, and of the engines' tests on the CPU random problems, seams, threads and slices, under
# sanitizers: ThreadSanitizer (what threads read and write without order) and AddressSanitizer (what lies out of
# bounds, or is used after it was freed).
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
# What a driver does without the sanitizer would look like an error.
export VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere CHANNELWISE_REQUIRE_GPU=0
export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1"
for sanitizer; do
    echo "== $sanitizer"
    export CARGO_TARGET_DIR="$target/$sanitizer" RUSTFLAGS="-Zsanitizer=$sanitizer"
    with() {
        cargo +nightly test -Zbuild-std --target "$host" --release --config tests/checked.toml "$@"
    }
    with -p channelwise --no-default-features --features learn --lib -- cpu:: engine:: learn:: stream::
    # Threads, tasks and seams are cut out of small problems; the rest would take hours.
    with -p channelwise-tests --all-features --test engines -- \
        long::problems_on_the_cpu seams::forward_on_the_cpu threads:: slices::
done
