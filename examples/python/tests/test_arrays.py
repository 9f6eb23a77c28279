"""Arrays of every kind go in and come out as what a user of NumPy expects."""

import numpy as np
import pytest

import channelwise

TYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "uint8", "uint16", "uint32"]
KERNEL = np.array([[0.5, -0.25, 1], [2, 0.5, -1], [0.25, 1.5, 0.75]])


def by_hand(x, kernel):
    """Correlation with reflect-101 over the first two axes, in float64."""
    kh, kw = kernel.shape
    pad = [((kh - 1) // 2, kh // 2), ((kw - 1) // 2, kw // 2)] + [(0, 0)] * (x.ndim - 2)
    padded = np.pad(x.astype("float64"), pad, mode="reflect")
    h, w = x.shape[:2]
    return sum(kernel[i, j] * padded[i : i + h, j : j + w] for i in range(kh) for j in range(kw))


def rounded(y, dtype):
    if np.dtype(dtype).kind == "f":
        return y.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.rint(y), info.min, info.max).astype(dtype)


@pytest.mark.parametrize("source", TYPES)
@pytest.mark.parametrize("target", TYPES)
def test_every_type_becomes_every_other(rng, source, target):
    x = rng.integers(0, 100, (9, 11, 3)).astype(source)
    y = channelwise.filter2d(x, KERNEL, dtype=target)
    assert y.dtype == target and y.flags.c_contiguous
    # Weights are multiples of a quarter, so that all sums are exact and halves are halves.
    np.testing.assert_array_equal(y, rounded(by_hand(x, KERNEL), target))


@pytest.mark.parametrize("axes", [2, 3, 4])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_axes_and_layouts(rng, axes, layout):
    x = rng.normal(size=(2, 9, 11, 3)).astype("float32")
    want = np.stack([by_hand(image, KERNEL) for image in x])
    if axes < 4:
        x, want = x[0], want[0]
    if axes < 3:
        x, want = x[..., 0], want[..., 0]
    elif layout == "nchw":
        x, want = np.moveaxis(x, -1, -3), np.moveaxis(want, -1, -3)
    y = channelwise.filter2d(x, KERNEL, layout=layout)
    np.testing.assert_allclose(y, want, atol=1e-5)
    assert y.shape == x.shape and y.flags.c_contiguous


VIEWS = {
    "crop": lambda x: x[3:-2, 4:-5],
    "every second row": lambda x: x[::2],
    "every second column": lambda x: x[:, ::2],
    "upside down": lambda x: x[::-1],
    "mirrored": lambda x: x[:, ::-1],
    "BGR": lambda x: x[..., ::-1],
    "one channel": lambda x: x[..., 1],
    "transposed": lambda x: x.transpose(1, 0, 2),
    "Fortran's order": np.asfortranarray,
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": lambda x: (x.setflags(write=False), x)[1],
    "a field": lambda x: fields(x)["pixel"],
    "not aligned": lambda x: np.frombuffer(b"x" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "a subclass": lambda x: x.view(type("Other", (np.ndarray,), {})),
    "a list": lambda x: x.tolist() if x.dtype == "float64" else x,
    "no channels": lambda x: x[..., :0],
}


def fields(x):
    """Pixels between other bytes, so that neighbours are no whole number of elements apart."""
    made = np.zeros(x.shape, [("flag", "u1"), ("pixel", x.dtype)])
    made["pixel"] = x
    return made


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", ["float32", "uint8", "float64"])
def test_views(rng, view, dtype):
    x = VIEWS[view](rng.integers(0, 99, (40, 90, 3)).astype(dtype))
    kernel = KERNEL[:, :1]
    y = channelwise.filter2d(x, kernel)
    x = np.asarray(x)
    np.testing.assert_array_equal(y, rounded(by_hand(x, kernel), x.dtype))
    # As an array that is written, also where it lies anyhow.
    if view not in ("broadcast", "read-only", "not aligned", "a list"):
        out = VIEWS[view](np.zeros((40, 90, 3), dtype))
        assert channelwise.filter2d(x, kernel, out=out) is out
        np.testing.assert_array_equal(out, y)


def test_crops_are_not_copied(rng):
    """By NumPy, whose memory is counted here: what the crate does with their rows is its own tests' matter."""
    import tracemalloc

    x = rng.normal(size=(2000, 2000, 3)).astype("float32")[10:-10, 10:-10]
    out = np.empty(x.shape, "float32")
    prepared = channelwise.Engine("cpu").prepare(x, KERNEL)
    prepared(x, out=out)
    tracemalloc.start()
    prepared(x, out=out)
    assert tracemalloc.get_traced_memory()[1] < 1 << 16
    np.testing.assert_array_equal(out, channelwise.filter2d(np.ascontiguousarray(x), KERNEL))


def test_out_may_be_the_input(rng):
    x = rng.normal(size=(300, 200, 3)).astype("float32")
    want = channelwise.filter2d(x, KERNEL)
    assert channelwise.filter2d(x, KERNEL, out=x) is x
    np.testing.assert_array_equal(x, want)
    # And overlap it in part.
    both = rng.normal(size=(400, 200)).astype("float32")
    want = channelwise.filter2d(both[:300], KERNEL)
    channelwise.filter2d(both[:300], KERNEL, out=both[100:])
    np.testing.assert_array_equal(both[100:], want)


def test_what_lies_beside_a_crop_stays(rng):
    x = rng.integers(0, 255, (30, 40, 3), dtype="uint8")
    big = np.full((50, 60, 3), 201, "uint8")
    channelwise.filter2d(x, KERNEL / 8, out=big[10:40, 5:45])
    np.testing.assert_array_equal(big[10:40, 5:45], channelwise.filter2d(x, KERNEL / 8))
    big[10:40, 5:45] = 201
    assert (big == 201).all()


def test_out_says_the_dtype(rng):
    x = rng.integers(0, 255, (5, 6), dtype="uint8")
    out = np.empty((5, 6), "float32")
    channelwise.filter2d(x, KERNEL, out=out)
    np.testing.assert_array_equal(out, by_hand(x, KERNEL))


def test_truth_values_are_bytes():
    x = np.array([[True, False, True], [False, True, False]])
    y = channelwise.filter2d(x, np.ones((3, 3)), border="zero")
    assert y.dtype == "uint8" and y.tolist() == [[2, 3, 2], [2, 3, 2]]


def test_several_filters(rng):
    x = rng.normal(size=(2, 9, 11, 3))
    kernels = rng.normal(size=(3, 3, 2))
    y = channelwise.filter2d(x, kernels)
    assert y.shape == (2, 9, 11, 6)
    for f in range(2):
        np.testing.assert_allclose(y[0, :, :, f::2], by_hand(x[0], kernels[..., f]), atol=1e-12)
    np.testing.assert_array_equal(channelwise.filter2d(x, kernels[:, :, None]), y)


def test_results_do_not_share_memory_with_anything(rng):
    x = rng.normal(size=(5, 6))
    y = channelwise.filter2d(x, [[1]])
    np.testing.assert_array_equal(x, y)
    assert not np.shares_memory(x, y) and y.flags.owndata or y.base is not None
    y[:] = 0
    assert x.any()


def test_masks(rng):
    x = rng.normal(size=(2, 12, 13, 3)).astype("float32")
    plane = rng.random((12, 13)) > 0.3
    whole = np.broadcast_to(plane[None, :, :, None], x.shape)
    kernel = channelwise.gaussian(5, 1.0)
    y = channelwise.filter2d(x, kernel, mask=plane, border="zero")
    np.testing.assert_array_equal(y, channelwise.filter2d(x, kernel, mask=whole, border="zero"))
    options = {"border": "zero", "dtype": "float64"}
    over = channelwise.filter2d((x * whole).astype("float64"), kernel, **options)
    under = channelwise.filter2d(whole.astype("float64"), kernel, **options)
    np.testing.assert_allclose(y, over / under, rtol=1e-4, atol=1e-5)
    missing = np.where(whole, x, np.nan).astype("float32")
    np.testing.assert_allclose(channelwise.filter2d(missing, kernel, skip_nan=True, border="zero"), y, rtol=1e-4, atol=1e-5)
    out = np.empty_like(x)
    assert channelwise.filter2d(x, kernel, mask=plane, border="zero", out=out) is out
    np.testing.assert_array_equal(out, y)
    alone = channelwise.filter2d(x[0, :, :, 0], kernel, mask=plane, border="zero")
    np.testing.assert_array_equal(alone, y[0, :, :, 0])


def test_regions_of_the_whole_and_of_what_they_need(rng):
    x = rng.normal(size=(2, 30, 40, 3)).astype("float32")
    mask = rng.random((30, 40)) > 0.3
    for options, weights in (({}, None), ({"normalized": True}, mask), ({"normalized": True}, mask[None, ..., None] * np.ones_like(x))):
        prepared = channelwise.Engine("cpu").prepare(x, channelwise.gaussian(5, 1.0), border="wrap", **options)
        given = {} if weights is None else {"mask": weights}
        want = prepared(x, **given)[:, 25:30, :7]
        region = prepared.region((25, 30), (0, 7))
        assert region.output_shape == want.shape
        np.testing.assert_array_equal(region(x, **given), want)
        rows, columns = (np.concatenate([np.arange(*run) for run in runs]) for runs in region.source)
        if weights is not None:
            axis = weights.ndim // 4
            given = {"mask": weights.take(rows, axis).take(columns, axis + 1)}
        np.testing.assert_array_equal(region.run_source(x[:, rows][:, :, columns], **given), want)


def test_a_kernel_for_each_image(rng):
    x = rng.normal(size=(3, 9, 11, 2)).astype("float32")
    kernels = rng.normal(size=(3, 3, 5))
    y = channelwise.filter2d_each(x, kernels)
    for one, image, kernel in zip(y, x, kernels):
        np.testing.assert_array_equal(one, channelwise.filter2d(image, kernel, engine="cpu", algorithm="direct"))
    planes = channelwise.filter2d_each(np.moveaxis(x, -1, 1), list(kernels), layout="nchw")
    np.testing.assert_allclose(np.moveaxis(planes, 1, -1), y, atol=1e-5)
    out = np.empty_like(y)
    assert channelwise.filter2d_each(x, kernels, out=out) is out
    np.testing.assert_array_equal(out, y)


class Foreign:
    """An array of another library: only the protocol is known of it."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device

    def __array_namespace__(self):
        return Library


class Library:
    @staticmethod
    def from_dlpack(array):
        return Foreign(np.from_dlpack(array))


def test_arrays_of_other_libraries_are_neither_copied_nor_changed_in_kind(rng):
    x = rng.normal(size=(30, 40)).astype("float32")
    out = np.zeros_like(x)
    there = Foreign(out)
    assert channelwise.filter2d(Foreign(x), KERNEL, out=there) is there
    np.testing.assert_array_equal(out, channelwise.filter2d(x, KERNEL))
    y = channelwise.filter2d(Foreign(x), KERNEL)
    assert isinstance(y, Foreign)
    np.testing.assert_array_equal(y.array, out)
    gradients = channelwise.backward(Foreign(x), KERNEL, Foreign(x))
    assert isinstance(gradients.input, Foreign) and isinstance(gradients.kernel, np.ndarray)
    with pytest.raises(ValueError, match="x: an array on device 2 is not allowed, one on the CPU is needed"):
        channelwise.filter2d(Foreign(x, (2, 0)), KERNEL)


def test_jax(rng):
    import jax.numpy as jnp

    x = rng.normal(size=(30, 40, 3)).astype("float32")
    y = channelwise.filter2d(jnp.asarray(x), jnp.asarray(KERNEL, "float32"))
    assert isinstance(y, jnp.ndarray)
    np.testing.assert_array_equal(np.asarray(y), channelwise.filter2d(x, KERNEL))
    with pytest.raises(ValueError, match="out: a read-only array"):
        channelwise.filter2d(x, KERNEL, out=jnp.zeros(x.shape))
