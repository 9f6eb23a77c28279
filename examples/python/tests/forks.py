"""Forks, while other threads are at work and with pools that a child has no threads of: `test_processes.py` runs it."""

import multiprocessing
import pickle
import threading

import numpy as np

import channelwise

KERNEL = channelwise.gaussian(9, 2.0)


def child(x, prepared, region, queue):
    engine = pickle.dumps(channelwise.Engine("cpu", threads=2))
    queue.put((channelwise.filter2d(x, KERNEL), prepared(x), region(x), engine))


def main():
    x = np.random.default_rng(1).normal(size=(200, 300, 3)).astype("float32")
    engine = channelwise.Engine("cpu", threads=2)
    prepared = engine.prepare(x, KERNEL)
    region = prepared.region((0, 50), (0, 300))
    want = prepared(x)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    stop = threading.Event()
    busy = threading.Thread(target=lambda: [prepared(x) for _ in iter(stop.is_set, True)])
    busy.start()
    try:
        for _ in range(10):
            process = context.Process(target=child, args=(x, prepared, region, queue))
            process.start()
            one, other, part, engine = queue.get(timeout=60)
            process.join(60)
            assert process.exitcode == 0
            np.testing.assert_array_equal(one, want)
            np.testing.assert_array_equal(other, want)
            np.testing.assert_array_equal(part, want[:50])
            assert "2 threads" in repr(pickle.loads(engine))
    finally:
        stop.set()
        busy.join()
    np.testing.assert_array_equal(prepared(x), want)
    np.testing.assert_array_equal(region(x), want[:50])


if __name__ == "__main__":
    main()
