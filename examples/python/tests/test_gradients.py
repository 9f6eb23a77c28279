"""Gradients and adjoints: against differences, and against each other."""

import numpy as np
import pytest

import channelwise


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"border": "wrap", "stride": (2, 1), "dilation": (1, 2)},
        {"padding": "valid", "activation": "tanh", "bias": [0.1, -0.2]},
        {"like": "tensorflow", "pointwise": ([[0.5], [-0.25]], [0.1], "relu")},
    ],
    ids=str,
)
def test_against_differences(rng, layout, options):
    shape = (2, 7, 8, 3) if layout == "nhwc" else (2, 3, 7, 8)
    x, kernel = rng.normal(size=shape).astype("float32"), rng.normal(size=(3, 3, 2)).astype("float32")
    options = {**options, "layout": layout}
    y = channelwise.filter2d(x, kernel, **options)
    grad = rng.normal(size=y.shape).astype("float32")
    got = channelwise.backward(x, kernel, grad, **options)

    def loss(x, kernel, **changed):
        y = channelwise.filter2d(x.astype("float64"), kernel, **{**options, **changed})
        return float((y * grad).sum())

    def slope(towards, of):
        step = 1e-4
        return (of(step * towards) - of(-step * towards)) / (2 * step)

    towards = rng.normal(size=x.shape)
    assert np.isclose(slope(towards, lambda by: loss(x + by, kernel)), (got.input * towards).sum(), rtol=2e-3, atol=2e-3)
    towards = rng.normal(size=kernel.shape)
    assert np.isclose(slope(towards, lambda by: loss(x, kernel + by)), (got.kernel * towards).sum(), rtol=2e-3, atol=2e-3)
    bias = np.array(options.get("bias", [0.0, 0.0]))
    towards = rng.normal(size=2)
    assert np.isclose(slope(towards, lambda by: loss(x, kernel, bias=bias + by)), (got.bias * towards).sum(), rtol=2e-3, atol=2e-3)
    assert (got.pointwise is None) == ("pointwise" not in options)
    if got.pointwise:
        assert got.pointwise[0].shape == (2, 1) and got.pointwise[1].shape == (1,)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 2), (3, 3, 1, 2)])
def test_the_gradient_of_a_kernel_has_its_shape(shape):
    x = np.ones((1, 6, 7, 2), "float32")
    y = channelwise.filter2d(x, np.ones(shape))
    assert channelwise.backward(x, np.ones(shape), y).kernel.shape == shape


def test_like_pytorch(rng):
    kernel = rng.normal(size=(2, 1, 3, 3))
    x = rng.normal(size=(2, 3, 7, 8)).astype("float32")
    y = channelwise.filter2d(x, kernel, like="pytorch", padding=1)
    assert y.shape == (2, 6, 7, 8)
    ours = channelwise.filter2d(x, np.moveaxis(kernel[:, 0], 0, -1), layout="nchw", border="zero")
    np.testing.assert_array_equal(y, ours)
    assert channelwise.backward(x, kernel, y, like="pytorch", padding=1).kernel.shape == kernel.shape


def test_adjoint(rng):
    kernel = rng.normal(size=(3, 5, 2))
    options = {"stride": 2, "border": "reflect"}
    x = rng.normal(size=(1, 9, 11, 3))
    y = channelwise.filter2d(x, kernel, **options)
    z = rng.normal(size=y.shape)
    back = channelwise.filter2d(z, kernel, adjoint=True, adjoint_size=(9, 11), **options)
    assert back.shape == x.shape
    assert np.isclose((y * z).sum(), (x * back).sum(), rtol=1e-5)


def test_the_same_bits_each_time(rng):
    x = rng.normal(size=(4, 60, 70, 3)).astype("float32")
    grad = rng.normal(size=x.shape).astype("float32")
    first = channelwise.backward(x, np.ones((3, 3)), grad)
    for threads in (1, 2, 3):
        other = channelwise.backward(x, np.ones((3, 3)), grad, engine="cpu", threads=threads)
        np.testing.assert_array_equal(other.kernel, first.kernel)
        np.testing.assert_array_equal(other.input, first.input)
