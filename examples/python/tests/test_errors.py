"""What cannot be is refused by an exception that names the argument, its value and what it should be."""

import numpy as np
import pytest

import channelwise

X = np.zeros((6, 7, 3), "float32")
K = np.ones((3, 3))

BAD = [
    ("x", dict(x=np.zeros(5)), "x: 1 axes"),
    ("axes", dict(x=np.zeros((1,) * 5)), "x: 5 axes"),
    ("complex", dict(x=np.zeros((5, 5), complex)), "x: complex128 .*float16"),
    ("int64", dict(x=np.zeros((5, 5), "int64")), "x: int64 .*float16"),
    ("dates", dict(x=np.zeros((5, 5), "M8[s]")), "x: datetime64"),
    ("text", dict(x="photo.png"), "x: "),
    ("objects", dict(x=np.array([[object()]])), "x: object"),
    ("ragged", dict(x=[[1.0], [1.0, 2.0]]), "x: "),
    ("nothing", dict(x=None), "x: 0 axes"),
    ("masked", dict(x=np.ma.masked_array(X, X == 0)), "x: a masked array .*mask="),
    ("kernel axes", dict(kernel=np.ones(3)), r"kernel: an array of shape \[3\]"),
    ("kernel channels", dict(kernel=np.ones((3, 3, 2, 1))), r"kernel: an array of shape \[3, 3, 2, 1\]"),
    ("kernel empty", dict(kernel=np.ones((0, 3))), "kernel height: 0"),
    ("kernel complex", dict(kernel=np.ones((3, 3), complex)), "kernel: complex128"),
    ("kernel text", dict(kernel="gaussian"), "kernel: "),
    ("filters of two axes", dict(x=X[..., 0], kernel=np.ones((3, 3, 2))), "filters: 2 .*no channel axis"),
    ("border", dict(border="clamp"), "border: clamp .*'reflect101'"),
    ("borders", dict(border=("wrap", "wrap", "wrap")), "border: .*rows, columns"),
    ("border type", dict(border=4), "border: 4"),
    ("constant", dict(border="constant", constant="0"), "constant: '0'"),
    ("padding", dict(padding="circular"), "padding: circular"),
    ("padding size", dict(padding=-1), "padding: -1"),
    ("paddings", dict(padding=(1, 2, 3)), r"padding: \(1, 2, 3\)"),
    ("stride", dict(stride=0), "stride of rows: 0"),
    ("stride type", dict(stride=1.5), "stride: 1.5"),
    ("strides", dict(stride=(1, 1, 1)), r"stride: \(1, 1, 1\)"),
    ("dilation", dict(dilation=(1, 0)), "dilation of columns: 0"),
    ("anchor", dict(anchor=(3, 0)), "anchor row: 3"),
    ("anchor and padding", dict(anchor=(1, 1), padding="valid"), "anchor"),
    ("flip", dict(flip="yes"), "flip: 'yes'"),
    ("bias", dict(bias=[1, 2]), r"bias: expected shape \[1\], found \[2\]"),
    ("bias axes", dict(bias=[[1]]), "bias: "),
    ("activation", dict(activation="softmax"), "activation: softmax .*'relu'"),
    ("activation numbers", dict(activation=("leaky",)), r"activation: \('leaky',\)"),
    ("activation of bytes", dict(x=X.astype("u1"), activation="tanh"), "activation"),
    ("pointwise", dict(pointwise=[1, 2]), r"pointwise: weights of shape \[2\]"),
    ("pointwise filters", dict(pointwise=[[1.0], [2.0]]), "pointwise"),
    ("layout", dict(layout="hwc"), "layout: hwc .*'nhwc'"),
    ("like", dict(like="matlab"), "like: matlab .*'opencv'"),
    ("mask", dict(mask=np.ones((5, 5))), r"mask: an array of shape \[5, 5\] .*\[6, 7\]"),
    ("mask values", dict(mask=np.full((6, 7), np.nan)), "mask: NaN"),
    ("engine", dict(engine="tpu"), "engine: tpu .*'cpu'"),
    ("algorithm", dict(algorithm="winograd"), "algorithm: winograd .*'direct'"),
    ("algorithm here", dict(algorithm="flat", engine="cpu"), "flat"),
    ("threads", dict(threads=0), "threads: 0"),
    ("threads type", dict(threads="all"), "threads: 'all'"),
    ("dtype", dict(dtype="int64"), "dtype: .*int64.* .*float16"),
    ("dtype text", dict(dtype="bytes of eight"), "dtype: bytes of eight"),
    ("dtype bool", dict(dtype=bool), "dtype: bool .*uint8"),
    ("out shape", dict(out=np.zeros((6, 7), "float32")), r"out: an array of shape \[6, 7\] .*\[6, 7, 3\]"),
    ("out type", dict(out=np.zeros(X.shape), dtype="float32"), "out: float64 .*f32"),
    ("out bool", dict(out=np.zeros(X.shape, bool)), "out: bool"),
    ("out read-only", dict(out=np.broadcast_to(np.float32(0), X.shape)), "out: a read-only array"),
    ("valid and small", dict(x=X[:2], padding="valid"), "height"),
    ("adjoint and activation", dict(adjoint=True, activation="relu"), "activation"),
    ("huge", dict(padding=10**15), "padding|too large|output|size|limit"),
]


