"""Parts of a filtered array from pieces of the input: what tasks run, in whatever process they are.

A part is some rows and columns of the output. The crate says which rows and columns of the input it is made from (beyond
the edges of the whole those that the border means, so a wrap brings in some from the other side), they are brought together
from the pieces that have them, and the part is computed with the bits that it has in the whole.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from ._filter import _engine
from ._native import Prepared, Region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: (first, end), and several of them one after the other.
Run = tuple[int, int]
Runs = list[Run]
#: Rows and columns.
Rectangle = tuple[Run, Run]


class Whole:
    """A filter of a whole array, as it goes into tasks: small, and the same thing in every process."""

    def __init__(
        self,
        shape: Sequence[int],
        kernel: Any,
        input_dtype: Any,
        dtype: Any,
        how: tuple[str, int | None],
        options: dict[str, Any],
    ) -> None:
        """how: algorithm and threads."""
        self.shape = tuple(int(n) for n in shape)
        self.kernel = kernel
        self.input_dtype, self.dtype = np.dtype(input_dtype), dtype and np.dtype(dtype)
        self.how, self.options = how, options
        # What all parts take, so that where they meet nothing is to be seen.
        self.how = (self.prepared().algorithm, how[1])

    @property
    def planar(self) -> bool:
        """Whether channels come before rows and columns."""
        usual = "nchw" if self.options.get("like") == "pytorch" else "nhwc"
        return (self.options.get("layout") or usual) == "nchw"

    @property
    def axes(self) -> tuple[int, int]:
        """Which axes are rows and columns."""
        first = len(self.shape) - 2 if self.planar else (1 if len(self.shape) == 4 else 0)
        return first, first + 1

    @property
    def others(self) -> list[int]:
        """The axes that are neither: images and channels."""
        return [axis for axis in range(len(self.shape)) if axis not in self.axes]

    @property
    def channels(self) -> int | None:
        """The axis of channels."""
        if len(self.shape) == 2:
            return None
        return self.axes[0] - 1 if self.planar else len(self.shape) - 1

    def prepared(self, others: Sequence[int] = ()) -> Prepared:
        """Made ready, with so many images and channels in place of all."""
        shape = list(self.shape)
        for axis, n in zip(self.others, others):
            shape[axis] = n
        return _engine("cpu", *self.how).prepare(
            tuple(shape), self.kernel, input_dtype=self.input_dtype, dtype=self.dtype, **self.options
        )

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (self.shape, self.kernel, str(self.input_dtype), str(self.dtype), self.how, self.options)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_parts"}

    def part(self, rows: Run, columns: Run, others: Sequence[int]) -> Region:
        """Some rows and columns of the output, of so many images and channels."""
        # Kept with what they are of, and so for as long.
        parts = vars(self).setdefault("_parts", functools.lru_cache(4)(self.prepared))
        return parts(tuple(others)).region(rows, columns)


def bounds(sizes: Sequence[int]) -> list[int]:
    """Where pieces of these sizes begin, and where the last one ends."""
    return [0, *accumulate(sizes)]


def scaled(sizes: Sequence[int], of: int) -> tuple[int, ...]:
    """As many pieces of `of` places, or fewer where some would be empty, with the seams in proportion."""
    ends = bounds(sizes)
    total = ends[-1]
    if total == 0 or of == 0:
        return (of,)
    seams = sorted({(end * of + total // 2) // total for end in ends})
    return tuple(end - start for start, end in zip(seams, seams[1:]))


def touched(runs: Runs, starts: Sequence[int]) -> list[int]:
    """The pieces, which begin at `starts` and end where the next one does, that hold some of these runs."""
    found: set[int] = set()
    for first, end in runs:
        found.update(range(bisect_right(starts, first) - 1, bisect_right(starts, end - 1)))
    return sorted(found)


def cuts(runs: Runs, pieces: Sequence[Run]) -> Iterator[tuple[int, slice, slice]]:
    """For each stretch that a piece has of runs that follow one another: the piece, which of its places, and where they go.

    pieces: (first, end) of each, in order.
    """
    at = 0
    for first, end in runs:
        while first < end:
            n = bisect_right(pieces, (first, math.inf)) - 1
            if n < 0 or first >= pieces[n][1]:
                raise RuntimeError(
                    f"row or column {first} is needed, and the task has {list(pieces)}: this machine plans otherwise than "
                    "the one that made the graph; say algorithm='direct' there"
                )
            start, stop = pieces[n]
            until = min(end, stop)
            yield n, slice(first - start, until - start), slice(at, at + until - first)
            at += until - first
            first = until


def gather(
    runs: tuple[Runs, Runs],
    pieces: tuple[Sequence[Run], Sequence[Run]],
    axes: tuple[int, int],
    get: Callable[[int, int], np.ndarray],
) -> np.ndarray:
    """The rows and columns of `runs`, from pieces that `get` gives by their numbers down and across: a view where one piece
    has all of them in one stretch."""
    down, across = list(cuts(runs[0], pieces[0])), list(cuts(runs[1], pieces[1]))

    def at(rows: slice, columns: slice) -> tuple[slice, ...]:
        return (*(slice(None),) * axes[0], rows, columns)

    if len(down) == len(across) == 1:
        (row, rows, _), (column, columns, _) = down[0], across[0]
        return get(row, column)[at(rows, columns)]
    whole = None
    for row, rows, to_rows in down:
        for column, columns, to_columns in across:
            piece = get(row, column)
            if whole is None:
                shape = list(piece.shape)
                shape[axes[0]], shape[axes[1]] = down[-1][2].stop, across[-1][2].stop
                whole = np.empty(shape, piece.dtype)
            whole[at(to_rows, to_columns)] = piece[at(rows, columns)]
    assert whole is not None
    return whole


def cut_out(chunk: np.ndarray, axis: int, corner: tuple[int, int], rectangles: Sequence[Rectangle]) -> dict[Rectangle, np.ndarray]:
    """Rectangles of a chunk that begins at this corner, rows being this axis: its rim, say, which does not hold on to it."""
    made = {}
    for rows, columns in rectangles:
        down, across = (slice(first - start, end - start) for (first, end), start in zip((rows, columns), corner))
        made[rows, columns] = chunk[(*(slice(None),) * axis, down, across)].copy()
    return made


#: A chunk, or rectangles that were cut out of one.
Block = np.ndarray | dict[Rectangle, np.ndarray]


def compute(
    whole: Whole,
    rows: Run,
    columns: Run,
    pieces: tuple[Sequence[Run], Sequence[Run]],
    blocks: list[list[Block]],
    masks: list[list[Block]] | None = None,
) -> np.ndarray:
    """A part of the output, from the pieces of the input that lie under it."""

    def of(blocks: list[list[Block]], row: int, column: int) -> np.ndarray:
        block = blocks[row][column]
        return block[pieces[0][row], pieces[1][column]] if isinstance(block, dict) else block

    first = of(blocks, 0, 0)
    part = whole.part(rows, columns, [first.shape[axis] for axis in whole.others])
    x = gather(part.source, pieces, whole.axes, functools.partial(of, blocks))
    if masks is None:
        return part.run_source(x)
    axes = whole.axes if of(masks, 0, 0).ndim == first.ndim else (0, 1)
    return part.run_source(x, mask=gather(part.source, pieces, axes, functools.partial(of, masks)))


class Reader:
    """Some columns of some images and channels of an array in a store, read downwards by whole chunks, each once."""

    def __init__(self, array: Any, ranges: Sequence[Run], columns: Runs, axes: tuple[int, int]) -> None:
        self.array, self.ranges, self.columns, self.axes = array, ranges, columns, axes
        self.chunk = array.chunks[axes[0]]
        #: Rows that are held, from the first on.
        self.first, self.held = 0, self.read((0, 0))

    def read(self, rows: Run) -> np.ndarray:
        parts = [self.array[self.place(rows, run)] for run in self.columns]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=self.axes[1])

    def place(self, rows: Run, columns: Run) -> tuple[slice, ...]:
        own = dict(zip(self.axes, (rows, columns)))
        return tuple(slice(*own.get(axis, run)) for axis, run in enumerate(self.ranges))

    def rows(self, first: int, end: int) -> np.ndarray:
        """These rows: what is above them is let go of, and what their chunks have below is kept."""
        down = self.axes[0]
        last = self.first + self.held.shape[down]
        if not self.first <= first <= last:
            first_chunk = first // self.chunk * self.chunk
            self.first, self.held, last = first_chunk, self.read((0, 0)), first_chunk
        if end > last:
            until = min(-(-end // self.chunk) * self.chunk, self.array.shape[down])
            more = self.read((last, until))
            keep = self.held[(*(slice(None),) * down, slice(first - self.first if first < last else None, None))]
            self.first = min(first, last)
            self.held = np.concatenate([keep, more], axis=down) if first < last else more
        return self.held[(*(slice(None),) * down, slice(first - self.first, end - self.first))]


def filter_into(whole: Whole, source: Any, target: Any, read: Sequence[Run], write: Sequence[Run], step: int) -> None:
    """A part of the output from an array that is read where it is needed, written where it belongs, `step` rows at a time.

    read, write: the images and channels of source and target; of rows and columns those of the target.
    """
    down, across = whole.axes
    others = [read[axis][1] - read[axis][0] for axis in whole.others]
    reader = None
    for first in range(*write[down], step):
        rows = (first, min(first + step, write[down][1]))
        part = whole.part(rows, write[across], others)
        above, beside = part.source
        if reader is None or reader.columns != beside:
            reader = Reader(source, read, beside, whole.axes)
        stretches = [reader.rows(*run) for run in above]
        x = stretches[0] if len(stretches) == 1 else np.concatenate(stretches, axis=down)
        target[tuple(slice(*(rows if axis == down else run)) for axis, run in enumerate(write))] = part.run_source(x)
