#!/bin/sh
# The room with `unsafe` (src/cpu/raw) and the micro-kernels that walk through it, under Miri: places out of
# bounds, memory that is not initialised, references that overlap, pointers that are not aligned. With SSE2,
# and with AVX2 and its multiply-adds; Miri has no AVX-512 that would be enough, and no NEON on this
# architecture. What it cannot run stands aside there: advice to the system, prefetches, the fence behind streamed
# stores, which are plain ones, and the empty instruction of `order`. It needs a nightly toolchain with Miri, which
# rustup installs:
#
#   sh tests/miri.sh [what else to hand to the tests]
set -eu
cd "$(dirname "$0")/.."

rustup toolchain list | grep -q ^nightly || rustup toolchain install nightly --profile minimal
rustup +nightly component add miri rust-src
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/miri"
for features in "" "-C target-feature=+avx2,+fma"; do
    echo "== ${features:-as it is}"
    RUSTFLAGS=$features MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test \
        -p channelwise --no-default-features --lib -- cpu::raw cpu::kernels "$@"
done
