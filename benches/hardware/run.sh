#!/bin/sh
# run.sh [--minutes 8] [--out FOLDER] [--seconds S] [--rehearse]: a record from this machine's GPU.
#
# In a folder that pack.sh made; nothing is built, fetched or installed. The most valuable comes
# first, each line is written as it comes, and after so many minutes it stops with what it has. S:
# seconds a row is repeated for. In FOLDER [default: ./result] are lines.jsonl (ours and peers), a
# log of each step, and `steps`: name, status, seconds and last line. PYTHON names the Python that
# has PyTorch, CuPy, JAX or OpenCV; none is needed. --rehearse takes a software adapter for a GPU.
set -u
minutes=8 out=$PWD/result seconds=0.3 rehearse=''
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=${2:?} && shift 2 ;;
    --out) out=${2:?} && shift 2 ;;
    --seconds) seconds=${2:?} && shift 2 ;;
    --rehearse) rehearse=yes && shift ;;
    *) sed -n '2s/^# //p' "$0" >&2 && exit 2 ;;
    esac
done
mkdir -p "$out" && out=$(cd "$out" && pwd) && cd "$(dirname "$0")" || exit 1
[ ! -e "$out/steps" ] || { echo "$out has a record already" >&2 && exit 2; }
: >"$out/lines.jsonl"
finish=$(($(date +%s) + minutes * 60)) failed='' python=${PYTHON:-python3}
PATH=$PATH:/usr/sbin:/sbin # ldconfig, for users
# Large arrays of NumPy ask for huge pages otherwise, and ours do not.
export CHANNELWISE_GOLDEN="$PWD/golden" CHANNELWISE_REQUIRE_GPU=1 NUMPY_MADVISE_HUGEPAGE=0

left() { echo $((finish - $(date +%s))); }
note() { printf '%s\n' "$*" | tee -a "$out/steps"; }
fit() { if [ "$1" -lt "$2" ]; then echo "$1"; else echo "$2"; fi; }
has() { command -v "$1" >/dev/null 2>&1; }
has timeout || timeout() { shift 3 && "$@"; } # then only the time between steps is kept