@pytest.mark.parametrize("options, text", [pytest.param(*case, id=name) for name, *case in BAD])
def test_bad_arguments(options, text):
    options = {"x": X, "kernel": K, **options}
    with pytest.raises(ValueError, match=text):
        channelwise.filter2d(options.pop("x"), options.pop("kernel"), **options)


def test_words_that_are_no_keywords():
    with pytest.raises(TypeError, match="strides"):
        channelwise.filter2d(X, K, strides=2)
    for call in (channelwise.explain, channelwise.filter2d_each):
        with pytest.raises(TypeError, match="unexpected keyword argument 'strides'"):
            call(X, [K], strides=2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'mode'"):
        channelwise.backward(X, K, X, mode="wrap")


def test_what_was_prepared_takes_nothing_else():
    prepared = channelwise.Engine("cpu").prepare(X.shape, K)
    with pytest.raises(ValueError, match=r"x: an array of shape \[5, 7, 3\] .*\[6, 7, 3\] was prepared for"):
        prepared(X[:5])
    with pytest.raises(ValueError, match="x: an array of f64 .*f32 was prepared for"):
        prepared(X.astype("float64"))
    with pytest.raises(ValueError, match="mask: of a plain convolution"):
        prepared(X, mask=np.ones((6, 7)))
    with pytest.raises(ValueError, match="rows of the region: 2..9"):
        prepared.region((2, 9), (0, 7))
    with pytest.raises(ValueError, match="rows: 3 is not allowed|rows: .*first, end"):
        prepared.region("all", (0, 7))
    with pytest.raises(ValueError, match="source of the region"):
        prepared.region((0, 3), (0, 3)).run_source(X)
    with pytest.raises(ValueError, match=r"x: an array of shape \[4, 4, 3\] .*\[6, 7, 3\] was prepared for"):
        prepared.region((0, 3), (0, 3))(X[:4, :4])
    for shape in (7, (5,), (1,) * 5, (-1, 5), "nhwc"):
        with pytest.raises(ValueError, match="shape|x:"):
            channelwise.Engine("cpu").prepare(shape, K)
    with pytest.raises(ValueError, match="input_dtype: 'photo'"):
        channelwise.Engine("cpu").prepare((5, 5), K, input_dtype="photo")


def test_gradients_and_kernels():
    with pytest.raises(ValueError, match="grad: f64 .*float32"):
        channelwise.backward(X, K, X.astype("float64"))
    with pytest.raises(ValueError, match="grad: an array of 2 axes"):
        channelwise.backward(X, K, X[..., 0])
    with pytest.raises(ValueError, match="output gradient|gradient"):
        channelwise.backward(X, K, X[:4])
    with pytest.raises(ValueError, match="size: 0"):
        channelwise.gaussian(0, 1.0)
    with pytest.raises(ValueError, match="sigma: -1"):
        channelwise.gaussian(3, -1)
    with pytest.raises(ValueError, match="size: 2.5"):
        channelwise.gaussian(2.5, 1)
    with pytest.raises(ValueError, match="sigma: 'wide'"):
        channelwise.gaussian(3, "wide")
    with pytest.raises(ValueError, match="kernels: "):
        channelwise.stack([])
    with pytest.raises(ValueError, match="stacked kernel"):
        channelwise.stack([channelwise.sobel_x(), channelwise.identity()])
    with pytest.raises(ValueError, match="kernel sum"):
        channelwise.sobel_x().normalized()
    with pytest.raises(ValueError, match="convolutions: 1"):
        channelwise.filter2d_each(np.zeros((2, 5, 5, 1)), [K])
    for axes in (1, 5):
        with pytest.raises(ValueError, match=f"x: {axes} axes"):
            channelwise.filter2d_each(np.zeros((2,) * axes), [K, K])
        with pytest.raises(ValueError, match=f"x: {axes} axes"):
            channelwise.backward(np.zeros((2,) * axes), K, np.zeros((2,) * axes, "float32"))
    with pytest.raises(ValueError, match="kernels: 5"):
        channelwise.filter2d_each(np.zeros((2, 5, 5, 1)), 5)


def test_nothing_was_written_after_an_error():
    out = np.full((6, 7, 3), 5, "float32")
    with pytest.raises(ValueError):
        channelwise.filter2d(X, K, out=out, stride=0)
    with pytest.raises(ValueError):
        channelwise.filter2d(X, K, out=out, mask=np.full((6, 7), np.inf))
    assert (out == 5).all()
