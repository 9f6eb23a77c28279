"""Filters of Dask arrays and of Zarr arrays, part by part, with the borders of the whole.

>>> import channelwise.dask, dask.array, numpy
>>> x = dask.array.random.default_rng(7).integers(0, 255, (500, 700, 3), dtype="uint8", chunks=(128, 100, -1))
>>> y = channelwise.dask.filter2d(x, channelwise.gaussian(31, 5.0), border="wrap")
>>> y.chunks == x.chunks, y.dtype
(True, dtype('uint8'))
>>> bool((y.compute() == channelwise.filter2d(x.compute(), channelwise.gaussian(31, 5.0), border="wrap")).all())
True

A chunk of the output is one task, which takes the chunk of the input that lies under it and what it needs of those beside
it, however many these are: chunks may be smaller than the kernel. Nothing is padded, and nothing is computed twice. Every
part takes the algorithm that is planned for the whole, and has the bits that the whole has by it; only where that is "fft"
and chunks also part channels, the last bits of floats may be others.

A task computes on the thread that runs it (``threads=1``), so a worker with eight threads filters eight chunks at once. With
more, all tasks of a process share so many threads.

Labelled arrays go through `xarray.apply_ufunc`:

>>> import xarray
>>> scene = xarray.DataArray(x, dims=("y", "x", "band"))
>>> edges = xarray.apply_ufunc(
...     channelwise.dask.filter2d, scene, channelwise.sobel_x(), kwargs={"dtype": "float32"}, dask="allowed",
...     input_core_dims=[["y", "x", "band"], []], output_core_dims=[["y", "x", "band"]],
... )
>>> edges.dims, edges.dtype, edges.chunks == x.chunks
(('y', 'x', 'band'), dtype('float32'), True)
"""

from __future__ import annotations

import math
import pickle
from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

from ._native import Kernel
from ._pieces import Rectangle, Run, Whole, bounds, compute, cut_out, filter_into, scaled, touched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, DTypeLike
    from typing_extensions import Unpack

    from ._options import Options

__all__ = ["filter2d", "filter2d_zarr"]

#: A filter of more bytes goes into a graph once, and not into each task.
_LARGE = 2048
#: Chunks of a Zarr array that a task writes below each other: what it reads of the next one is read twice.
_BAND = 8


def filter2d(
    x: da.Array,
    kernel: Kernel | ArrayLike,
    *,
    mask: Any = None,
    dtype: DTypeLike | None = None,
    algorithm: str = "auto",
    threads: int | None = 1,
    **options: Unpack[Options],
) -> da.Array:
    """`channelwise.filter2d` of a Dask array, lazily: an array of the same number of axes.

    mask: weights of the values, a Dask array or another, of the shape of x or [height, width].
    Other keywords are those of `channelwise.filter2d`, but for `adjoint`, which is computed as a whole, and `engine`: chunks
    lie in memory of the host, and are filtered by the CPU.

    The chunks of the result are those of x, in proportion where the result is smaller or larger.
    """
    if not isinstance(x, da.Array):
        raise ValueError(f"x: {type(x)} is not allowed, a dask.array.Array is needed")
    if any(n != n for n in x.shape):
        raise ValueError(f"x: an array of shape {x.shape} is not allowed, call compute_chunk_sizes() first")
    if not isinstance(x._meta, np.ndarray) or isinstance(x._meta, np.ma.MaskedArray):
        raise ValueError(f"x: chunks of {type(x._meta)} are not allowed, those of NumPy are needed")
    whole, shape, result = _whole(x.shape, kernel, x.dtype, dtype, (algorithm, threads), mask, dict(options))
    down, across = whole.axes
    # Images and channels stay in their chunks; each channel of these gives as many outputs.
    chunks = [tuple(int(n) for n in sizes) for sizes in x.chunks]
    inputs = [bounds(chunks[down]), bounds(chunks[across])]
    chunks[down], chunks[across] = scaled(chunks[down], shape[down]), scaled(chunks[across], shape[across])
    if whole.channels is not None:
        filters = shape[whole.channels] // max(x.shape[whole.channels], 1)
        chunks[whole.channels] = tuple(n * filters for n in chunks[whole.channels])
    depends: list[Any] = [x] if mask is None else [x, _mask(mask, x, whole)]
    name = f"filter2d-{tokenize(whole, *depends)}"
    layer = _layer(name, whole, chunks, inputs, depends, result)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=depends)
    return da.Array(graph, name, tuple(chunks), meta=np.empty((0,) * x.ndim, result))


