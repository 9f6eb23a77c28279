"""The GPU, a software one where there is no other: the same answers, from any thread, and what a fork leaves of it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import channelwise

KERNEL = np.array([[0.5, -0.25, 1], [2, 0.5, -1], [0.25, 1.5, 0.75]])


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int16"])
def test_the_same_as_the_cpu(rng, dtype):
    # Weights are multiples of a quarter, so that all sums are exact.
    x = rng.integers(0, 50, (2, 33, 41, 3)).astype(dtype)
    for options in ({}, {"border": "wrap", "stride": 2}, {"layout": "nchw", "dtype": "float32", "bias": [1]}):
        want = channelwise.filter2d(x, KERNEL, engine="cpu", **options)
        got = channelwise.filter2d(x, KERNEL, engine="gpu", **options)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_what_was_prepared(rng):
    prepared = channelwise.Engine("gpu").prepare((33, 41, 3), KERNEL, input_dtype="uint8")
    assert prepared.engine == "gpu" and "gpu" in prepared.explain()
    inputs = [rng.integers(0, 50, (33, 41, 3), dtype="uint8") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for x, y in zip(inputs, pool.map(prepared, inputs)):
            np.testing.assert_array_equal(y, channelwise.filter2d(x, KERNEL, engine="cpu"))
    big = np.zeros((40, 50, 3), "uint8")
    crop = big[3:36, 4:45]
    prepared(inputs[0], out=crop)
    np.testing.assert_array_equal(crop, prepared(inputs[0]))
    assert big[:3].max() == 0


def test_gradients(rng):
    x, dy = (rng.integers(-8, 8, (1, 12, 13, 2)).astype("float32") for _ in range(2))
    got, want = (channelwise.backward(x, KERNEL, dy, engine=engine) for engine in ("gpu", "cpu"))
    for one, other in zip(got[:3], want[:3]):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


FORK = """
import multiprocessing, numpy, channelwise

def child(queue):
    x = numpy.ones((9, 9), "float32")
    channelwise.filter2d(x, channelwise.box_blur(3, 3))
    try:
        channelwise.filter2d(x, channelwise.box_blur(3, 3), engine="gpu")
        queue.put("it answered")
    except RuntimeError as error:
        queue.put(str(error))

x = numpy.ones((9, 9), "float32")
channelwise.filter2d(x, channelwise.box_blur(3, 3), engine="gpu")
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
print(queue.get(timeout=60))
process.join(60)
"""


def test_no_driver_survives_a_fork():
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=Path(__file__).parent)
    assert "forked" in told.stdout and "spawn" in told.stdout, told.stdout + told.stderr
