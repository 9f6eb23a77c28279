#!/bin/sh
# Tests without end, for as long as there is time; each goes on where it ended the last time.
#
#   sh tests/long.sh --minutes N [cpu|gpu|files|soak]...
#   sh tests/long.sh cpu --seed S         # that one alone, to look at what failed
#
# cpu    random problems on the CPU: every option, SIMD level, number of threads and cut, against the reference
# gpu    the same on the GPU that WGPU_ADAPTER_NAME and WGPU_BACKEND choose, or Mesa's software one
# files  damaged files of every kind through the program: an exit code and a line, whatever they are
# soak   calls of all kinds from eight threads on one engine and that GPU: each gives what it gives alone, nothing
#        fails, and memory stays flat
#
# Without a name all, one after the other, and the minutes are shared. What was tried, counted and found is kept in
# target/long (or below CARGO_TARGET_DIR); `soak` begins anew each time, by the seed that --seed gives.
set -eu
cd "$(dirname "$0")/.."

minutes=10
what=""
seeds=""
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=$2 && shift ;;
    --seed) seeds="$seeds --seed $2" && shift ;;
    cpu | gpu | files | soak) what="$what $1" ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p;}' "$0" >&2 && exit 2 ;;
    esac
    shift
done
what=${what:-"cpu gpu files soak"}
# shellcheck disable=SC2086 # words
set -- $what
minutes=$(awk "BEGIN { print $minutes / $# }")

sh tests/vulkan.sh
if [ -z "${XDG_RUNTIME_DIR:-}" ]; then
    XDG_RUNTIME_DIR=$(mktemp -d)
    export XDG_RUNTIME_DIR
    trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
fi
# As tests/run.sh has them.
export GALLIVM_PERF="${GALLIVM_PERF:-nopt}" LP_NATIVE_VECTOR_WIDTH="${LP_NATIVE_VECTOR_WIDTH:-128}"
export CHANNELWISE_REQUIRE_GPU=1

kept=${CARGO_TARGET_DIR:-$PWD/target}/long
failed=""
test_of() { cargo test --release --config tests/checked.toml --all-features "$@"; }
for one; do
    arguments="--minutes $minutes --progress $kept/$one.json$seeds"
    case $one in
    cpu) CHANNELWISE_LONG=$arguments test_of -p channelwise-tests --test engines -- \
        long::problems_on_the_cpu --exact --nocapture ;;
    # Its workers fill the cores: Mesa's software driver needs no threads of its own.
    gpu) LP_NUM_THREADS=${LP_NUM_THREADS:-0} CHANNELWISE_LONG=$arguments \
        test_of -p channelwise-tests --test engines -- long::problems_on_a_gpu --exact --nocapture ;;
    files)
        # shellcheck disable=SC2086 # words
        test_of --test damage -- $arguments
        ;;
    soak)
        # shellcheck disable=SC2086 # words
        test_of -p channelwise-tests --test soak -- --minutes "$minutes" $seeds
        ;;
    esac || failed="$failed $one"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
