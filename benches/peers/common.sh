# What run.sh and run-gpu.sh share. They set here, home, engine (for rows without a program) and CAP (seconds a program may take).

say() { printf '%s\n' "$*" >&2; }
# names SLICE: of the cases; the first nine are the standard ones.
names() { python3 -c "import json, sys; print(*(c['name'] for c in json.load(open(sys.argv[1]))[$1]))" "$here/../cases.json"; }
# unknown CASE: what of it is newer than these peers, or nothing. Without the field they would time something else.
unknown() {
    python3 - "$here/../cases.json" "$1" <<'END'
import json, sys
case = next(c for c in json.load(open(sys.argv[1])) if c["name"] == sys.argv[2])
known = {"layout": ["nhwc"], "activation": ["none"], "type": ["f32", "u8"]}
new = [f"{k} {case[k]}" for k, values in known.items() if case.get(k, values[0]) not in values]
weights = case["kernel"]["weights"]
print(", ".join(new + [weights] * (weights not in ("random", "gaussian"))))
END
}
# NumPy asks for huge pages where it can, our vectors and most libraries' do not: nobody does here.
export NUMPY_MADVISE_HUGEPAGE=0
# python_environment FOLDER REQUIREMENTS
python_environment() {
    [ -x "$1/bin/python" ] || python3 -m venv "$1"
    "$1/bin/pip" install -q --disable-pip-version-check -r "$2"
}
# rust_peer PACKAGE
rust_peer() { (cd "$here/$1" && CARGO_TARGET_DIR="$home/target" cargo build -q --release --locked) >&2 || say "$1 does not build"; }

# run WHO ROUND CASE COMMAND ...: adds the JSON lines of a program to $lines, or says why there are none.
run() {
    who=$1 round=$2 case=$3 status=0 new=''
    shift 3
    case " $* " in *"/cpu.py "* | *' --json '*) ;; *) new=$(unknown "$case") ;; esac # these look themselves
    if [ -n "$new" ]; then
        : >"$home/out"
        reason="it knows no $new"
    else
        timeout "$CAP" "$@" >"$home/out" 2>"$home/err" || status=$?
    fi
    if [ -n "$new" ]; then
        :
    elif [ $status = 124 ]; then
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
