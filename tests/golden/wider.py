"""Writes the answers of other tools for element types, masks, borders by axis and side and kernels by image: wider/*.npy.

    python wider.py       with numpy, scipy, astropy, opencv-python-headless, torch and kornia

`tests/engines/wider.rs` holds engines to them. Integers are made from answers in float64, rounded half to even and
saturated.
"""

from pathlib import Path

import cv2
import kornia
import numpy as np
import torch
from astropy.convolution import convolve
from scipy import ndimage

HERE = Path(__file__).parent / "wider"
SEED = 20261129


def planes(x, one):
    """`one` of every channel of [H, W, C]."""
    return np.stack([one(x[..., c]) for c in range(x.shape[-1])], -1)


def stored(y, dtype):
    ends = np.iinfo(dtype)
    return np.clip(np.rint(y), ends.min, ends.max).astype(dtype)


def integers(rng, dtype):
    """SciPy's correlate in float64, mode reflect, rounded to the type it came in."""
    ends = np.iinfo(dtype)
    x = rng.integers(ends.min, ends.max, (13, 17, 3), dtype, endpoint=True)
    k = rng.uniform(-0.2, 0.5, (5, 3))
    y = planes(x, lambda c: ndimage.correlate(c.astype(float), k, mode="reflect"))
    return {"input": x, "kernel": k, "output": stored(y, dtype)}


def doubles(rng):
    x, k = rng.normal(0, 1e3, (13, 17, 2)), rng.normal(0, 1, (4, 7))
    return {"input": x, "kernel": k, "output": planes(x, lambda c: ndimage.correlate(c, k, mode="mirror"))}


def truth(rng):
    """Neighbours that are set, in an uint8."""
    x = rng.uniform(0, 1, (11, 12)) < 0.4
    y = ndimage.correlate(x.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant")
    return {"input": x, "output": y}


def shorts_of_opencv(rng):
    """cv2.filter2D, int16 in and out, reflect-101."""
    x = rng.integers(-32768, 32768, (15, 20, 4)).astype(np.int16)
    k = rng.uniform(-0.3, 0.6, (3, 3)).astype(np.float32)
    return {"input": x, "kernel": k, "output": cv2.filter2D(x, -1, k, borderType=cv2.BORDER_REFLECT_101)}


def globe(rng):
    """gaussian_filter with a sigma and a mode for each axis: latitudes end, longitudes go round."""
    x = rng.normal(0, 1, (12, 30))
    return {"input": x, "output": ndimage.gaussian_filter(x, (1.0, 2.0), mode=("nearest", "wrap"))}


def holes(rng, dtype):
    """astropy's convolve over NaNs, nothing beyond the edges: the kernel is turned there."""
    x = rng.normal(10, 1, (14, 16)).astype(dtype)
    x[rng.uniform(0, 1, x.shape) < 0.3] = np.nan
    x[4:11, 5:12] = np.nan
    k = rng.uniform(0.1, 1, (5, 5))
    y = convolve(x, k, nan_treatment="interpolate", boundary="fill", fill_value=np.nan)
    return {"input": x, "kernel": k, "output": y}


def weights(rng):
    """The quotient of two correlations by SciPy, of values by their weights, which all channels share."""
    x, k = rng.normal(0, 1, (10, 12, 3)), rng.uniform(0.1, 1, (3, 5))
    m = rng.choice([0, 0.25, 1], (10, 12)).astype(np.float32)
    both = lambda c: ndimage.correlate(c, k, mode="nearest")
    with np.errstate(all="ignore"):
        y = planes(x, lambda c: both(c * m) / both(m.astype(float)))
    return {"input": x, "kernel": k, "mask": m, "output": y}


# How NumPy calls our borders, in the order of `SIDES` of wider.rs.
PADS = ["edge", "symmetric", "reflect", "wrap", "constant"]
OUTSIDE = 3.5


def sides(rng):
    """np.pad side by side, rows first, then SciPy's correlate where it is whole: each border on each side once, by
    as many as the kernel reaches, and by more than the image has."""
    x, k = rng.uniform(-1, 1, (7, 9, 2)), np.outer(rng.uniform(0.2, 1, 5), rng.uniform(0.2, 1, 3))
    made = {}
    for pads in [(2, 2, 1, 1), (9, 16, 20, 11)]:
        for turn in range(len(PADS)):
            padded = x
            for side, amount in enumerate(pads):
                axis, before = divmod(side, 2)
                widths = [(0, 0)] * 3
                widths[axis] = (0, amount) if before else (amount, 0)
                # Of the axis as it was: what the other side brought does not count.
                whole = x.shape[axis]
                first = padded.shape[axis] - whole
                own = np.take(padded, range(first, first + whole), axis)
                mode = PADS[(turn + side) % len(PADS)]
                more = {"constant_values": OUTSIDE} if mode == "constant" else {}
                own = np.pad(own, widths, mode, **more)
                added = np.take(own, range(whole, whole + amount) if before else range(amount), axis)
                padded = np.concatenate([padded, added] if before else [added, padded], axis)
            whole = planes(padded, lambda c: ndimage.correlate(c, k))[2:-2, 1:-1]
            made[f"output_{len(made)}"] = whole
    return {"input": x, "kernel": k, **made}


def images(rng):
    """A kernel for each image, by cv2.filter2D image by image, border replicate."""
    x = rng.uniform(-1, 1, (3, 9, 11, 2)).astype(np.float32)
    k = rng.normal(0, 1, (3, 5, 3)).astype(np.float32)
    y = [cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE) for image, kernel in zip(x, k)]
    return {"input": x, "kernel": k, "output": np.stack(y)}


def kornias(rng):
    """A kernel for each image, by kornia.filters.filter2d, whose samples have kernels of their own, in float64."""
    x, k = rng.uniform(-1, 1, (3, 9, 11, 2)), rng.normal(0, 1, (3, 4, 3))
    planar = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    y = kornia.filters.filter2d(planar, torch.from_numpy(k), border_type="reflect")
    return {"input": x, "kernel": k, "output": y.numpy().transpose(0, 2, 3, 1)}


CASES = {
    "i8": lambda rng: integers(rng, np.int8),
    "i16": lambda rng: integers(rng, np.int16),
    "i32": lambda rng: integers(rng, np.int32),
    "u32": lambda rng: integers(rng, np.uint32),
    "f64": doubles,
    "bool": truth,
    "cv_i16": shorts_of_opencv,
    "globe": globe,
    "holes_f32": lambda rng: holes(rng, np.float32),
    "holes_f64": lambda rng: holes(rng, np.float64),
    "weights": weights,
    "images": images,
    "sides": sides,
    "kornia": kornias,
}

HERE.mkdir(exist_ok=True)
for number, (name, make) in enumerate(CASES.items()):
    for what, array in make(np.random.default_rng([SEED, number])).items():
        np.save(HERE / f"{name}_{what}.npy", np.ascontiguousarray(array))
