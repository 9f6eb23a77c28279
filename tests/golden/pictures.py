"""TIFF files of tifffile part by part through the program, and what it makes of them by tifffile and libvips.

    pip install numpy tifffile imagecodecs pyvips pyvips-binary
    python pictures.py PROGRAM FOLDER

Nine types, strips and tiles, packed or not, interleaved or in planes, both orders of bytes, BigTIFF or not, one page
and three: each is read as it was written, and written in its own chunks and in others.
"""

import argparse
import os
import subprocess

import numpy as np
import pyvips
import tifffile

SIZE = (301, 517)
FORMS = [
    {"tile": (64, 80), "compression": "deflate", "planarconfig": "contig"},
    {"byteorder": ">", "bigtiff": True, "planarconfig": "contig", "rowsperstrip": 50},
    {"tile": (128, 128), "byteorder": ">", "planarconfig": "separate"},
    {"compression": "lzw", "bigtiff": True, "planarconfig": "contig", "rowsperstrip": 50},
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder")
    args = parser.parse_args()
    program = os.path.abspath(args.program)
    os.makedirs(args.folder, exist_ok=True)
    os.chdir(args.folder)
    # It keeps what files of one name held before.
    pyvips.cache_set_max(0)

    def run(output, *more):
        options = ["--kernel", "identity", "--engine", "cpu", "--memory", "200M", "--alpha", "filter"]
        command = [program, "run", "x.tif", "-o", output, "--pages", "all", *options, *more]
        subprocess.run(command, check=True, capture_output=True)

    rng, count = np.random.default_rng(3), 0
    kinds = ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"]
    for kind, channels, pages in ((k, c, p) for k in kinds for c in (1, 3, 4, 7) for p in (1, 3)):
        x = rng.integers(0, 100, (pages, *SIZE, channels)).astype(kind)
        for form in FORMS:
            planes = form["planarconfig"] == "separate"
            if channels == 1 and planes:
                continue
            form = dict(form, planarconfig=form["planarconfig"] if channels > 1 else None)
            y = np.moveaxis(x, -1, 1) if planes else x if channels > 1 else x[..., 0]
            colours = "rgb" if channels in (3, 4) else "minisblack"
            tifffile.imwrite("x.tif", y if pages > 1 else y[0], photometric=colours, metadata=None, **form)
            what = (kind, channels, pages, form)
            run("y.npy")
            y = np.load("y.npy")
            assert y.dtype == x.dtype and np.array_equal(y.reshape(x.shape), x), what
            for chunks in (None, (48, 112)):
                run("y.tif", *([] if chunks is None else ["--chunks", "48,112"]))
                with tifffile.TiffFile("y.tif") as file:
                    assert len(file.pages) == pages, what
                    for page, want in zip(file.pages, x):
                        y = page.asarray()
                        assert y.dtype == x.dtype and np.array_equal(y.reshape(want.shape), want), what
                        tile = chunks or form.get("tile")
                        assert tile == ((page.tilelength, page.tilewidth) if page.is_tiled else None), what
                try:
                    pyvips.Image.new_from_file("x.tif")
                except pyvips.Error:
                    # It does not read all that tifffile writes.
                    continue
                page = pyvips.Image.new_from_file("y.tif", page=pages - 1)
                assert (page.height, page.width, page.bands) == (*SIZE, channels), what
                if kind in ("u1", "u2", "f4"):
                    assert np.array_equal(page.numpy().reshape(x[-1].shape), x[-1]), what
                count += 1
    print(f"{count} files are read as they were written")


if __name__ == "__main__":
    main()