# keep NAME: into its log, and JSON lines to the others; line by line, as a stopped run keeps them.
keep() {
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$out/$1.log"
        case $line in '{'*) printf '%s\n' "$line" >>"$out/lines.jsonl" ;; esac
    done
}
# step CAP NAME COMMAND ...: at most CAP seconds, and not past the end.
step() {
    cap=$(fit "$1" "$(left)") name=$2 began=$(date +%s)
    shift 2
    [ "$cap" -ge 5 ] || { note "$name: not run: no time left" && return; }
    { timeout -k 5 "$cap" "$@" 2>"$out/$name.err" && status=0 || status=$?
        echo "$status" >"$out/.status"; } | keep "$name"
    status=$(cat "$out/.status")
    last=$(tail -n 1 "$out/$name.log" 2>/dev/null)
    [ -n "$last" ] || last=$(grep -v '^$' "$out/$name.err" | tail -n 1)
    case $status in 0 | 124 | 137) ;; *) failed="$failed $name" ;; esac # stopped is not failed
    note "$name: rc $status, $(($(date +%s) - began)) s; $(printf %s "$last" | cut -c 1-160)"
    ! has nvidia-smi || clocks "$name" # between steps: asking while one runs would disturb it
}
clocks() {
    what=clocks.sm,clocks.mem,power.draw,temperature.gpu,clocks_throttle_reasons.active
    now=$(timeout -k 5 10 nvidia-smi --query-gpu="$what" --format=csv,noheader 2>&1)
    echo "$1, $now" >>"$out/clocks"
}
# gpu CAP NAME COMMAND ...: a step on the GPU, where there is one.
gpu() { if [ -n "$adapter" ]; then step "$@"; else note "$2: not run: no hardware GPU"; fi; }
# tested CAP NAME COMMAND ...: tests on the GPU; none of a name is a fault.
tested() {
    gpu "$@"
    if grep -qs '^running 0 tests' "$out/$2.log"; then failed="$failed $2"; fi
}
# ours STEP-OR-GPU CAP NAME OPTION ...
ours() {
    on=$1 most=$2 as=$3
    shift 3
    "$on" "$most" "$as" bin/engines --json --cases cases.json --seconds "$seconds" "$@"
}
peers() { # CAP NAME OPTION
    cap=$(fit "$1" "$(left)")
    has "$python" || { note "$2: not run: no $python" && return; }
    # It ends before it is stopped, so that it can say what it did not come to.
    step "$1" "$2" "$python" peers.py cases.json "$3" --seconds $((cap - 12)) \
        ${rehearse:+--device cpu --shrink 40}
}
facts() {
    cat about
    uname -srm
    if has lscpu; then lscpu; else cat /proc/cpuinfo; fi
    head -n 3 /proc/meminfo
    [ -z "${VK_DRIVER_FILES:-}" ] || echo "VK_DRIVER_FILES $VK_DRIVER_FILES"
    has nvidia-smi || { echo "no nvidia-smi" && return; }
    nvidia-smi -q -d CLOCK,PERFORMANCE,POWER >"$out/nvidia-smi.log" 2>&1
    about=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit
    nvidia-smi --query-gpu=$about --format=csv
}
library() { # NAME: where it lies, if the machine has it
    found=$(ldconfig -p 2>/dev/null | sed -n "s|.*$1 .*=> ||p" | head -n 1)
    for folder in /usr/lib/"$(uname -m)"-linux-gnu /usr/lib64 /usr/lib /usr/local/lib \
        /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
        [ -n "$found" ] || [ ! -e "$folder/$1" ] || found=$folder/$1
    done
    printf %s "$found"
}
# hardware WITH: whether Vulkan, or what other systems have, shows an adapter that is no software.
hardware() {
    timeout -k 5 30 bin/channelwise info >"$out/info.log" 2>"$out/info.err"
    types=$(sed -n 's/^    type *//p' "$out/info.log" | tr '\n' ' ')
    echo "driver: $1: ${types:-no adapter}" | tee -a "$out/drivers"
    awk '/back end/ { good = tolower($NF) != "gl" } /^    type .*Gpu/ && good { found = 1 }
        END { exit !found }' "$out/info.log"
}
with() {
    export VK_DRIVER_FILES="$1" VK_ICD_FILENAMES="$1" # the second is for old loaders
    hardware "$1"
}
# In containers the driver may be there and its description not, or not where the loader looks.
find_driver() {
    given=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}
    hardware 'as the machine has it' && return
    for json in /usr/local/nvidia/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json \
        /usr/share/vulkan/icd.d/*.json; do
        [ ! -e "$json" ] || ! with "$json" || return 0
    done
    for name in GLX EGL; do # as NVIDIA's own description says; the second needs no X
        driver=$(library "lib${name}_nvidia.so.0")
        [ -n "$driver" ] || continue
        printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", %s}}\n' \
            "$driver" '"api_version": "1.3.0"' >"$out/$name.json"
        # Its other parts lie beside it, perhaps where the loader does not look either.
        export LD_LIBRARY_PATH="${driver%/*}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        ! with "$out/$name.json" || return 0
    done
    unset VK_DRIVER_FILES VK_ICD_FILENAMES
    [ -z "$given" ] || export VK_DRIVER_FILES="$given" VK_ICD_FILENAMES="$given"
    hardware 'none of these helped'
}

if [ -z "${XDG_RUNTIME_DIR:-}" ]; then # Mesa complains without it on every start
    XDG_RUNTIME_DIR=$(mktemp -d) && export XDG_RUNTIME_DIR
    trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
fi
if [ -z "$(library libvulkan.so.1)" ] && [ -e lib/libvulkan.so.1 ]; then
    export LD_LIBRARY_PATH="$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    note "loader: the packed one"
fi
adapter=$rehearse
find_driver && adapter=yes

# Is it right, how fast is it, is it right anywhere, how fast are others: a ratio needs both sides
# from one run, so peers come before the algorithms that were not chosen, which only explain.
facts >"$out/facts" 2>&1
! has nvidia-smi || clocks before
tested 40 golden bin/tests golden::
ours gpu 30 copies --engine gpu --copies
ours gpu 90 resident --engine gpu --device
tested 80 agreement env CHANNELWISE_SECONDS="$(fit 60 "$(($(left) - 15))")" \
    CHANNELWISE_SEED="${CHANNELWISE_SEED:-$(date +%s)}" bin/tests agreement::random::slice
peers 130 peers-gpu --gpu
ours gpu 90 algorithms --engine gpu --device --algorithm direct --algorithm flat \
    --algorithm separable --algorithm fft
ours gpu 60 gradients --engine gpu --device --gradient
tested 40 textures bin/tests textures::
ours gpu 60 transfers --engine gpu
ours step 60 cpu --engine cpu --threads "$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)"
peers 60 peers-cpu --cpu
for theme in tensors device gradients properties; do
    tested 60 "test-$theme" bin/tests "$theme::"
done
rm -f "$out/.status"

# The lines are the record; this is a first look at them.
! has "$python" || "$python" - "$out/lines.jsonl" <<'END' | tee "$out/summary"
import collections, json, sys
ours, peers = {}, collections.defaultdict(list)
for line in open(sys.argv[1]):
    try: r = json.loads(line)
    except ValueError: continue
    if "median_ms" not in r or r.get("what", "forward") != "forward": continue
    key = r["engine"], r["case"]
    if r.get("how") not in ("resident", "run", "run_into") or "copy" in r["row"]: continue
    if "version" in r: peers[key].append((r["median_ms"], r["row"]))
    elif r["how"] != "run" and key not in ours: ours[key] = r # the algorithm chosen comes first
for (engine, case), r in ours.items():
    copy, best = r.get("copy_ms"), min(peers[engine, case], default=None)
    print(f"{engine} {case:9} {r['median_ms']:9.4f} ms {r.get('gb_per_s') or 0:7.1f} GB/s",
          f"{copy / r['median_ms']:5.2f} of a copy's speed" if copy else "no copy",
          f"{r['median_ms'] / best[0]:6.3f} of {best[1]}'s {best[0]:.4f} ms" if best else "no peer")
END
[ -z "$failed" ] || { note "failed:$failed" && exit 1; }
