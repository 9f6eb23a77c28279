#!/bin/sh
# run.sh [--case NAME ...] [--all] [--rounds N] [--threads N] [--peers] [--gradient]: other CPU libraries and ours in turn, on the cases of ../cases.json.
#
# Without names the nine standard cases; --all is of every one. Who allocates its answer is said in each row (run,
# run_into), and peers are compared with the row of ours that does as they do. Nobody asks for huge pages.
#
# Makes the peers' environments in ${CHANNELWISE_PEERS:-$HOME/.cache/channelwise-peers} (needs cargo, python3 with venv;
# several minutes the first time), then runs ours, a peer, ours, a peer ... N rounds (default 3), everyone with as many
# threads (default: all), and prints one table a case. --peers leaves ours out. --gradient runs PyTorch, TensorFlow and
# ours alone, and their gradients of input and kernel too, which f32 cases have. The lines behind the tables stay in cpu.jsonl in
# that folder. A peer that is missing, wrong, or slower than CAP seconds a case (default 60) is printed with its reason;
# rows that end in "1 thread" are of peers that know no more.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${CHANNELWISE_PEERS:-$HOME/.cache/channelwise-peers}
CAP=${CAP:-60} engine=cpu
. "$here/common.sh"
rounds=3 cases='' ours=1 gradient='' threads=$(getconf _NPROCESSORS_ONLN)
while [ $# -gt 0 ]; do
    case $1 in
    --case) cases="$cases $2" && shift 2 ;;
    --rounds) rounds=$2 && shift 2 ;;
    --threads) threads=$2 && shift 2 ;;
    --all) cases=$(names :) && shift ;;
    --peers) ours='' && shift ;;
    --gradient) gradient=--gradient && shift ;;
    *) sed -n '2s/^# //p' "$0" >&2 && exit 2 ;;
    esac
done
[ -n "$cases" ] || cases=$(names :9)
mkdir -p "$home"
lines=$home/cpu.jsonl
: >"$lines"

# An environment that cannot be made is no reason to stop: its peers' programs are then missing, and say so below.
venv=$home/venv-cpu
(python_environment "$venv" "$here/requirements-cpu.txt") >&2 || say "no Python environment"
# From an index of its own: the usual one's package brings gigabytes of CUDA. Where that one is installed, it will do.
"$venv/bin/pip" install -q --disable-pip-version-check --retries 1 --index-url https://download.pytorch.org/whl/cpu \
    torch==2.15.0 >&2 || say "no PyTorch"
[ -n "$gradient" ] || rust_peer cpu-rust
[ -z "$ours" ] || (cd "$here/../.." && cargo bench -q --bench engines --no-run)

# peer NAME ROUND CASE PROGRAM [SCRIPT]: ours, unless no peer ran since, then the peer.
fresh=''
peer() {
    name=$1 round=$2 case=$3
    shift 3
    if [ -n "$ours" ] && [ "$fresh" != "$case" ]; then
        # shellcheck disable=SC2086 # perhaps no option
        (cd "$here/../.." && run ours "$round" "$case" cargo bench -q --bench engines -- --json --engine cpu --threads "$threads" --case "$case" $gradient)
        fresh=$case
    fi
    run "$name" "$round" "$case" "$@" "$name" "$case" --threads "$threads"
    if grep -q median_ms "$home/rows"; then fresh=''; fi
}
python='opencv opencv-split opencv-sep opencv-dft scipy scipy-fft tensorflow torch onnxruntime'
rust='libblur libblur-fft libblur-gauss imageproc imageproc-sep ndarray-conv ndarray-conv-fft'
if [ -n "$gradient" ]; then
    python='torch torch-input torch-input-nchw torch-kernel torch-kernel-nchw tensorflow tensorflow-input tensorflow-kernel'
    rust=''
fi
for case in $cases; do
    for round in $(seq "$rounds"); do
        for name in $python; do
            peer "$name" "$round" "$case" "$venv/bin/python" "$here/cpu.py"
        done
        for name in $rust; do
            peer "$name" "$round" "$case" "$home/target/release/channelwise-cpu-peers"
        done
    done
done
echo "$threads threads"
python3 "$here/table.py" "$lines"
