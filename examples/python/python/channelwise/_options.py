"""The keywords that say what is computed, for type checkers: `filter2d` says what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from numpy.typing import ArrayLike


class Options(TypedDict, total=False):
    border: str | Sequence[str] | None
    constant: float | None
    padding: str | int | Sequence[int] | None
    stride: int | Sequence[int] | None
    dilation: int | Sequence[int] | None
    anchor: Sequence[int] | None
    flip: bool | None
    bias: ArrayLike | None
    activation: str | Sequence[Any] | None
    pointwise: Any
    layout: str | None
    skip_nan: bool | None
    no_data: float | None
    normalized: bool | None
    adjoint: bool | None
    adjoint_size: Sequence[int] | None
    assume_finite: bool | None
    like: str | None
