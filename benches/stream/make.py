"""An RGB mosaic of bytes from a seed, as .npy or as Zarr with zstd: slopes, edges and noise, so that it packs as photos do.

    python make.py OUT[.npy|.zarr] [--side 63246] [--rows 512]
"""

import argparse

import numpy as np


def band(side, rows, first, rng_seed):
    rng = np.random.default_rng([rng_seed, first])
    r = np.arange(first, first + rows, dtype=np.float32)[:, None]
    c = np.arange(side, dtype=np.float32)[None, :]
    base = 96 + 60 * np.sin(r / 700) * np.cos(c / 900) + 24 * ((r // 333 + c // 555) % 2)
    noise = rng.integers(0, 8, (rows, side, 3), dtype=np.uint8)
    shift = np.array([0, 20, 40], np.uint8)
    return base.astype(np.uint8)[..., None] + shift + noise


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--side", type=int, default=63246)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    shape = (args.side, args.side, 3)
    if args.out.endswith(".zarr"):
        import zarr

        out = zarr.create_array(args.out, shape=shape, dtype=np.uint8, chunks=(args.rows, args.rows, 3))
    else:
        out = np.lib.format.open_memmap(args.out, "w+", np.uint8, shape)
    for first in range(0, args.side, args.rows):
        rows = min(args.rows, args.side - first)
        out[first : first + rows] = band(args.side, rows, first, args.seed)


if __name__ == "__main__":
    main()
