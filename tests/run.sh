#!/bin/sh
# Runs every test with every feature, on the CPU and on a GPU. Where there is no Vulkan driver it
# installs Mesa's software one (Debian, Ubuntu: as root or through sudo) and says what to install
# elsewhere. The adapter can be chosen by WGPU_ADAPTER_NAME and WGPU_BACKEND.
#
#   sh tests/run.sh [--full] [what to hand to `cargo test`]
#
# --full tries every combination of options where otherwise every two of them meet, and ten times as many
# random problems: an hour or so, before a release.
set -eu
cd "$(dirname "$0")/.."

sh tests/vulkan.sh

# Without it a layer of Mesa complains about a missing Wayland display on every start.
if [ -z "${XDG_RUNTIME_DIR:-}" ]; then
    XDG_RUNTIME_DIR=$(mktemp -d)
    export XDG_RUNTIME_DIR
    trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
fi

if [ "${1:-}" = --full ]; then
    shift
    export CHANNELWISE_FULL=1
else
    # Mesa's software driver would take most of the time to optimise shaders that run for milliseconds,
    # and longer for longer vectors: the same answers, in less than half of the time.
    export GALLIVM_PERF="${GALLIVM_PERF:-nopt}" LP_NATIVE_VECTOR_WIDTH="${LP_NATIVE_VECTOR_WIDTH:-128}"
fi
CHANNELWISE_REQUIRE_GPU=1 cargo test --release --config tests/checked.toml --all-features "$@"
# The inner loops as compilers made them, without checks.
[ $# -gt 0 ] || cargo test --release --test assembly
