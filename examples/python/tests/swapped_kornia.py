"""A plugin of pytest: Kornia's `filter2d`, and all that is made of it, answered by `channelwise`.

PyTorch's wheel brings gigabytes, so this is run by hand, on the folder `tests/filters` of Kornia's repository:

    PYTHONPATH=tests python -m pytest -p swapped_kornia FOLDER/test_filters.py FOLDER/test_blur.py ...

What is left to Kornia, and why:

- arguments that it refuses, so that it says so
- tensors that need gradients: ours are float32, and it differentiates twice in float64
- scripts, traces and compiled graphs, which have no arrays
- tensors of integers, bfloat16 and other devices, and empty ones
"""

import sys

import kornia.filters
import kornia.filters.filter as module
import torch

import channelwise

BORDERS = {"constant": "constant", "reflect": "reflect101", "replicate": "replicate", "circular": "wrap"}
original = module.filter2d
counts = {"answered": 0, "left": 0}


def fits(x, kernel, border, padding, behaviour):
    both = (x, kernel)
    if not all(isinstance(one, torch.Tensor) and type(one) is torch.Tensor for one in both) or torch.jit.is_tracing():
        return False
    if x.ndim != 4 or kernel.ndim != 3 or 0 in (*x.shape, *kernel.shape) or kernel.shape[0] not in (1, x.shape[0]):
        return False
    if any(one.requires_grad or one.device.type != "cpu" for one in both) or torch.compiler.is_compiling():
        return False
    known = border in BORDERS and padding in ("same", "valid") and behaviour in ("corr", "conv")
    roomy = all(n > k // 2 for n, k in zip(x.shape[2:], kernel.shape[1:]))
    small = padding == "valid" and any(n < k for n, k in zip(x.shape[2:], kernel.shape[1:]))
    return known and roomy and not small and x.dtype in (torch.float16, torch.float32, torch.float64)


def filter2d(input, kernel, border_type="reflect", normalized=False, padding="same", behaviour="corr"):
    words = [str(word).lower() for word in (border_type, padding, behaviour)]
    if not fits(input, kernel, *words):
        counts["left"] += 1
        return original(input, kernel, border_type, normalized, padding, behaviour)
    counts["answered"] += 1
    border, padding, behaviour = words
    kernel = kernel.to(input.dtype)
    if normalized:
        kernel = module.normalize_kernel2d(kernel)
    options = {"layout": "nchw", "border": BORDERS[border], "padding": padding, "flip": behaviour == "conv"}
    if kernel.shape[0] == 1:
        return channelwise.filter2d(input.detach(), kernel[0].detach(), **options)
    return channelwise.filter2d_each(input.detach(), kernel.detach(), **options)


def pytest_configure(config):
    for name, loaded in list(sys.modules.items()):
        if name.startswith("kornia"):
            for attribute, value in list(vars(loaded).items()):
                if value is original:
                    setattr(loaded, attribute, filter2d)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"channelwise answered {counts['answered']} calls, Kornia {counts['left']}")
