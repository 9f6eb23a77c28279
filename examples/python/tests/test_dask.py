"""Dask arrays and Zarr arrays: the bits of the whole, whatever the chunks."""

import pickle
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

import channelwise
import channelwise.dask

BORDERS = ["reflect", "reflect101", "replicate", "wrap", "constant", ("wrap", "reflect"), ("constant", "wrap", "replicate", "reflect")]


def problem(rng):
    """An array, a kernel and options that go together."""
    axes = int(rng.integers(2, 5))
    shape = tuple(int(n) for n in rng.integers(4, 40, 2))
    layout = "nhwc"
    if axes > 2:
        layout = str(rng.choice(["nhwc", "nchw"]))
        channels = (int(rng.integers(1, 5)),)
        shape = shape + channels if layout == "nhwc" else channels + shape
    if axes == 4:
        shape = (int(rng.integers(1, 4)), *shape)
    x = rng.integers(0, 255, shape).astype(str(rng.choice(["uint8", "float32", "float64", "int16"])))
    filters = int(rng.integers(1, 3)) if axes > 2 else 1
    kernel = rng.normal(size=(*(int(n) for n in rng.integers(1, 9, 2)), filters))
    border = BORDERS[rng.integers(len(BORDERS))]
    options = {
        "layout": layout,
        "border": border,
        "constant": 3.5,
        "padding": str(rng.choice(["same", "valid", "full"])),
        "stride": tuple(int(n) for n in rng.integers(1, 4, 2)),
        "dilation": tuple(int(n) for n in rng.integers(1, 3, 2)),
        "flip": bool(rng.integers(2)),
        "dtype": str(rng.choice(["float32", "float64", "uint8"])),
    }
    return x, kernel, options


@pytest.mark.parametrize("seed", range(150))
def test_any_chunks(seed):
    rng = np.random.default_rng([7, seed])
    x, kernel, options = problem(rng)
    chunks = tuple(int(rng.integers(1, n + 1)) for n in x.shape)
    try:
        want = channelwise.filter2d(x, kernel, engine="cpu", **options)
    except ValueError:
        with pytest.raises(ValueError):
            channelwise.dask.filter2d(da.from_array(x, chunks=chunks), kernel, **options)
        return
    y = channelwise.dask.filter2d(da.from_array(x, chunks=chunks), kernel, **options)
    assert (y.shape, y.dtype) == (want.shape, want.dtype)
    got = y.compute()
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    assert tuple(map(sum, y.chunks)) == got.shape
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(60))
def test_zarr(seed):
    rng = np.random.default_rng([8, seed])
    x, kernel, options = problem(rng)
    source = zarr.create_array({}, shape=x.shape, dtype=x.dtype, chunks=tuple(int(rng.integers(1, n + 1)) for n in x.shape))
    source[...] = x
    try:
        want = channelwise.filter2d(x, kernel, engine="cpu", **options)
    except ValueError:
        return
    work = channelwise.dask.filter2d_zarr(source, {}, kernel, part_bytes=int(rng.integers(1, 5000)), **options)
    done = work.compute(scheduler="sync")
    assert (done.shape, done.dtype) == (want.shape, want.dtype)
    np.testing.assert_array_equal(done[...], want)


def test_zarr_keeps_what_the_source_is(tmp_path):
    x = np.random.default_rng(3).integers(0, 255, (64, 96, 2), dtype="uint8")
    for version, shards in ((2, None), (3, None), (3, (32, 32, 2))):
        source = zarr.create_array(
            tmp_path / f"{version}{shards}", shape=x.shape, dtype="uint8", chunks=(16, 16, 2), shards=shards, zarr_format=version,
            compressors=None, attributes={"sensor": "MSI"},
        )
        source[...] = x
        path = tmp_path / f"filtered {version}{shards}"
        done = channelwise.dask.filter2d_zarr(str(source.store_path.store.root), path, channelwise.sobel_x()).compute()
        assert (done.chunks, done.shards, done.attrs["sensor"], done.metadata.zarr_format) == ((16, 16, 2), shards, "MSI", version)
        assert done.compressors == ()
        np.testing.assert_array_equal(zarr.open_array(path)[...], channelwise.filter2d(x, channelwise.sobel_x()))
        with pytest.raises(Exception, match="(?i)exist|contain"):
            channelwise.dask.filter2d_zarr(source, path, channelwise.sobel_x())
        again = channelwise.dask.filter2d_zarr(source, path, channelwise.sobel_y(), overwrite=True, chunks=(64, 32, 2)).compute()
        assert again.chunks == (64, 32, 2)
        into = channelwise.dask.filter2d_zarr(source, again, channelwise.sobel_x()).compute()
        np.testing.assert_array_equal(into[...], channelwise.filter2d(x, channelwise.sobel_x()))
    with pytest.raises(ValueError, match="target: an array of shape"):
        channelwise.dask.filter2d_zarr(source, again, channelwise.sobel_x(), dtype="float32")


