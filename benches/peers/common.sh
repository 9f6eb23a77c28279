# What run.sh and run-gpu.sh share. They set here, home, engine (for rows without a program) and CAP (seconds a program may take).

say() { printf '%s\n' "$*" >&2; }
all_cases() { python3 -c 'import json, sys; print(*(c["name"] for c in json.load(open(sys.argv[1]))))' "$here/../cases.json"; }
# python_environment FOLDER REQUIREMENTS
python_environment() {
    [ -x "$1/bin/python" ] || python3 -m venv "$1"
    "$1/bin/pip" install -q --disable-pip-version-check -r "$2"
}
# rust_peer PACKAGE
rust_peer() { (cd "$here/$1" && CARGO_TARGET_DIR="$home/target" cargo build -q --release --locked) >&2 || say "$1 does not build"; }

# run WHO ROUND CASE COMMAND ...: adds the JSON lines of a program to $lines, or says why there are none.
run() {
    who=$1 round=$2 case=$3 status=0
    shift 3
    timeout "$CAP" "$@" >"$home/out" 2>"$home/err" || status=$?
    if [ $status = 124 ]; then
        reason="not done in $CAP s"
    else
        reason=$(sed -n '/panicked at/{n;p;q;}' "$home/err")
        [ -n "$reason" ] || reason=$(grep -v '^$' "$home/err" | tail -n 1) || true
        reason=$(printf %s "$reason" | tr -d '"\\' | tr '\t' ' ' | cut -c 1-160)
        reason="stopped with status $status: $reason"
    fi
    grep '^{' "$home/out" >"$home/rows" || # Dawn writes its warnings to standard output too
        printf '{"case": "%s", "row": "%s", "engine": "%s", "missing": "%s"}\n' "$case" "$who" "$engine" "$reason" >"$home/rows"
    sed "s/^/$round\t$who\t/" "$home/rows" >>"$lines"
    sed "s/^/round $round  /" "$home/rows" >&2
}
