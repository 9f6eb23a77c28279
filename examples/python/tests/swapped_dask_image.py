"""A plugin of pytest: dask-image's filters, answered by `channelwise.dask`.

Its own checks of arguments stay. What is left to dask-image, and why:

- arrays of three axes: not a 2-D kernel
- arrays of other types than ours: int64
- generic, order and threshold filters, and Gaussians of sigma 0: no kernels
"""

import dask_image.ndfilters as filters
import dask_image.ndfilters._gaussian as gaussians
import dask_image.ndfilters._utils as utils
import numpy as np
from scipy.ndimage._filters import _gaussian_kernel1d

import channelwise
import channelwise.dask

OURS = {np.dtype(name) for name in "f2 f4 f8 i1 i2 i4 u1 u2 u4".split()}
counts = {"answered": 0, "left": 0}


def ours(image):
    return image.ndim == 2 and image.dtype in OURS


def filtered(image, kernel, mode, cval, origin=0, flip=False):
    shape = np.shape(kernel)
    origin = utils._get_origin(shape, origin)
    anchor = [(n - 1) // 2 - o if flip else n // 2 + o for n, o in zip(shape, origin)]
    options = {"border": mode, "constant": cval, "anchor": anchor, "flip": flip}
    return channelwise.dask.filter2d(image, kernel, **options)


def convolution(flip, left):
    def swapped(image, weights, mode="reflect", cval=0.0, origin=0):
        if not ours(image):
            return left(image, weights, mode, cval, origin)
        utils._get_depth(np.shape(weights), utils._get_origin(np.shape(weights), origin))
        return filtered(image, np.asarray(weights, "float64"), mode, cval, origin, flip)

    return swapped


def gaussian_filter(left):
    def swapped(image, sigma, order=0, mode="reflect", cval=0.0, truncate=4.0):
        sigmas = gaussians._get_sigmas(image, sigma)
        gaussians._get_border(image, sigma, truncate)
        if not ours(image) or min(sigmas) == 0:
            return left(image, sigma, order, mode, cval, truncate)
        orders = (order,) * 2 if np.ndim(order) == 0 else order
        lines = [_gaussian_kernel1d(s, o, int(truncate * s + 0.5))[::-1] for s, o in zip(sigmas, orders)]
        return filtered(image, channelwise.separable(*lines), mode, cval)

    return swapped


def uniform_filter(left):
    def swapped(image, size=3, mode="reflect", cval=0.0, origin=0):
        size = utils._get_size(image.ndim, size)
        if not ours(image):
            return left(image, size, mode, cval, origin)
        utils._get_depth(size, utils._get_origin(size, origin))
        return filtered(image, channelwise.box_blur(*map(int, size)), mode, cval, origin)

    return swapped


def edge(smooth, left):
    def swapped(image, axis=-1, mode="reflect", cval=0.0):
        if not ours(image) or type(axis) is not int or axis not in (-2, -1, 0, 1):
            return left(image, axis, mode, cval)
        lines = [[-1, 0, 1] if axis % 2 == one else smooth for one in (0, 1)]
        return filtered(image, channelwise.separable(*lines), mode, cval)

    return swapped


def laplace(left):
    def swapped(image, mode="reflect", cval=0.0):
        return filtered(image, channelwise.laplacian4(), mode, cval) if ours(image) else left(image, mode, cval)

    return swapped


def counted(name, swapped):
    original = getattr(filters, name)

    def left(*args):
        counts["left"] += 1
        counts["answered"] -= 1
        return original(*args)

    function = swapped(left)

    def call(*args, **options):
        counts["answered"] += 1
        return function(*args, **options)

    call.__name__ = name
    setattr(filters, name, call)


def pytest_configure(config):
    counted("convolve", lambda left: convolution(True, left))
    counted("correlate", lambda left: convolution(False, left))
    counted("gaussian_filter", gaussian_filter)
    counted("gaussian", gaussian_filter)
    counted("uniform_filter", uniform_filter)
    counted("sobel", lambda left: edge([1, 2, 1], left))
    counted("prewitt", lambda left: edge([1, 1, 1], left))
    counted("laplace", laplace)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"channelwise answered {counts['answered']} calls, dask-image {counts['left']}")
