"""Filters a mosaic in Zarr on a cluster of two processes, one of which is killed on the way.

    python mosaic.py [--height 6000] [--width 8000] [--folder FOLDER] [--picture mosaic.png]

The mosaic is made chunk by chunk, filtered by a 31x31 Gaussian and held to what one process makes of the whole. Printed are
megabytes a second of input and output, and the most memory that a worker had.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from dask.distributed import Client, LocalCluster
from PIL import Image

import channelwise
import channelwise.dask

CHUNK = 512
BLUR = channelwise.gaussian(31, 5.0)


def tile(block_info: dict) -> np.ndarray:
    """A chunk of the scene: fields of three bands under slow light, each chunk as bright as its own exposure."""
    (top, bottom), (left, right), _ = block_info[None]["array-location"]
    y, x = np.mgrid[top:bottom, left:right].astype("float32")
    fields = np.sin((x + 40 * np.sin(y / 90)) / 17) * np.sin((y + 30 * np.sin(x / 70)) / 23)
    bands = [90 + 60 * (fields > level) + 40 * np.sin(x / 400 + band) for band, level in enumerate((-0.2, 0.1, 0.4))]
    exposure = 0.8 + 0.2 * ((top // CHUNK + left // CHUNK) % 2)
    noise = np.random.default_rng([top, left]).normal(0, 12, (*y.shape, 3))
    return np.clip(np.stack(bands, -1) * exposure + noise, 0, 255).astype("uint8")


def make(folder: Path, height: int, width: int) -> Path:
    """The mosaic, as a Zarr array."""
    path = folder / "mosaic.zarr"
    chunks = da.core.normalize_chunks((CHUNK, CHUNK, 3), shape=(height, width, 3))
    scene = da.map_blocks(tile, chunks=chunks, dtype="uint8", meta=np.empty((0, 0, 0), "uint8"))
    target = zarr.create_array(path, shape=scene.shape, chunks=(CHUNK, CHUNK, 3), dtype="uint8")
    da.store(scene, target, lock=False)
    return path


def chunks_written(path: Path) -> int:
    return sum(1 for file in path.rglob("*") if file.is_file() and file.name != "zarr.json")


def kill_one(client: Client, target: Path, at: int) -> int:
    """Kills a worker when so many chunks are there, and says how many were."""
    pids = list(client.run(os.getpid).values())
    while (done := chunks_written(target)) < at:
        time.sleep(0.01)
    os.kill(pids[0], signal.SIGKILL)
    return done


def most_memory() -> int:
    """Bytes that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def draw(before: zarr.Array, after: zarr.Array, path: Path) -> None:
    """Where four chunks meet, before and after."""
    rows, columns = (slice(max(min(CHUNK, n - 100) - 100, 0), min(CHUNK, n - 100) + 100) for n in before.shape[:2])
    parts = [array[rows, columns] for array in (before, after)]
    gap = np.full((parts[0].shape[0], 8, 3), 255, "uint8")
    Image.fromarray(np.concatenate([parts[0], gap, parts[1]], axis=1)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=6000)
    parser.add_argument("--width", type=int, default=8000)
    parser.add_argument("--folder", type=Path, help="where the arrays are made; a temporary folder unless it is said")
    parser.add_argument("--picture", type=Path, default=Path("mosaic.png"))
    options = parser.parse_args()
    if min(options.height, options.width) < 2 * CHUNK:
        parser.error(f"height and width are at least {2 * CHUNK}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        run(Path(folder), options)


def run(folder: Path, options: argparse.Namespace) -> None:
    source = make(folder, options.height, options.width)
    target = folder / "blurred.zarr"
    work = channelwise.dask.filter2d_zarr(source, target, BLUR, border="reflect", part_bytes=1 << 20)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        start = time.perf_counter()
        future = client.compute(work)
        done = kill_one(client, target, 8)
        blurred = future.result()
        seconds = time.perf_counter() - start
        memory = max(client.run(most_memory).values())
    total = chunks_written(target)
    print(f"a worker was killed when {done} of {total} chunks were written")
    if done >= total:
        sys.exit("it was killed too late to show anything: ask for a larger mosaic")
    mosaic = zarr.open_array(source, mode="r")
    moved = 2 * mosaic.size / 1e6
    print(f"{mosaic.shape} by 31x31 in {seconds:.1f} s, {moved / seconds:.0f} MB/s; at most {memory / 2**20:.0f} MiB a worker")
    # What is in memory as a whole here, and never was there.
    if not np.array_equal(blurred[:], channelwise.filter2d(mosaic[:], BLUR, border="reflect")):
        sys.exit("the parts are not those of the whole")
    print("every pixel is that of the whole in one process")
    draw(mosaic, blurred, options.picture)


if __name__ == "__main__":
    main()
