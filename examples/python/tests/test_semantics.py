"""What others call it: our line and theirs, and how far apart the answers are at most. The README has this table."""

from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
import scipy.ndimage as ndi

import channelwise as cw

README = (Path(__file__).parents[1] / "README.md").read_text()

# Ours, theirs, and the largest difference, in units of what the arrays hold: x is a photograph's floats from 0 to 1, u8 its
# bytes, k a 5x4 kernel and odd a 5x3 one, both of sum 1.
ROWS = [
    ('cw.filter2d(x, k, like="opencv")', "cv2.filter2D(x, -1, k)", 1e-6),
    ('cw.filter2d(u8, k, like="opencv")', "cv2.filter2D(u8, -1, k)", 1),
    ('cw.filter2d(u8, k, like="opencv", dtype="float32")', "cv2.filter2D(u8, cv2.CV_32F, k)", 1e-3),
    (
        'cw.filter2d(x, k, like="opencv", anchor=(4, 0), border="replicate")',
        "cv2.filter2D(x, -1, k, anchor=(0, 4), borderType=cv2.BORDER_REPLICATE)",
        1e-6,
    ),
    ('cw.filter2d(x, cw.gaussian_sized(7), like="opencv")', "cv2.GaussianBlur(x, (7, 7), 0)", 1e-6),
    ('cw.filter2d(u8, cw.gaussian(7, 1.5), like="opencv")', "cv2.GaussianBlur(u8, (7, 7), 1.5)", 2),
    ('cw.filter2d(x, cw.box_blur(5, 4), like="opencv")', "cv2.blur(x, (4, 5))", 1e-6),
    ('cw.filter2d(u8, cw.sobel_x(), like="opencv", dtype="int16")', "cv2.Sobel(u8, cv2.CV_16S, 1, 0)", 0),
    ('cw.filter2d(u8, cw.laplacian4(), like="opencv", dtype="float32")', "cv2.Laplacian(u8, cv2.CV_32F)", 0),
    (
        'cw.filter2d(x, cw.separable([1, 2, 1], [-1, 0, 1]), like="opencv")',
        "cv2.sepFilter2D(x, -1, np.float32([-1, 0, 1]), np.float32([1, 2, 1]))",
        1e-6,
    ),
    ('cw.filter2d(x, k, like="scipy")', "ndi.correlate(x, k[..., None])", 1e-6),
    ('cw.filter2d(x, k, like="scipy", flip=True, border="mirror")', 'ndi.convolve(x, k[..., None], mode="mirror")', 1e-6),
    ('cw.filter2d(x64, k, like="scipy", border="wrap")', 'ndi.correlate(x64, k[..., None], mode="wrap")', 1e-14),
    ('cw.filter2d(x, cw.gaussian_sigma(1.5), like="scipy")', "ndi.gaussian_filter(x, 1.5, axes=(0, 1))", 1e-6),
    ('cw.filter2d(x, cw.box_blur(5, 5), like="scipy")', "ndi.uniform_filter(x, 5, axes=(0, 1))", 1e-6),
    ('cw.filter2d(x64, cw.laplacian4(), like="scipy")', "ndi.laplace(x64, axes=(0, 1))", 1e-14),
    ('cw.filter2d(x64[..., 0], cw.sobel_y(), like="scipy")', "ndi.sobel(x64[..., 0], axis=0)", 1e-14),
    ('cw.filter2d(x, k, like="scipy", padding="valid")', "np.stack([signal(c, k) for c in x.transpose(2, 0, 1)], -1)", 1e-6),
    ('cw.filter2d(x[None], k, like="tensorflow")', 'depthwise(x[None], k, (1, 1), "VALID")', 1e-6),
    ('cw.filter2d(x[None], k, like="tensorflow", padding="same", stride=2)', 'depthwise(x[None], k, (2, 2), "SAME")', 1e-6),
    (
        'cw.filter2d(x[None], k, like="tensorflow", padding="same", dilation=(2, 1))',
        'depthwise(x[None], k, (1, 1), "SAME", (2, 1))',
        1e-6,
    ),
]


def depthwise(x, k, strides, padding, dilation=(1, 1)):
    """`tf.nn.depthwise_conv2d` with the kernel repeated, by JAX, which has TensorFlow's padding."""
    kernel = np.tile(k[:, :, None, None].astype(x.dtype), (1, 1, 1, x.shape[-1]))
    return np.asarray(
        jax.lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            rhs_dilation=dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
            precision="highest",
        )
    )


def signal(x, k):
    import scipy.signal

    return scipy.signal.correlate2d(x, k, mode="valid")


@pytest.fixture(scope="module")
def names():
    rng = np.random.default_rng(1)
    u8 = ndi.gaussian_filter(rng.integers(0, 255, (64, 71, 3)), (1, 1, 0)).astype("uint8")
    x64 = u8 / 255.0
    k = rng.random((5, 4))
    return {**globals(), "u8": u8, "x64": x64, "x": x64.astype("float32"), "k": k / k.sum()}


@pytest.mark.parametrize("ours, theirs, off", ROWS, ids=[row[1] for row in ROWS])
def test_both_give_the_same(names, ours, theirs, off):
    one, two = eval(ours, names), eval(theirs, names)
    assert (one.shape, one.dtype) == (two.shape, two.dtype) or one.shape == two.shape and theirs.startswith("np.stack")
    apart = np.abs(one.astype("float64") - two.astype("float64")).max()
    assert apart <= off, apart


def row(ours, theirs, off):
    return f"| `{ours}` | `{theirs}` | {off:g} |"


def test_the_readme_has_them():
    for line in (row(*one) for one in ROWS):
        assert line in README, line


if __name__ == "__main__":
    print(*(row(*one) for one in ROWS), sep="\n")
