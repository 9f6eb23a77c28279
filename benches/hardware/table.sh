#!/bin/sh
# table.sh RESULT [--name NAME]: makes benches/record/<date>-<gpu>.{json,md,svg} of what run.sh left in RESULT.
#
# The GPU is the one that `channelwise info` says is taken; the date is the day on which lines.jsonl was
# written. Needs cargo.
set -eu
result=${1:-} name=''
[ -e "$result/lines.jsonl" ] || { sed -n '2s/^# //p' "$0" >&2 && exit 2; }
shift
case ${1:-} in
--name) name=${2:?} ;;
'') ;;
*) sed -n '2s/^# //p' "$0" >&2 && exit 2 ;;
esac
result=$(cd "$result" && pwd)
cd "$(dirname "$0")/../.."

# The line below its heading.
gpu() { [ ! -e "$result/info.log" ] || awk '/^GPU that/ { getline; print; exit }' "$result/info.log"; }
slug() { tr 'A-Z' 'a-z' | sed 's/([^)]*)//g; s/[^a-z0-9]\{1,\}/-/g; s/^-//; s/-$//' | cut -c 1-40; }
if [ -z "$name" ]; then
    adapter=$(gpu)
    case $adapter in *none:*) adapter='' ;; esac
    day=$(date -u -r "$result/lines.jsonl" +%Y-%m-%d)
    name=$day-$(printf %s "${adapter:-no-gpu}" | slug)
fi

# What the record says of the machine: its adapters, the facts, how far the run came.
facts=$(mktemp)
trap 'rm -f "$facts"' EXIT
for file in info.log drivers facts steps; do
    [ -e "$result/$file" ] || continue
    printf '== %s\n' "$file"
    cat "$result/$file"
done >"$facts"
cargo run -q --release -p table -- --lines "$result/lines.jsonl" --facts "$facts" --stem "benches/record/$name"
echo "benches/record/$name.md"
