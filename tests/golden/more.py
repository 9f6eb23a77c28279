"""Adds the vectors of large kernels and of 16-bit elements to manifest.json and writes their files.

    python more.py        with numpy, scipy, opencv-python-headless and torch

Half floats are written as the f32 of the same value, and answers in f64, or as integers.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import scipy
import torch
from scipy import ndimage

HERE = Path(__file__).parent
SEED = 20261128


def floats(rng, *shape):
    return rng.uniform(-1, 1, shape).astype(np.float32)


def scipy_31x31(rng):
    x, k = floats(rng, 1, 40, 45, 2), floats(rng, 31, 31) / 31
    planes = [ndimage.correlate(x[0, ..., c].astype(float), k.astype(float), mode="mirror") for c in range(2)]
    return x, k, np.stack(planes, -1)[None], "reflect101", "f32", f"scipy {scipy.__version__}, ndimage.correlate, float64"


def cv_31x31(rng):
    x, k = floats(rng, 1, 37, 50, 1), floats(rng, 31, 31) / 31
    y = cv2.filter2D(x[0, ..., 0].astype(float), cv2.CV_64F, k.astype(float), borderType=cv2.BORDER_REPLICATE)
    return x, k, y[None, ..., None], "replicate", "f32", f"opencv {cv2.__version__}, cv2.filter2D float64, by transforms"


def cv_u16(rng, side):
    x = rng.integers(0, 65536, (1, 33, 40, 3)).astype(np.uint16)
    k = rng.uniform(-0.3, 1, (side, side)).astype(np.float32)
    k /= k.sum()
    y = cv2.filter2D(x[0], -1, k, borderType=cv2.BORDER_REFLECT_101)
    return x, k, y[None], "reflect101", "u16", f"opencv {cv2.__version__}, cv2.filter2D u16 in, u16 out"


def torch_f16(rng, side):
    x, k = floats(rng, 1, 34, 41, 2).astype(np.float16), (floats(rng, side, side) / side).astype(np.float16)
    z = torch.from_numpy(x).permute(0, 3, 1, 2)
    weights = torch.from_numpy(k)[None, None].expand(2, 1, side, side)
    y = torch.nn.functional.conv2d(z, weights, padding=side // 2, groups=2).permute(0, 2, 3, 1).numpy()
    source = f"torch {torch.__version__}, F.conv2d groups=C, float16"
    return x.astype(np.float32), k.astype(np.float32), y.astype(float), "zero", "f16", source


CASES = {
    "scipy_31x31": scipy_31x31,
    "cv_31x31": cv_31x31,
    "cv_u16_random5": lambda rng: cv_u16(rng, 5),
    "cv_u16_31x31": lambda rng: cv_u16(rng, 31),
    "torch_f16_3x3": lambda rng: torch_f16(rng, 3),
    "torch_f16_31x31": lambda rng: torch_f16(rng, 31),
}

manifest = json.loads((HERE / "manifest.json").read_text())
manifest["cases"] = [case for case in manifest["cases"] if case["name"] not in CASES]
for number, (name, make) in enumerate(CASES.items()):
    x, k, y, border, dtype, source = make(np.random.default_rng([SEED, number]))
    size = float(np.abs(x).max() * np.abs(k.astype(float)).sum())
    tolerance = {
        "f32": {"rtol": 1e-5, "atol": 0.5 * 2**-23 * k.size**0.5 * size},
        # A step of a half float, of which tool and engine may each lose half; sums in f32.
        "f16": {"rtol": 2**-10, "atol": 2**-24 * k.size**0.5 * size},
        # Sums in f32 on either side of a tie.
        "u16": {"abs": 1},
    }[dtype]
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    files = {"input": x, "kernel": k[:, :, None, None], "output": y}
    for what, array in files.items():
        np.save(folder / f"{what}.npy", array)
    same = [k.shape[0] // 2] * 2 + [k.shape[1] // 2] * 2
    manifest["cases"].append({
        "name": name, "source": source, "stride": [1, 1], "dilation": [1, 1], "padding": same,
        "border": border, "flip": False, "activation": "none", "dtype": dtype, "kind": "forward",
        "seed": [SEED, number], "tolerance": tolerance, "input_shape": list(x.shape),
        "kernel_shape": [*k.shape, 1, 1], "output_shape": list(y.shape),
        "files": {what: f"{name}/{what}.npy" for what in files},
    })
(HERE / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
