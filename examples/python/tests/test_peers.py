"""Random problems against SciPy and OpenCV, drawn anew by `CHANNELWISE_SEED`."""

import os

import cv2
import numpy as np
import pytest
import scipy.ndimage

import channelwise

SEED = int(os.environ.get("CHANNELWISE_SEED", 20261130))
SCIPY = {"reflect": "reflect", "constant": "constant", "replicate": "nearest", "reflect101": "mirror", "wrap": "wrap"}
OPENCV = {
    "reflect": cv2.BORDER_REFLECT,
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "reflect101": cv2.BORDER_REFLECT_101,
}


@pytest.mark.parametrize("seed", range(300))
def test_scipy(seed):
    rng = np.random.default_rng([SEED, seed])
    shape = rng.integers(1, 40, 2)
    x = rng.normal(size=(*shape, rng.integers(1, 5)))
    kernel = rng.normal(size=rng.integers(1, 10, 2))
    if rng.random() < 0.3:
        kernel = np.outer(kernel[:, 0], kernel[0])
    border = rng.choice(list(SCIPY))
    constant = rng.normal()
    flip = bool(rng.random() < 0.5)
    theirs = scipy.ndimage.convolve if flip else scipy.ndimage.correlate
    options = {"like": "scipy", "border": border, "constant": constant, "flip": flip}
    want = theirs(x, kernel[..., None], mode=SCIPY[border], cval=constant)
    np.testing.assert_allclose(channelwise.filter2d(x, kernel, **options), want, rtol=1e-11, atol=1e-12)
    bound = 4 * kernel.size * 2.0**-24 * max(np.abs(x).max(), abs(constant)) * np.abs(kernel).sum()
    single = channelwise.filter2d(x.astype("float32"), kernel, **options)
    exact = theirs(x.astype("float32").astype("float64"), kernel[..., None], mode=SCIPY[border], cval=constant)
    np.testing.assert_allclose(single, exact, rtol=1e-6, atol=bound)


@pytest.mark.parametrize("seed", range(300))
def test_opencv(seed):
    rng = np.random.default_rng([SEED, 1, seed])
    size = rng.integers(1, 10, 2)
    x = rng.normal(size=(*(size + rng.integers(1, 40, 2)), rng.integers(2, 5))).astype("float32")
    kernel = rng.normal(size=size).astype("float32")
    border = rng.choice(list(OPENCV))
    anchor = None if rng.random() < 0.5 else [int(rng.integers(0, n)) for n in size]
    point = (-1, -1) if anchor is None else (anchor[1], anchor[0])
    options = {"like": "opencv", "border": border, "anchor": anchor}
    want = cv2.filter2D(x, -1, kernel, anchor=point, borderType=OPENCV[border])
    bound = 4 * kernel.size * 2.0**-24 * np.abs(x).max() * np.abs(kernel).sum()
    np.testing.assert_allclose(channelwise.filter2d(x, kernel, **options), want, rtol=1e-6, atol=bound)
    for dtype in ("uint8", "uint16", "int16"):
        ints = rng.integers(0, 255, x.shape).astype(dtype)
        quarters = np.rint(kernel * 4) / 4
        # Sums are exact, and both round them half to even; but OpenCV transforms from 50 taps on.
        for depth, to in ((-1, dtype), (cv2.CV_32F, "float32")):
            got = channelwise.filter2d(ints, quarters, dtype=to, **options)
            want = cv2.filter2D(ints, depth, quarters, anchor=point, borderType=OPENCV[border])
            off = 0 if kernel.size < 50 else 1 if depth == -1 else 1e-2
            np.testing.assert_allclose(got.astype("float64"), want, rtol=0, atol=off)
