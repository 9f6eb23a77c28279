"""Arrays that zarr-python wrote, for tests/engines/stores.rs, and what it reads of ours.

    python arrays.py write                 makes tests/golden/zarr anew
    python arrays.py read PROGRAM FOLDER   what the program makes of each of them is read by zarr-python, in FOLDER

Made by zarr 3.1.6 and numpy 2.4.6. Element number i of an array is `value(i)` of its type.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, TransposeCodec, ZstdCodec

HERE = Path(__file__).parent / "zarr"
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]


def values(shape, dtype):
    i = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    n = i * 37 % 101
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return n % 3 == 0
    if dtype.kind in "if":
        n = n - 50
    return n.astype(dtype)


def cases():
    """Name, arguments of `create_array`."""
    shape, chunks = (7, 9, 2), (4, 5, 2)
    blosc = BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
    for dtype in TYPES + ["bool", "int64", "uint64"]:
        yield f"v3-{dtype}", dict(shape=shape, dtype=dtype, chunks=chunks, compressors=None)
    for name, codec in [("zstd", ZstdCodec(level=3)), ("gzip", GzipCodec(level=5)), ("blosc", blosc)]:
        yield f"v3-{name}", dict(shape=shape, dtype="float32", chunks=chunks, compressors=codec)
    sharded = dict(shape=(17, 19), dtype="uint16", chunks=(3, 4), shards=(6, 8))
    yield "v3-sharded", dict(sharded, compressors=ZstdCodec(level=1))
    yield "v3-sharded-plain", dict(sharded, compressors=None)
    yield "v3-big-endian", dict(
        shape=shape, dtype="int16", chunks=chunks, compressors=None, serializer=BytesCodec(endian="big")
    )
    yield "v3-transposed", dict(
        shape=shape, dtype="float32", chunks=chunks, filters=TransposeCodec(order=(2, 0, 1)), compressors=None
    )
    yield "v3-named", dict(
        shape=shape, dtype="float32", chunks=chunks, compressors=None, fill_value=float("nan"),
        dimension_names=["y", "x", "band"], attributes={"units": "m", "nested": {"a": [1, 2]}},
    )
    yield "v3-five-axes", dict(shape=(2, 3, 2, 5, 6), dtype="uint8", chunks=(1, 1, 1, 4, 4), compressors=None)
    yield "v3-channels", dict(shape=(3, 7, 9), dtype="uint8", chunks=(2, 4, 5), compressors=None)
    for dtype in ["uint8", ">i2", "<f4", ">f8", "bool"]:
        name = dtype.strip("<>") + ("be" if dtype[0] == ">" else "")
        yield f"v2-{name}", dict(shape=shape, dtype=dtype, chunks=chunks, zarr_format=2, compressors=None)
    import numcodecs

    for name, codec in [("zstd", numcodecs.Zstd(3)), ("gzip", numcodecs.GZip(5)), ("blosc", numcodecs.Blosc("zstd"))]:
        yield f"v2-{name}", dict(
            shape=shape, dtype="<i4", chunks=chunks, zarr_format=2, compressors=codec, attributes={"units": "m"}
        )
    yield "v2-fortran", dict(shape=shape, dtype="<f4", chunks=chunks, zarr_format=2, compressors=None, order="F")
    yield "v2-slashes", dict(
        shape=shape, dtype="uint8", chunks=chunks, zarr_format=2, compressors=None,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )


def write():
    shutil.rmtree(HERE, ignore_errors=True)
    for name, options in cases():
        array = zarr.create_array(HERE / f"{name}.zarr", **options)
        array[...] = values(array.shape, array.dtype)
    # Chunks that are not there are the value that fills them.
    array = zarr.create_array(HERE / "v3-holes.zarr", shape=(7, 9, 2), dtype="int16", chunks=(4, 5, 2), fill_value=-7, compressors=None)
    array[:4, :5] = values((7, 9, 2), "int16")[:4, :5]


def read(program, folder):
    folder = Path(folder)
    for number, (name, _) in enumerate(cases()):
        layout = "nchw" if name in ("v3-five-axes", "v3-channels") else "nhwc"
        source = zarr.open_array(HERE / f"{name}.zarr", mode="r")
        for options in ([], ["--out-type", "f32"], ["--chunks", "5,3"]):
            to = folder / f"{number}.zarr"
            command = [program, "run", HERE / f"{name}.zarr", "-o", to, "--kernel", "identity", "--layout", layout]
            subprocess.run([*command, "--engine", "cpu", *options], check=True, capture_output=True)
            made = zarr.open_array(to, mode="r")
            assert made.metadata.zarr_format == source.metadata.zarr_format, name
            got, want = made[...], values(source.shape, source.dtype)
            assert np.array_equal(got.astype("f8"), want.astype("f8")), (name, options)
            assert made.attrs.asdict() == source.attrs.asdict(), name
            if source.metadata.zarr_format == 3:
                assert made.metadata.dimension_names == source.metadata.dimension_names, name
            if not options:
                wide = {"bool": "uint8", "int64": "float64", "uint64": "float64"}
                assert made.dtype == wide.get(source.dtype.name, source.dtype), name
                assert made.chunks == source.chunks and made.shards == source.shards, name
                if made.dtype == source.dtype:
                    same = made.fill_value == source.fill_value or np.isnan(source.fill_value)
                    assert same and made.compressors == source.compressors, name
            if options[:1] == ["--chunks"]:
                assert made.shards is None, name
        print(name, "is read")


if __name__ == "__main__":
    write() if sys.argv[1] == "write" else read(*sys.argv[2:])
