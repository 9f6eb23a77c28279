"""One 2-D kernel applied to every channel of an array, channels never mixed.

>>> import channelwise, numpy
>>> frames = numpy.full((8, 27, 48, 3), 200, "uint8")  # batch, height, width, channels
>>> blurred = channelwise.filter2d(frames, channelwise.gaussian(5, 1.2))
>>> blurred.shape, blurred.dtype, int(blurred[0, 0, 0, 0])
((8, 27, 48, 3), dtype('uint8'), 200)

- What to apply: an array, or a `Kernel` from `gaussian`, `sobel_x` and the like, which keep the column and the row that
  they were made from; `stack` for several filters, `separable`, `weighted_sum`.
- What applies it: `filter2d` for one call, `Engine.prepare` for many of one shape, `filter2d_each` with a kernel for each
  image; `explain` tells how and why so.
- Gradients: `backward`, and `adjoint=True` for the operator backwards.
- Larger than memory, and on many machines: the module `channelwise.dask`.
"""

import os as _os

from ._filter import Gradients, _engine, backward, explain, filter2d, filter2d_each
from ._native import (
    Engine,
    Kernel,
    Prepared,
    Region,
    _forked,
    binomial,
    box_blur,
    disk,
    emboss,
    flipped,
    gabor,
    gaussian,
    gaussian_axes,
    gaussian_sigma,
    gaussian_sized,
    identity,
    laplacian4,
    laplacian8,
    log,
    motion,
    normalized,
    prewitt_x,
    prewitt_y,
    scharr_x,
    scharr_y,
    separable,
    sharpen,
    sobel_x,
    sobel_y,
    stack,
    unsharp,
    weighted_sum,
)

# Where there is such a thing as a fork.
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_forked)

__version__ = "0.1.0"

__all__ = [
    "Engine",
    "Gradients",
    "Kernel",
    "Prepared",
    "Region",
    "backward",
    "binomial",
    "box_blur",
    "disk",
    "emboss",
    "explain",
    "filter2d",
    "filter2d_each",
    "flipped",
    "gabor",
    "gaussian",
    "gaussian_axes",
    "gaussian_sigma",
    "gaussian_sized",
    "identity",
    "laplacian4",
    "laplacian8",
    "log",
    "motion",
    "normalized",
    "prewitt_x",
    "prewitt_y",
    "scharr_x",
    "scharr_y",
    "separable",
    "sharpen",
    "sobel_x",
    "sobel_y",
    "stack",
    "unsharp",
    "weighted_sum",
]
