#!/bin/sh
# run-gpu.sh [--case NAME ...] [--rounds N] [--peers]: other GPU libraries and ours in turn, on the cases of ../cases.json.
#
# Makes the peers' environments in ${CHANNELWISE_PEERS:-$HOME/.cache/channelwise-peers} (needs cargo, python3 with venv, npm;
# half an hour of compiling on two cores the first time), then runs ours, a peer, ours, a peer ... N rounds (default 3)
# and prints one table a case. Ours is a call on resident data and the wait for it. --peers leaves ours out. The lines behind the tables stay in gpu.jsonl in that folder.
# Rows end in "r" where the data stays on the GPU and each call ends with a wait for it, in "e" where each call uploads
# and downloads because the peer offers nothing else. A peer that is missing, wrong, or slower than CAP seconds
# a case (default 60) is printed with its reason.
#
# Every program has to run on the same GPU. RUNNER is a command put before each of them to choose it:
#     RUNNER=/absolute/wrapper sh benches/peers/run-gpu.sh
# It gets an absolute path and arguments and must exec that program, a dynamically linked one (our bench, python, node ...),
# with its own environment for the Vulkan loader (VK_DRIVER_FILES, VK_ICD_FILENAMES), and where its driver wants a newer
# C library than the system's start the program through that library's own loader. It must keep standard output clean.
# WGPU_ADAPTER_NAME and WGPU_BACKEND pass through, but burn (CUBECL_WGPU_DEFAULT_DEVICE), ncnn and ONNX Runtime do not read
# them: with several GPUs, let the Vulkan loader see only one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${CHANNELWISE_PEERS:-$HOME/.cache/channelwise-peers}
RUNNER=${RUNNER:-} CAP=${CAP:-60} engine=gpu
. "$here/common.sh"
rounds=3 cases='' ours=1
while [ $# -gt 0 ]; do
    case $1 in
    --case) cases="$cases $2" && shift 2 ;;
    --rounds) rounds=$2 && shift 2 ;;
    --peers) ours='' && shift ;;
    *) sed -n '2s/^# //p' "$0" >&2 && exit 2 ;;
    esac
done
[ -n "$cases" ] || cases=$(names :9)
mkdir -p "$home"
lines=$home/gpu.jsonl
: >"$lines"

# An environment that cannot be made is no reason to stop: its peers' programs are then missing, and say so below.
(python_environment "$home/venv" "$here/requirements-gpu.txt") >&2 || say "no Python environment"
(
    mkdir -p "$home/peers/tfjs" # a copy, because node looks for packages beside the script
    cp "$here/../cases.json" "$home/"
    cp "$here"/tfjs/* "$home/peers/tfjs/"
    cd "$home/peers/tfjs" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
) >&2 || say "no node environment"
for package in gpu-rust wonnx; do rust_peer $package; done
rust=$home/target/release
# Cargo itself runs as usual: it puts RUNNER before the bench alone.
host=$(rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)
[ -z "$RUNNER" ] || export "CARGO_TARGET_${host}_RUNNER=$RUNNER"
[ -z "$ours" ] || (cd "$here/../.." && cargo bench -q --bench engines --no-run)

# peer NAME ROUND CASE PROGRAM [SCRIPT]: ours, then the peer.
peer() {
    name=$1 round=$2 case=$3
    shift 3
    if [ -n "$ours" ]; then
        (cd "$here/../.." && run ours "$round" "$case" cargo bench -q --bench engines -- --json --engine gpu --device --how call --case "$case")
    fi
    # RUNNER may be a command with arguments.
    # shellcheck disable=SC2086
    run "$name" "$round" "$case" $RUNNER "$@" "$name" "$case"
}
for case in $cases; do
    for round in $(seq "$rounds"); do
        for name in burn-vision burn-vision-nchw burn burn-nchw; do
            peer "$name" "$round" "$case" "$rust/channelwise-gpu-peers"
        done
        peer wonnx "$round" "$case" "$rust/channelwise-wonnx-peer"
        peer ncnn "$round" "$case" "$home/venv/bin/python" "$here/gpu.py"
        peer onnxruntime "$round" "$case" "$home/venv/bin/python" "$here/gpu.py"
        peer tfjs "$round" "$case" "$(command -v node || echo node)" "$home/peers/tfjs/bench.mjs"
    done
done
python3 "$here/table.py" "$lines"
