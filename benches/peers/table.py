"""Prints what run.sh or run-gpu.sh measured: one table a case.

    table.py LINES      each "ROUND<tab>WHO<tab>JSON", WHO "ours" or a peer

A peer's time is compared with the run of ours just before it, so that a machine that slows down
slows down both: with the row that allocates its answer, or does not, as the peer does, and a
gradient with that gradient of ours. The ratio is the median over the rounds,
behind it the smallest and largest, and how far a sum over a whole tensor is off where peers differ in that.
"""

import json
import sys
from statistics import median

cases, latest = {}, {}  # latest: ours, by case, by what is computed and how


def how_of(row):
    """On the CPU those who do not tell allocate; on a GPU all rows are alike."""
    return row.get("how") or "run" if row["engine"] == "cpu" else "call"


for line in open(sys.argv[1]):
    _, who, text = line.split("\t", 2)
    row = json.loads(text)
    how, what = how_of(row), row.get("what", "forward")
    name = row["row"] + (f", {what}" if who == "ours" and what != "forward" else "")
    if row["engine"] == "cpu" and "median_ms" in row:
        name += f", {how}"
    entry = cases.setdefault(row["case"], {}).setdefault(name, {"rows": [], "ratios": [], "reason": ""})
    if "median_ms" not in row:
        entry["reason"] = "missing: " + row["missing"] if "missing" in row else "WRONG: " + row.get("wrong", "no time")
        if who == "ours":
            latest.get(row["case"], {}).pop((what, how), None)
        continue
    entry["rows"].append(row)
    if who == "ours":
        latest.setdefault(row["case"], {})[what, how] = row["median_ms"]
    elif (what, how) in latest.get(row["case"], {}):
        entry["ratios"].append(latest[row["case"]][what, how] / row["median_ms"])

for case, rows in cases.items():
    print(f"\n{case}\n{'row':42} {'median ms':>10} {'min':>9}  ours/peer")
    for name, entry in sorted(rows.items(), key=lambda e: median(r["median_ms"] for r in e[1]["rows"]) if e[1]["rows"] else 1e30):
        if not entry["rows"] or "WRONG" in entry["reason"]:
            print(f"{name:42} {entry['reason']}")
            continue
        times = [r["median_ms"] for r in entry["rows"]]
        ratios = entry["ratios"]
        ratio = f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})" if ratios else ""
        if "error" in entry["rows"][0]:
            ratio += f"  off by {max(r['error'] for r in entry['rows']):.0e}"
        print(f"{name:42} {median(times):10.3f} {min(r['min_ms'] for r in entry['rows']):9.3f}  {ratio}  {entry['reason']}".rstrip())