@pytest.mark.parametrize("algorithm", ["direct", "separable", "fft"])
def test_large_kernels(algorithm):
    """Parts take the algorithm of the whole, with its tiles."""
    rng = np.random.default_rng(4)
    kernel = channelwise.gaussian(31, 5.0) if algorithm == "separable" else rng.normal(size=(31, 29))
    x = rng.normal(size=(300, 420, 2)).astype("float32")
    want = channelwise.filter2d(x, kernel, border="reflect", engine="cpu", algorithm=algorithm)
    for chunks in ((100, 140, 2), (7, 420, 2), (300, 11, 1), (64, 64, 2)):
        y = channelwise.dask.filter2d(da.from_array(x, chunks=chunks), kernel, border="reflect", algorithm=algorithm)
        if algorithm == "fft" and chunks[2] == 1:
            # Two channels are transformed as one.
            np.testing.assert_allclose(y.compute(), want, rtol=0, atol=2e-4)
        else:
            np.testing.assert_array_equal(y.compute(), want)


def test_what_is_planned_for_the_whole_is_what_chunks_take():
    x = da.zeros((4000, 4000, 3), dtype="float32", chunks=(50, 50, 3))
    kernel = np.random.default_rng(0).normal(size=(31, 31))
    y = channelwise.dask.filter2d(x, kernel)
    tasks = [task for key, task in y.dask.items() if key[0] == y.name]
    assert len(tasks) == 6400
    whole = y.dask[f"{y.name}-kernel"]
    assert whole.how == (channelwise.Engine("cpu").prepare(x.shape, kernel).algorithm, 1)


@pytest.mark.parametrize("algorithm", ["direct", "separable"])
def test_masks(rng, algorithm):
    options = {"algorithm": algorithm}
    x = rng.normal(size=(40, 50, 3)).astype("float32")
    plane = rng.random((40, 50)) > 0.4
    whole = rng.random(x.shape)
    lazy = da.from_array(x, chunks=(11, 13, 2))
    for mask in (plane, whole):
        want = channelwise.filter2d(x, channelwise.gaussian(7, 1.5), mask=mask, border="wrap", engine="cpu", **options)
        for given in (mask, da.from_array(mask, chunks=17)):
            y = channelwise.dask.filter2d(lazy, channelwise.gaussian(7, 1.5), mask=given, border="wrap", **options)
            np.testing.assert_array_equal(y.compute(), want)
    missing = np.where(plane[..., None], x, np.nan).astype("float32")
    want = channelwise.filter2d(missing, channelwise.gaussian(7, 1.5), skip_nan=True, engine="cpu", **options)
    lazy = da.from_array(missing, chunks=(11, 13, 2))
    y = channelwise.dask.filter2d(lazy, channelwise.gaussian(7, 1.5), skip_nan=True, **options)
    np.testing.assert_array_equal(y.compute(), want)


def test_nothing_is_read_before_it_is_asked_for():
    def fail(block):
        raise AssertionError("it was read")

    x = da.ones((100, 100), chunks=10).map_blocks(fail, dtype="float64", meta=np.empty((0, 0)))
    y = channelwise.dask.filter2d(x, channelwise.box_blur(3, 3))
    assert y.chunks == x.chunks and isinstance(y._meta, np.ndarray)


def test_only_what_lies_under_a_part_is_read():
    seen = []

    def see(block, block_info=None):
        if block_info:
            seen.append(block_info[0]["chunk-location"])
        return block

    x = da.ones((100, 100), chunks=10).map_blocks(see, dtype="float64", meta=np.empty((0, 0)))
    channelwise.dask.filter2d(x, channelwise.box_blur(3, 5), border="wrap")[:10, 40:50].compute()
    assert sorted(seen) == [(row, column) for row in (0, 1, 9) for column in (3, 4, 5)]


