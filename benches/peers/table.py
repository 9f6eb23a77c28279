"""Prints what run.sh or run-gpu.sh measured: one table a case.

    table.py LINES      each "ROUND<tab>WHO<tab>JSON", WHO "ours" or a peer

A peer's time is compared with the run of ours just before it, so that a machine that slows down
slows down both, and a gradient with that gradient of ours. The ratio is the median over the rounds,
behind it the smallest and largest, and how far a sum over a whole tensor is off where peers differ in that.
"""

import json
import sys
from statistics import median

cases, latest = {}, {}  # latest: ours, by case and by what is computed
for line in open(sys.argv[1]):
    _, who, text = line.split("\t", 2)
    row = json.loads(text)
    entry = cases.setdefault(row["case"], {}).setdefault(row["row"], {"rows": [], "ratios": [], "reason": ""})
    if "median_ms" not in row:
        entry["reason"] = "missing: " + row["missing"] if "missing" in row else "WRONG: " + row.get("wrong", "no time")
        if who == "ours":  # it stopped before any row
            latest.pop(row["case"], None)
        continue
    entry["rows"].append(row)
    what = row.get("what", "forward")
    if who == "ours":
        if what == "forward":  # the first of a run
            latest[row["case"]] = {}
        latest[row["case"]][what] = row["median_ms"]
    elif what in latest.get(row["case"], {}):
        entry["ratios"].append(latest[row["case"]][what] / row["median_ms"])

for case, rows in cases.items():
    print(f"\n{case}\n{'row':32} {'median ms':>10} {'min':>9}  ours/peer")
    for name, entry in sorted(rows.items(), key=lambda e: median(r["median_ms"] for r in e[1]["rows"]) if e[1]["rows"] else 1e30):
        if not entry["rows"] or "WRONG" in entry["reason"]:
            print(f"{name:32} {entry['reason']}")
            continue
        times = [r["median_ms"] for r in entry["rows"]]
        ratios = entry["ratios"]
        ratio = f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})" if ratios else ""
        if "error" in entry["rows"][0]:
            ratio += f"  off by {max(r['error'] for r in entry['rows']):.0e}"
        print(f"{name:32} {median(times):10.3f} {min(r['min_ms'] for r in entry['rows']):9.3f}  {ratio}  {entry['reason']}".rstrip())
