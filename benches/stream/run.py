"""A file larger than memory should be, through the program and through others, one after the other in one run.

    python run.py PROGRAM FOLDER [--side 63246] [--only npy|zarr] [--skip NAME...]

Prints a table in Markdown. Of each: seconds from start to end, and the most memory that was resident. Files are made by
make.py where they are not there, and outputs are removed. Before each the cache of the file system is dropped, where
that is allowed, and all writes are brought to the disk, within the time, by everybody.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent

COPY = {
    "npy": """
import os
a, b = os.open(source, os.O_RDONLY), os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
buffer = bytearray(8 << 20)
while n := os.readv(a, [buffer]):
    view = memoryview(buffer)[:n]
    while view:
        view = view[os.write(b, view):]
os.fsync(b)
""",
    "zarr": """
import zarr
from concurrent.futures import ThreadPoolExecutor
a = zarr.open_array(source, mode="r")
b = zarr.create_array(target, shape=a.shape, dtype=a.dtype, chunks=a.chunks, overwrite=True)
rows, columns, _ = a.chunks
def chunk(at):
    r, c = at
    b[r:r + rows, c:c + columns] = a[r:r + rows, c:c + columns]
places = [(r, c) for r in range(0, a.shape[0], rows) for c in range(0, a.shape[1], columns)]
with ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(chunk, places))
os.sync()
""",
}

DASK = """
import dask, dask.array, dask_image.ndfilters as nd, numpy as np
dask.config.set(scheduler="threads")
if source.endswith(".npy"):
    x = dask.array.from_array(np.load(source, mmap_mode="r"), chunks=(1024, 1024, 3))
else:
    x = dask.array.from_zarr(source)
if kernel == "sharpen":
    w = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)[..., None]
    y = nd.convolve(x, w, mode="constant")
else:
    y = nd.gaussian_filter(x, (5, 5, 0), mode="constant", truncate=3)
if target.endswith(".npy"):
    out = np.lib.format.open_memmap(target, "w+", np.uint8, x.shape)
    dask.array.store(y, out, lock=False)
    out.flush()
else:
    y.to_zarr(target)
os.sync()
"""

VIPS = """
import numpy as np, pyvips
header = np.lib.format
with open(source, "rb") as file:
    version = header.read_magic(file)
    (height, width, bands), _, _ = header.read_array_header_1_0(file)
    offset = file.tell()
x = pyvips.Image.rawload(source, width, height, bands, offset=offset)
if kernel == "sharpen":
    w = pyvips.Image.new_from_array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    y = x.conv(w, precision="integer")
else:
    w = np.exp(-((np.arange(31) - 15) ** 2) / 50)
    y = x.convsep(pyvips.Image.new_from_array([list(w)], scale=w.sum()), precision="integer")
y.cast("uchar").rawsave(target)
os.sync()
"""


def drop():
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        pass


def timed(command):
    drop()
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    os.sync()
    seconds = time.monotonic() - start
    if status:
        print(f"  {command[:3]} failed: {errors.decode()[-400:]}", file=sys.stderr)
        return None
    return seconds, usage.ru_maxrss / 1024


def script(text, source, target, kernel=""):
    head = f"import os\nsource, target, kernel = {str(source)!r}, {str(target)!r}, {kernel!r}\n"
    return [sys.executable, "-c", head + text]


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=63246)
    parser.add_argument("--only", choices=["npy", "zarr"])
    parser.add_argument("--skip", nargs="*", default=[])
    args = parser.parse_args()
    rows = []
    for kind in ["npy", "zarr"]:
        if args.only not in (None, kind):
            continue
        source, target = args.folder / f"big.{kind}", args.folder / f"out.{kind}"
        if not source.exists():
            subprocess.run([sys.executable, HERE / "make.py", source, "--side", str(args.side)], check=True)

        def run(name, command):
            if name.split(" ")[0] in args.skip:
                return
            remove(target)
            took = timed(command)
            remove(target)
            line = "failed" if took is None else f"{took[0]:.1f} | {took[1]:.0f}"
            rows.append(f"| {kind} | {name} | {line} |")
            print(rows[-1], file=sys.stderr, flush=True)

        run("copy", script(COPY[kind], source, target))
        for kernel in ["sharpen", "gaussian:31,5"]:
            ours = [args.program, "run", source, "-o", target, "--kernel", kernel, "--engine", "cpu", "--memory", "512M"]
            run(f"channelwise {kernel}", [*map(str, ours)])
            # Reading and computing alone.
            run(f"channelwise-nowhere {kernel}", [*map(str, ours[:3]), *map(str, ours[5:])])
            if kind == "npy":
                run(f"pyvips {kernel}", script(VIPS, source, target, kernel))
            run(f"dask-image {kernel}", script(DASK, source, target, kernel))
    print("| file | what | seconds | MiB resident |\n| --- | --- | ---: | ---: |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