def test_names_say_what_is_computed():
    x = da.ones((100, 100), chunks=10)
    names = [
        channelwise.dask.filter2d(x, kernel, **options).name
        for kernel, options in [
            (channelwise.gaussian(5, 1.0), {}),
            (channelwise.gaussian(5, 2.0), {}),
            (np.asarray(channelwise.gaussian(5, 1.0)), {}),
            (np.ones((5, 5)), {}),
            (channelwise.gaussian(5, 1.0), {"border": "wrap"}),
            (channelwise.gaussian(5, 1.0), {"dtype": "float32"}),
            (channelwise.gaussian(5, 1.0), {"mask": np.ones((100, 100))}),
        ]
    ]
    assert len(set(names)) == len(names)
    assert channelwise.dask.filter2d(x, channelwise.gaussian(5, 1.0)).name == names[0]
    again = pickle.loads(pickle.dumps(channelwise.dask.filter2d(x, np.ones((5, 5)))))
    assert again.name == names[3]
    np.testing.assert_array_equal(again.compute(), channelwise.filter2d(np.ones((100, 100)), np.ones((5, 5))))


def test_errors():
    x = da.ones((100, 100, 3), chunks=(10, 10, 3))
    kernel = channelwise.box_blur(3, 3)
    for call, text in [
        (lambda: channelwise.dask.filter2d(np.ones((5, 5)), kernel), "x: .*dask.array.Array is needed"),
        (lambda: channelwise.dask.filter2d(x[x[:, 0, 0] > 0], kernel), "compute_chunk_sizes"),
        (lambda: channelwise.dask.filter2d(x, kernel, adjoint=True), "adjoint: True"),
        (lambda: channelwise.dask.filter2d(x, kernel, border="clamp"), "border: clamp"),
        (lambda: channelwise.dask.filter2d(x, kernel, mask=np.ones((5, 5))), "mask: "),
        (lambda: channelwise.dask.filter2d(x.astype("int64"), kernel), "int64"),
        (lambda: channelwise.dask.filter2d(x.map_blocks(np.ma.asarray), kernel), "x: chunks of"),
        (lambda: channelwise.dask.filter2d_zarr(zarr.ones(shape=(5, 5)), {}, kernel, adjoint=True), "adjoint: True"),
    ]:
        with pytest.raises(ValueError, match=text):
            call()
    for word in ("mode", "engine"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{word}'"):
            channelwise.dask.filter2d(x, kernel, **{word: "wrap"})
    with pytest.raises(TypeError, match="unexpected keyword argument 'mode'"):
        channelwise.dask.filter2d(x, kernel, mode="wrap")
    with pytest.raises(ValueError, match="mask: NaN"):
        channelwise.dask.filter2d(x, kernel, mask=np.full((100, 100), np.nan)).compute()


def test_the_distributed_scheduler():
    from dask.distributed import Client, LocalCluster

    x = np.random.default_rng(5).integers(0, 255, (300, 400, 3), dtype="uint8")
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        lazy = client.persist(da.from_array(x, chunks=(70, 90, 3)))
        for border in ("reflect", "wrap"):
            for kernel in (channelwise.gaussian(31, 5.0), np.random.default_rng(6).normal(size=(21, 21)) / 99):
                y = channelwise.dask.filter2d(lazy, kernel, border=border).compute()
                np.testing.assert_array_equal(y, channelwise.filter2d(x, kernel, border=border, engine="cpu"))


def pooled():
    """Threads of ours in this process."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return sum(name.startswith("channelwise-") for name in names)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_one_thread_computes_a_task():
    """That of the scheduler; with more, all tasks of the process share so many."""
    x = da.ones((200, 200), chunks=50)
    before = pooled()
    for threads, more in ((1, 0), (5, 5), (5, 5)):
        y = channelwise.dask.filter2d(x, channelwise.gaussian(9, 2.0), threads=threads)
        with dask.config.set(scheduler="threads", num_workers=4):
            np.testing.assert_allclose(y.compute(), 1, rtol=1e-12)
        assert pooled() == before + more
