"""A plugin of pytest: SciPy's filters with ours below them.

`scipy.ndimage` checks its arguments in Python and hands lines and windows to C (`correlate`, `correlate1d`,
`uniform_filter1d`). Here these three are answered by `channelwise`, so that correlate, convolve, gaussian, uniform, sobel,
prewitt, laplace and all that is made of them are SciPy's functions on our sums. What is left to SciPy, and why:

- windows along three axes and more: not a 2-D kernel
- empty arrays, which C never looks at
- weights that are not finite, for SciPy leaves out those of value 0 and we do not
- results of float16, which it refuses

Input of other types than ours (int64, uint64, bool) is made float64 before, as SciPy does; results are made in float64 and
converted as C does, where ours would be rounded and saturated.
"""

import math
from types import SimpleNamespace

import numpy as np
import scipy.ndimage._filters as filters

import channelwise

MODES = {0: "nearest", 1: "wrap", 2: "reflect", 3: "mirror", 4: "constant", 5: "grid-wrap", 6: "grid-constant"}
OURS = {np.dtype(name) for name in "f2 f4 f8 i1 i2 i4 u1 u2 u4".split()}

original = filters._nd_image
counts = {"answered": 0, "left": 0}


def converted(y, dtype):
    """float64 as C stores it in another type."""
    if dtype.kind == "u":
        signed = np.where(y < 2.0**63, y, y - 2.0**64)
        return np.trunc(signed).astype("int64").astype(dtype)
    return y.astype(dtype)


def answer(x, weights, output, mode, cval, origins, left, by=1):
    """Weights of as many axes as the input, and what their sums are divided by; `left` is SciPy's own call."""
    axes = [axis for axis, n in enumerate(weights.shape) if n > 1 or origins[axis]]
    if len(axes) > 2 or x.size == 0 or not np.isfinite(weights).all() or output.dtype == "float16":
        counts["left"] += 1
        return left()
    counts["answered"] += 1
    axes += [axis for axis in range(x.ndim) if axis not in axes][: 2 - len(axes)]
    axes.sort()
    if x.ndim == 1:
        x, weights, origins, axes = x[:, None], weights[:, None], [*origins, 0], [0, 1]
        output = output[:, None]
    x = x if x.dtype in OURS else x.astype("float64")
    front = np.moveaxis(x, axes, (0, 1))
    rest = front.shape[2:]
    kernel = weights.reshape([weights.shape[axis] for axis in axes])
    y = channelwise.filter2d(
        front.reshape(*front.shape[:2], math.prod(rest)),
        kernel,
        border=MODES[mode],
        constant=cval,
        anchor=[n // 2 + origins[axis] for n, axis in zip(kernel.shape, axes)],
        dtype="float64",
        engine="cpu",
    )
    output[...] = converted(np.moveaxis(y.reshape(*y.shape[:2], *rest) / by, (0, 1), axes), output.dtype)


def correlate(x, weights, output, mode, cval, origins):
    answer(x, weights, output, mode, cval, list(origins), lambda: original.correlate(x, weights, output, mode, cval, origins))


def correlate1d(x, weights, axis, output, mode, cval, origin):
    shape, origins = [1] * x.ndim, [0] * x.ndim
    shape[axis], origins[axis] = len(weights), origin
    left = lambda: original.correlate1d(x, weights, axis, output, mode, cval, origin)  # noqa: E731
    answer(x, np.reshape(weights, shape), output, mode, cval, origins, left)


def uniform_filter1d(x, size, axis, output, mode, cval, origin):
    shape, origins = [1] * x.ndim, [0] * x.ndim
    shape[axis], origins[axis] = size, origin
    left = lambda: original.uniform_filter1d(x, size, axis, output, mode, cval, origin)  # noqa: E731
    answer(x, np.ones(shape), output, mode, cval, origins, left, size)


def pytest_configure(config):
    swapped = SimpleNamespace(correlate=correlate, correlate1d=correlate1d, uniform_filter1d=uniform_filter1d)
    for name in dir(original):
        if not hasattr(swapped, name):
            setattr(swapped, name, getattr(original, name))
    filters._nd_image = swapped


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"channelwise answered {counts['answered']} calls, SciPy {counts['left']}")