def filter2d_zarr(
    source: Any,
    target: Any,
    kernel: Kernel | ArrayLike,
    *,
    dtype: DTypeLike | None = None,
    chunks: Sequence[int] | None = None,
    overwrite: bool = False,
    part_bytes: int = 64 << 20,
    algorithm: str = "auto",
    threads: int | None = 1,
    **options: Unpack[Options],
) -> Delayed:
    """Filters a Zarr array into another, chunk by chunk: a `dask.delayed` value, which computes to the target.

    source: a `zarr.Array`, or what `zarr.open_array` takes. target: an array of the result's shape and dtype, or where one is
    created like the source, with `chunks` or the source's. Neither is ever in memory as a whole.
    part_bytes: about what a task holds of both.
    Other keywords are those of `channelwise.dask.filter2d`.

    Each task makes some chunks of the target (shards, where it has such), those side by side at once and then the ones below
    them, and reads each chunk of the source that lies under them once. Tasks know nothing of each other and write whole
    chunks, so one that is run again, as after a worker is lost, does no harm.

    >>> import channelwise.dask, numpy, zarr
    >>> scene = zarr.create_array({}, shape=(300, 400, 3), chunks=(100, 100, 3), dtype="uint8")
    >>> scene[:] = numpy.random.default_rng(7).integers(0, 255, scene.shape)
    >>> done = channelwise.dask.filter2d_zarr(scene, {}, channelwise.gaussian(9, 2.0), border="wrap").compute()
    >>> done.chunks, done.dtype
    ((100, 100, 3), dtype('uint8'))
    >>> bool((done[:] == channelwise.filter2d(scene[:], channelwise.gaussian(9, 2.0), border="wrap")).all())
    True
    """
    import zarr

    if not isinstance(source, zarr.Array):
        source = zarr.open_array(source, mode="r")
    whole, shape, result = _whole(source.shape, kernel, source.dtype, dtype, (algorithm, threads), None, dict(options))
    channel, (down, across) = whole.channels, whole.axes
    filters = 1 if channel is None else shape[channel] // max(source.shape[channel], 1)
    if not isinstance(target, zarr.Array):
        times = [filters if axis == channel else 1 for axis in range(source.ndim)]
        shards = None if chunks or not source.shards else tuple(n * by for n, by in zip(source.shards, times))
        target = zarr.create_array(
            target,
            shape=shape,
            dtype=result,
            chunks=tuple(chunks or (n * by for n, by in zip(source.chunks, times))),
            shards=shards,
            compressors=source.compressors,
            zarr_format=source.metadata.zarr_format,
            dimension_names=getattr(source.metadata, "dimension_names", None),
            attributes=source.attrs.asdict(),
            overwrite=overwrite,
        )
    elif (target.shape, target.dtype) != (shape, result):
        limit = f"one of shape {shape} and {result} is needed"
        raise ValueError(f"target: an array of shape {target.shape} and {target.dtype} is not allowed, {limit}")
    # What is written at once, several of those side by side, and these one below the other.
    unit = list(target.shards or target.chunks)
    if channel is not None and unit[channel] % filters:
        unit[channel] = shape[channel]
    # Rows of chunks are held twice, where a part's last rows are in the next ones.
    size = math.prod(min(n, of) for n, of in zip(unit, shape)) * (2 * source.dtype.itemsize / filters + result.itemsize)
    step = list(unit)
    step[across] *= max(int(part_bytes // max(size, 1)), 1)
    step[down] *= _BAND
    token = tokenize(whole, source.store_path, target.store_path, step)
    name = f"filter2d-zarr-{token}"
    layer: dict[Any, Any] = {}
    ranges = [[(first, min(first + n, size)) for first in range(0, size, n)] for n, size in zip(step, shape)]
    for index, part in enumerate(product(*ranges)):
        read = [(first // filters, end // filters) if axis == channel else (first, end) for axis, (first, end) in enumerate(part)]
        layer[(name, index)] = (filter_into, whole, source, target, read, part, unit[down])
    layer[name] = (_last, target, list(layer))
    return Delayed(name, HighLevelGraph.from_collections(name, layer))


def _last(target: Any, _parts: list[None]) -> Any:
    """The target, when all its parts are written."""
    return target


def _layer(
    name: str,
    whole: Whole,
    chunks: Sequence[tuple[int, ...]],
    inputs: Sequence[Sequence[int]],
    depends: Sequence[da.Array],
    result: np.dtype,
) -> dict[Any, Any]:
    """The tasks of all chunks of the result.

    inputs: where chunks of the input begin, and the last one ends, down and across. depends: the input, and its weights.

        chunk ───────────────────────┐
          └─ rim ─> chunks beside it │
        rims of the chunks beside it ┴─> chunk of the result
    """
    down, across = whole.axes
    layer: dict[Any, Any] = {}
    shared: Any = whole
    if len(pickle.dumps(whole)) > _LARGE:
        shared = f"{name}-kernel"
        layer[shared] = whole
    places = [
        [_under(whole, axis, part, inputs[axis]) for part in _runs(sizes)]
        for axis, sizes in enumerate((chunks[down], chunks[across]))
    ]
    #: What others need of each chunk.
    rims: dict[tuple[Any, ...], list[Rectangle]] = defaultdict(list)

    def piece(of: da.Array, index: tuple[int, ...], row: _Piece, column: _Piece) -> tuple[Any, ...]:
        """The key of a chunk, or of the task that makes its rim: that is what other machines send."""
        plane = of.ndim < len(index)
        key = (row.chunk, column.chunk) if plane else (*index[:down], row.chunk, column.chunk, *index[across + 1 :])
        if row.is_whole and column.is_whole:
            return (of.name, *key)
        rims[(of.name, *key)].append((row.range, column.range))
        return (f"{name}-rim", of.name, *key)

    for index in product(*(range(len(sizes)) for sizes in chunks)):
        size = tuple(sizes[n] for sizes, n in zip(chunks, index))
        if 0 in size:
            layer[(name, *index)] = (np.empty, size, result)
            continue
        (rows, above), (columns, beside) = places[0][index[down]], places[1][index[across]]
        pieces = ([row.range for row in above], [column.range for column in beside])
        arguments = [[[piece(of, index, row, column) for column in beside] for row in above] for of in depends]
        layer[(name, *index)] = (compute, shared, rows, columns, pieces, *arguments)
    for chunk, rectangles in rims.items():
        plane = len(chunk) - 1 < len(chunks)
        at = chunk[1:] if plane else chunk[1 + down : 3 + down]
        corner = inputs[0][at[0]], inputs[1][at[1]]
        layer[(f"{name}-rim", *chunk)] = (cut_out, chunk, 0 if plane else down, corner, rectangles)
    return layer


def _whole(
    shape: Sequence[int],
    kernel: Any,
    input_dtype: Any,
    dtype: Any,
    how: tuple[str, int | None],
    mask: Any,
    options: dict[str, Any],
) -> tuple[Whole, tuple[int, ...], np.dtype]:
    """The filter, and shape and dtype of what it gives."""
    if mask is not None and not any(options.get(name) for name in ("normalized", "skip_nan", "no_data")):
        options["normalized"] = True
    options = {name: value for name, value in options.items() if value is not None}
    if not isinstance(kernel, Kernel) and options.get("like") != "pytorch":
        kernel = Kernel(kernel)
    if options.get("adjoint"):
        raise ValueError("adjoint: True is not allowed, the adjoint of an array in pieces is not computed")
    whole = Whole(shape, kernel, input_dtype, dtype, how, options)
    prepared = whole.prepared()
    return whole, prepared.output_shape, prepared.dtype


def _mask(mask: Any, x: da.Array, whole: Whole) -> da.Array:
    """In chunks as those of `x`."""
    down, across = whole.axes
    plane = (x.shape[down], x.shape[across])
    if tuple(mask.shape) not in (x.shape, plane):
        raise ValueError(f"mask: an array of shape {mask.shape} is not allowed, {x.shape} or {plane} is needed")
    chunks = x.chunks if mask.ndim == x.ndim else (x.chunks[down], x.chunks[across])
    return da.asarray(mask).rechunk(chunks)


def _runs(sizes: Sequence[int]) -> list[Run]:
    ends = bounds(sizes)
    return list(zip(ends, ends[1:]))


class _Piece(NamedTuple):
    """A chunk of the input along an axis, and what of it is needed."""

    chunk: int
    #: Where the chunk lies in the input.
    whole: Run
    #: The needed part of it.
    range: Run

    @property
    def is_whole(self) -> bool:
        return self.range == self.whole


def _under(whole: Whole, axis: int, part: Run, ends: Sequence[int]) -> tuple[Run, list[_Piece]]:
    """A part of the output along an axis, and the pieces of the input that it is made from."""
    if part[0] == part[1]:
        return part, []
    one = (0, 1)
    source = whole.prepared().region_source(*((part, one) if axis == 0 else (one, part)))[axis]
    pieces = []
    for n in touched(source, ends[:-1]):
        first, end = there = ends[n], ends[n + 1]
        inside = [(max(run[0], first), min(run[1], end)) for run in source if run[0] < end and run[1] > first]
        needed = min(start for start, _ in inside), max(stop for _, stop in inside)
        # A chunk most of which is needed is not worth a copy.
        pieces.append(_Piece(n, there, needed if 2 * (needed[1] - needed[0]) < end - first else there))
    return part, pieces
