"""NumPy arrays beside the Rust bench, the overhead of a call, and Dask beside dask-image: a record, in one run.

    python -m venv v && v/bin/pip install ../../examples/python -r requirements.txt
    v/bin/python run.py [--folder FOLDER] [--only calls|dask] [--rounds 3]

Prints tables in Markdown. Calls: each round runs the Rust bench (`cargo bench --bench engines`) and then the same cases
through Python, and ratios are of the two in one round. Dask: an array of 4 GB of RGB bytes, in Zarr without codecs, by ours
and by dask-image on the same chunks, on two worker processes of one thread each, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import channelwise

ROOT = Path(__file__).parents[2]
CASES = ["seed", "rgb3", "feat3", "hyper5", "psf31", "gauss31"]
SIDE, CHUNK = 36864, 2048


def rust(case: str, seconds: float, threads: int) -> dict[str, float]:
    """Milliseconds of `run` and `run_into`, medians."""
    command = ["cargo", "bench", "--quiet", "--bench", "engines", "--", "--json", "--engine", "cpu", "--case", case]
    command += ["--threads", str(threads), "--seconds", str(seconds)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return {line["how"]: line["median_ms"] for line in lines}


def python(case: dict, seconds: float, threads: int) -> dict[str, float]:
    """The same through NumPy."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, case["shape"]).astype("float32")
    k = case["kernel"]
    if k["weights"] == "gaussian":
        # Dense, as everybody gets it.
        kernel = np.asarray(channelwise.gaussian(k["height"], k["sigma"]))
    else:
        kernel = rng.uniform(-1, 1, (k["height"], k["width"]))
    border = {"border": case["border"], "padding": case["padding"], "stride": case["stride"]}
    prepared = channelwise.Engine("cpu", threads=threads).prepare(x, kernel, **border)
    out = np.empty(prepared.output_shape, "float32")
    return {
        "run": median(lambda: prepared(x), seconds),
        "run_into": median(lambda: prepared(x, out=out), seconds),
    }


def median(call, seconds: float) -> float:
    """Milliseconds, of calls in blocks that the clock can tell."""
    call()
    start = time.perf_counter()
    call()
    block = max(1, int(1e-4 / max(time.perf_counter() - start, 1e-7)))
    took = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(took) < 3:
        start = time.perf_counter()
        for _ in range(block):
            call()
        took.append((time.perf_counter() - start) / block)
    return statistics.median(took) * 1e3


def calls(rounds: int, seconds: float) -> None:
    threads = len(os.sched_getaffinity(0))
    cases = {case["name"]: case for case in json.loads((ROOT / "benches" / "cases.json").read_text())}
    print("| case | how | Rust, ms | Python, ms | Python over Rust | least and most |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name in CASES:
        pairs = [(rust(name, seconds, threads), python(cases[name], seconds, threads)) for _ in range(rounds)]
        for how in ("run", "run_into"):
            ours, theirs = [one[how] for one, _ in pairs], [two[how] for _, two in pairs]
            ratios = sorted(b / a for a, b in zip(ours, theirs))
            middle = [statistics.median(of) for of in (ours, theirs, ratios)]
            print(f"| {name} | {how} | {middle[0]:.4g} | {middle[1]:.4g} | {middle[2]:.2f} | {ratios[0]:.2f} – {ratios[-1]:.2f} |")
            if name == "seed":
                over = statistics.median((b - a) * 1e3 for a, b in zip(ours, theirs))
                print(f"| {name} | {how} | | | {over:+.2f} µs | |", flush=True)


KERNELS = {
    "3x3": lambda: np.random.default_rng(3).normal(size=(3, 3)) / 3,
    "7x7": lambda: np.random.default_rng(7).normal(size=(7, 7)) / 7,
    "Gaussian 31x31": lambda: channelwise.gaussian(31, 5.0),
}


def cluster(what: str, kernel: str, source: Path, target: str) -> None:
    """One measurement, in a process of its own."""
    import dask.array as da
    import zarr
    from dask.distributed import Client, LocalCluster

    def peak():
        import channelwise.dask  # noqa: F401
        import dask_image.ndfilters  # noqa: F401

        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0) as local,
        Client(local) as client,
    ):
        client.run(peak)
        start = time.perf_counter()
        x = da.from_zarr(source)
        weights = KERNELS[kernel]()
        out = target != "max" and zarr.create_array(
            target, shape=x.shape, chunks=x.chunksize, dtype=x.dtype, compressors=None, overwrite=True
        )
        if what == "channelwise.dask.filter2d_zarr":
            channelwise.dask.filter2d_zarr(source, out, weights, border="reflect").compute()
        else:
            if what == "nothing":
                y = x
            elif what == "channelwise.dask.filter2d":
                y = channelwise.dask.filter2d(x, weights, border="reflect")
            else:
                y = theirs(x, kernel, weights)
            y.max().compute() if target == "max" else da.store(y, out, lock=False)
        seconds = time.perf_counter() - start
        print(json.dumps([seconds, max(client.run(peak).values())]))


def theirs(x, kernel: str, weights):
    import dask_image.ndfilters

    if kernel.startswith("Gaussian"):
        return dask_image.ndfilters.gaussian_filter(x, (5, 5, 0), mode="reflect", truncate=3)
    return dask_image.ndfilters.correlate(x, weights[..., None], mode="reflect")


def dask(folder: Path, rounds: int) -> None:
    import zarr

    with tempfile.TemporaryDirectory(dir=folder) as work:
        source, target = Path(work) / "scene.zarr", Path(work) / "filtered.zarr"
        scene = zarr.create_array(source, shape=(SIDE, SIDE, 3), chunks=(CHUNK, CHUNK, 3), dtype="uint8", compressors=None)
        rng = np.random.default_rng(1)
        for row in range(0, SIDE, CHUNK):
            scene[row : row + CHUNK] = np.frombuffer(rng.bytes(CHUNK * SIDE * 3), "uint8").reshape(CHUNK, SIDE, 3)
        print("\n| kernel | to | by | seconds | MiB of a worker | over dask-image: time, memory |")
        print("| --- | --- | --- | ---: | ---: | ---: |")
        for kernel in KERNELS:
            for to in ("max", str(target)):
                names = ["nothing", "dask-image", "channelwise.dask.filter2d"]
                if to != "max":
                    names.append("channelwise.dask.filter2d_zarr")
                took = {name: [measured(name, kernel, source, to, target) for _ in range(rounds)] for name in names}
                least = {name: (statistics.median(t for t, _ in all), statistics.median(m for _, m in all)) for name, all in took.items()}
                for name, (seconds, memory) in least.items():
                    over = f"{seconds / least['dask-image'][0]:.2f}, {memory / least['dask-image'][1]:.2f}"
                    where = "its maximum" if to == "max" else "Zarr"
                    print(f"| {kernel} | {where} | {name} | {seconds:.1f} | {memory:.0f} | {over} |", flush=True)


def measured(name: str, kernel: str, source: Path, to: str, target: Path) -> tuple[float, float]:
    command = [sys.executable, __file__, "--one", name, kernel, str(source), to]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    shutil.rmtree(target, ignore_errors=True)
    return tuple(json.loads(told.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=["calls", "dask"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        import channelwise.dask  # noqa: F401

        what, kernel, source, target = options.one
        cluster(what, kernel, Path(source), target)
        return
    if options.only != "dask":
        calls(options.rounds, options.seconds)
    if options.only != "calls":
        dask(options.folder, options.rounds)


if __name__ == "__main__":
    main()
