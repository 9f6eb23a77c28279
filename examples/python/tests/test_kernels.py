"""Kernels by name, and what becomes of them."""

import copy
import pickle

import cv2
import numpy as np
import pytest
import scipy.ndimage

import channelwise as cw

ALL = [
    cw.identity(),
    cw.gaussian(5, 1.2),
    cw.gaussian_sized(7),
    cw.gaussian_sigma(1.5),
    cw.gaussian_sigma((1.0, 2.0)),
    cw.gaussian_axes((5, 7), (1.0, 2.0)),
    cw.box_blur(3, 4),
    cw.binomial(5),
    *(make() for make in (cw.sobel_x, cw.sobel_y, cw.scharr_x, cw.scharr_y, cw.prewitt_x, cw.prewitt_y)),
    *(make() for make in (cw.laplacian4, cw.laplacian8, cw.sharpen, cw.emboss)),
    cw.log(9, 1.4),
    cw.gabor(9, 2.0, 0.5, 4.0, 0.5, 0.0),
    cw.motion(7.5, 30),
    cw.disk(3.5),
    cw.unsharp(5, 1.0, 0.5),
    cw.separable([0.1, 0.2, 0.7], np.array([1, 2.0])),
    cw.stack([cw.sobel_x(), np.eye(3)]),
    cw.weighted_sum([1, -0.5], [cw.gaussian(5, 1.0), cw.gaussian(5, 2.0).flipped()]).flipped(),
    cw.Kernel(np.arange(12.0).reshape(3, 4)).normalized(),
    cw.Kernel(np.ones((2, 3, 2), "float32")),
]


@pytest.mark.parametrize("kernel", ALL, ids=lambda kernel: repr(kernel).splitlines()[0][:60])
def test_copies_are_the_same(kernel, rng):
    x = rng.normal(size=(40, 50))
    options = {"engine": "cpu"} if kernel.filters == 1 else {"engine": "cpu", "pointwise": [[1.0], [2.0]]}
    want = cw.filter2d(x, kernel, **options)
    told = cw.explain((400, 500), kernel, **options)
    names = {"channelwise": cw, "array": np.array, "float32": np.float32}
    for other in (pickle.loads(pickle.dumps(kernel)), copy.deepcopy(kernel), eval(repr(kernel), names), cw.Kernel(kernel)):
        assert other == kernel and hash(other) == hash(kernel) and repr(other) == repr(kernel)
        np.testing.assert_array_equal(cw.filter2d(x, other, **options), want)
        # Also what it was made from, which plans depend on.
        assert cw.explain((400, 500), other, **options) == told
    weights = np.asarray(kernel)
    assert weights.dtype == "float64" and weights.shape == kernel.shape
    assert cw.Kernel(weights) == kernel
    weights[:] = 0
    assert np.asarray(kernel).any()


def test_those_of_others():
    np.testing.assert_allclose(cw.gaussian(5, 1.2), np.outer(*[cv2.getGaussianKernel(5, 1.2)] * 2), atol=1e-15)
    np.testing.assert_allclose(cw.gaussian_sized(7), np.outer(*[cv2.getGaussianKernel(7, 0)] * 2), atol=1e-15)
    gabor = cv2.getGaborKernel((9, 9), 2.0, 0.5, 4.0, 0.5, 0.0)
    np.testing.assert_allclose(cw.gabor(9, 2.0, 0.5, 4.0, 0.5, 0.0), gabor, atol=1e-12)
    dot = np.zeros((31, 31))
    dot[15, 15] = 1
    for sigma in (1.5, (1.0, 2.0)):
        kernel = np.asarray(cw.gaussian_sigma(sigma))
        far = [n // 2 for n in kernel.shape]
        there = scipy.ndimage.gaussian_filter(dot, sigma)
        there = there[15 - far[0] : 16 + far[0], 15 - far[1] : 16 + far[1]]
        np.testing.assert_allclose(kernel, there, atol=1e-15)


def test_digits_are_kept():
    tenth = cw.separable([0.1], [1.0])
    assert cw.filter2d(np.ones((1, 1)), tenth)[0, 0] == 0.1
    assert cw.filter2d(np.ones((1, 1)), [[0.1]], bias=[0.2])[0, 0] == 0.1 + 0.2


def test_what_equals_what():
    assert cw.sobel_x() == cw.Kernel([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    assert cw.sobel_x() != cw.sobel_y() and cw.sobel_x() != "sobel"
    assert cw.gaussian(3, 1.0).rank == 1 and cw.laplacian4().rank == 2
    assert len({cw.sobel_x(), cw.Kernel(cw.sobel_x()), cw.sobel_y()}) == 2
    with pytest.raises(AttributeError):
        cw.sobel_x().filters = 3
    with pytest.raises(ValueError, match="copy: False"):
        np.asarray(cw.sobel_x(), copy=False)
