"""The functions: each takes an engine that all calls which ask for the same share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ._native import Engine, Kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike
    from typing_extensions import Unpack

    from ._options import Options


_engines: dict[tuple[str, str, int | None], Engine] = {}


def _engine(engine: str = "auto", algorithm: str = "auto", threads: int | None = None) -> Engine:
    """The engine of all calls that ask for this one."""
    try:
        return _engines[engine, algorithm, threads]
    except (KeyError, TypeError):  # Not yet, or of what cannot be: then it says so.
        made = Engine(engine, algorithm=algorithm, threads=threads)
    return _engines.setdefault((engine, algorithm, threads), made)


def filter2d(
    x: Any,
    kernel: Kernel | ArrayLike,
    *,
    border: str | Sequence[str] | None = None,
    constant: float | None = None,
    padding: str | int | Sequence[int] | None = None,
    stride: int | Sequence[int] | None = None,
    dilation: int | Sequence[int] | None = None,
    anchor: Sequence[int] | None = None,
    flip: bool | None = None,
    bias: ArrayLike | None = None,
    activation: str | Sequence[Any] | None = None,
    pointwise: Any = None,
    layout: str | None = None,
    mask: Any = None,
    skip_nan: bool | None = None,
    no_data: float | None = None,
    normalized: bool | None = None,
    adjoint: bool | None = None,
    adjoint_size: Sequence[int] | None = None,
    assume_finite: bool | None = None,
    like: str | None = None,
    engine: str = "auto",
    algorithm: str = "auto",
    dtype: DTypeLike | None = None,
    out: Any = None,
    threads: int | None = None,
) -> Any:
    """Applies one kernel to every channel of `x`; the result has the same number of axes, in C order.

    For input `x`, kernel `k` and output channel `c*F + f`, with F filters::

        y[n, r, q, c*F+f] = act(bias[f] + sum_ij k[i, j, f] * x[n, r*sh + i*dh - top, q*sw + j*dw - left, c])

    Parameters
    ----------
    x
        [height, width], [height, width, channels] or [batch, height, width, channels], of float16, float32, float64,
        int8, int16, int32, uint8, uint16, uint32 or bool (0 and 1, which become uint8). Crops and flipped views whose rows
        have 256 bytes and more are read where they lie. Arrays of other libraries that lie on the CPU (`__dlpack__`: PyTorch, JAX) are taken without a
        copy, and results are arrays of theirs.
    kernel
        A `Kernel`, or weights [height, width], [height, width, filters] or [height, width, 1, filters].
    border
        What lies beyond the edges: "reflect101" (dcb|abcd, the default), "reflect" (dcba|abcd), "replicate", "wrap" or
        "constant"; (rows, columns) or (top, bottom, left, right) of them. SciPy's and NumPy's names are taken where they
        mean one thing: "nearest", "mirror", "edge", "symmetric". NumPy, PyTorch and TensorFlow call "reflect101" reflect.
    constant
        The value of a constant border, 0 unless it is said.
    padding
        "same" (the default; TensorFlow's, where a stride is taken), "valid", "full", a number for all sides,
        (rows, columns) or (top, bottom, left, right).
    stride, dilation
        A number, or one for rows and one for columns.
    anchor
        (row, column) of the kernel as applied that lies on the output's own place, with padding "same". Without it the
        middle; that of an even side k is (k - 1) // 2 as in TensorFlow, and k // 2 like OpenCV and SciPy.
    flip
        True for convolution; correlation otherwise.
    bias
        A number for each filter.
    activation
        "relu", "relu6", "abs", "sigmoid", "tanh", "gelu", ("leaky", slope) or ("clamp", low, high).
    pointwise
        A shared 1x1 step after it: weights [filters, outputs], or a tuple of them, a bias and an activation.
    layout
        "nhwc" (the default), or "nchw" for [batch, channels, height, width].
    mask, skip_nan, no_data, normalized
        Leaves out what is missing: y = bias + sum k*m*x / sum k*m, with weights `mask` of the values (of the shape of x
        or [height, width]; bool, or any numbers), and without NaNs. `no_data` is stored where nothing is known, NaN or 0
        otherwise.
    adjoint, adjoint_size
        True for the transposed operator: TensorFlow's `conv2d_transpose`, of this (height, width).
    assume_finite
        Promises that `x` has no infinities and NaNs, so that more algorithms may be taken.
    like
        Defaults of "tensorflow" (valid, zeros), "pytorch" (the same on [batch, channels, height, width]; kernels of four
        axes are [filters, 1, height, width]), "opencv" (`cv2.filter2D`) or "scipy" (`scipy.ndimage.correlate`, with
        flip `convolve`). What a call says goes before them.
    engine, algorithm, threads
        Those of `Engine`. With threads=1 it computes on the thread that calls.
    dtype
        Of the result, that of x or `out` unless it is said. Integers are rounded half to even and saturated.
    out
        An array of the result's shape that is written in place, and returned. It may be x, or a crop.

    Raises
    ------
    ValueError
        Names the argument, its value and what it should be.
    RuntimeError
        What the machine runs into.

    Examples
    --------
    >>> import channelwise, numpy
    >>> x = numpy.arange(12, dtype="float32").reshape(3, 4)
    >>> channelwise.filter2d(x, [[-1, 0, 1]], border="replicate")
    array([[1., 2., 2., 1.],
           [1., 2., 2., 1.],
           [1., 2., 2., 1.]], dtype=float32)
    >>> both = channelwise.stack([channelwise.sobel_x(), channelwise.sobel_y()])
    >>> channelwise.filter2d(numpy.ones((1, 10, 10, 3)), both, like="tensorflow").shape
    (1, 8, 8, 6)
    """
    return _engine(engine, algorithm, threads).filter2d(
        x,
        kernel,
        mask=mask,
        dtype=dtype,
        out=out,
        border=border,
        constant=constant,
        padding=padding,
        stride=stride,
        dilation=dilation,
        anchor=anchor,
        flip=flip,
        bias=bias,
        activation=activation,
        pointwise=pointwise,
        layout=layout,
        skip_nan=skip_nan,
        no_data=no_data,
        normalized=normalized,
        adjoint=adjoint,
        adjoint_size=adjoint_size,
        assume_finite=assume_finite,
        like=like,
    )


def filter2d_each(
    x: Any,
    kernels: Any,
    *,
    dtype: DTypeLike | None = None,
    out: Any = None,
    engine: str = "auto",
    algorithm: str = "auto",
    threads: int | None = None,
    **options: Unpack[Options],
) -> Any:
    """Applies to every image of a batch a kernel of its own: Kornia's `filter2d` with kernels [batch, height, width].

    kernels: as many as images: a list, or an array whose first axis counts them. Other keywords are those of `filter2d`,
    but for masks.

    >>> import channelwise, numpy
    >>> x = numpy.full((2, 8, 8, 3), 100, "uint8")
    >>> y = channelwise.filter2d_each(x, [channelwise.box_blur(3, 3), channelwise.laplacian4()])
    >>> y[0, 4, 4, 0], y[1, 4, 4, 0]
    (np.uint8(100), np.uint8(0))
    """
    shared = _engine(engine, algorithm, threads)
    return shared.filter2d_each(x, kernels, dtype=dtype, out=out, **options)


def explain(
    x: Any,
    kernel: Kernel | ArrayLike,
    *,
    input_dtype: DTypeLike | None = None,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
    algorithm: str = "auto",
    threads: int | None = None,
    **options: Unpack[Options],
) -> str:
    """How `filter2d` would compute this and why so: every candidate with its predicted time, or the reason against it.

    x: an array, or a shape of arrays of `input_dtype`, which is float32 unless it is said.

    >>> import channelwise
    >>> print(channelwise.explain((64, 64, 3), channelwise.gaussian(31, 5.0), engine="cpu"))  # doctest: +ELLIPSIS
    separable on the cpu ...: 1x64x64x3 f32 -> 1x64x64x3 f32, kernel 31x31, border reflect101
    ...
    """
    shared = _engine(engine, algorithm, threads)
    return shared.prepare(x, kernel, input_dtype=input_dtype, dtype=dtype, **options).explain()


class Gradients(NamedTuple):
    """Gradients of a loss, float32: what `backward` gives.

    >>> import channelwise, numpy
    >>> x = numpy.ones((5, 5), "float32")
    >>> channelwise.backward(x, [[1.0, 2.0]], x, bias=0).bias
    array([25.], dtype=float32)
    """

    #: In the shape of the input.
    input: Any
    #: In the shape of the kernel: summed over images, places and channels.
    kernel: np.ndarray
    #: [filters].
    bias: np.ndarray
    #: Of weights [filters, outputs] and bias [outputs] of a pointwise step, where there is one.
    pointwise: tuple[np.ndarray, np.ndarray] | None


def backward(
    x: Any,
    kernel: Kernel | ArrayLike,
    grad: Any,
    *,
    engine: str = "auto",
    algorithm: str = "auto",
    threads: int | None = None,
    **options: Unpack[Options],
) -> Gradients:
    """Gradients of a loss with respect to input, kernel, bias and pointwise step of `filter2d` with these keywords.

    grad: that with respect to the output, float32. Sums are made in an order that depends on the shape alone, so the same
    input gives the same bits.

    >>> import channelwise, numpy
    >>> x = numpy.ones((1, 4, 4, 2), "float32")
    >>> grad = numpy.ones((1, 2, 2, 2), "float32")
    >>> channelwise.backward(x, numpy.ones((3, 3)), grad, like="tensorflow").kernel[0]
    array([8., 8., 8.], dtype=float32)
    """
    return Gradients(*_engine(engine, algorithm, threads).backward(x, kernel, grad, **options))
