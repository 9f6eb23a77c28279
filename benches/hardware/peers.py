"""Times PyTorch, CuPy and JAX on the GPU and OpenCV on the CPU, on the benchmark's cases.

    peers.py [CASES.json] [--gpu] [--cpu] [--seconds S]     a line of JSON each
    peers.py --device cpu --shrink 40                       a rehearsal without a GPU

Inputs and kernels are the numbers that ours gets. An answer is checked against plain sums in f64
before it is timed. Preparing a kernel is not timed, nor turning [N, H, W, C] to the order that a
row names, which is to the peers' advantage; converting bytes is: the user's data are bytes.

"resident" is the device's own time: a sample is so many calls that it takes 2 ms at least, over
inputs and outputs that together exceed twice the last cache (of small cases 64 pairs). Where calls
can be captured they are replayed as a graph, so that Python's time between them does not count.
"cached" is the same on one pair, "call" one call and the wait for it. Each library has a process
of its own, so that one that crashes takes no other with it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

try:
    import numpy as np
except ImportError:  # said for each library
    np = None

STANDARD = "seed rgb3 rgba5 feat3 feat3s2 hyper5 psf31 gauss31 rgb3u8".split()
SAMPLE_MS, ROW_SECONDS, BUFFERS = 2, 2, 64  # at least, at most, at most
always, end = {}, 0  # fields of every line; when time is up


class Missing(Exception):
    """Why a row is not there; with `key` "wrong", what is wrong with it."""

    def __init__(self, text, key="missing"):
        super().__init__(text)
        self.key = key


def say(**fields):
    print(json.dumps(fields | always), flush=True)


def told(reason):
    text = getattr(reason, "err", None) or str(reason)  # OpenCV's begins with a path
    text = (text.strip().splitlines() or [""])[0][:160]
    if isinstance(reason, Missing):
        return {reason.key: text}
    return {"missing": f"{type(reason).__name__}: {text}"}


@lru_cache(maxsize=2)  # several cases have as many
def noise(seed, count):
    """Numbers in 0..1 by ours' generator (benches/engines): each step doubles what there is."""
    states, a, c = np.array([seed], np.uint32), 1_664_525, 1_013_904_223
    while len(states) <= count:
        states = np.concatenate([states, states * np.uint32(a) + np.uint32(c)])
        a, c = a * a % 2**32, (a * c + c) % 2**32
    return (states[1 : count + 1] >> 8).astype(np.float32) / np.float32(2**24)


def refuse_unknown(given, **known):
    """What this script does not know it would get wrong. None stands for any value."""
    for key, value in given.items():
        if key not in known or known[key] is not None and value not in known[key]:
            raise Missing(f"these peers know no {key} {json.dumps(value)[:60]}")


class Problem:
    def __init__(self, case, most=None):
        """With `most`, of no more rows and columns."""
        kernel = case["kernel"]
        refuse_unknown(case, name=None, about=None, shape=None, kernel=None, stride=None,
                       type=["f32", "u8"], padding=["same", "valid"],
                       border=["constant", "reflect101"], layout=["nhwc"], activation=["none"])
        refuse_unknown(kernel, height=None, width=None, sigma=None, weights=["random", "gaussian"])
        self.name, self.stride, self.padding = case["name"], case["stride"], case["padding"]
        n, h, w, c = case["shape"]
        shape = (n, min(h, most or h), min(w, most or w), c)
        self.size = kernel["height"], kernel["width"]
        self.reflect, self.bytes = case["border"] == "reflect101", case["type"] == "u8"
        x = noise(11, int(np.prod(shape))).reshape(shape)
        self.x = np.rint(x * 255).astype(np.uint8) if self.bytes else x
        self.factors, self.sigma = None, kernel.get("sigma")
        if kernel["weights"] == "random":
            scale = np.float32(2 / (self.size[0] * self.size[1]) if self.bytes else 1)
            self.k = noise(3, self.size[0] * self.size[1]).reshape(self.size) * scale
        else:
            steps = [np.arange(m) - (m - 1) / 2 for m in self.size]
            bells = [np.exp(-(s**2) / (2 * self.sigma**2)) for s in steps]
            self.factors = [(b / b.sum()).astype(np.float32) for b in bells]
            self.k = np.outer(*(b / b.sum() for b in bells)).astype(np.float32)
        self.out, self.pad = zip(*(self.extent(*a) for a in zip(shape[1:3], self.size)))
        if min(self.out) < 1:
            raise Missing("it has no output")
        self.shape = (n, *self.out, c)
        self.moved = self.x.nbytes + int(np.prod(self.shape)) * self.x.itemsize

    def extent(self, n, k):
        """TensorFlow's SAME along one axis: output length, (padding before, after)."""
        if self.padding == "valid":
            return (n - k) // self.stride + 1, (0, 0)
        out = -(-n // self.stride)
        pad = max((out - 1) * self.stride + k - n, 0)
        return out, (pad // 2, pad - pad // 2)

    def part(self, first):
        """Rows and columns of the answer in one of stride 1, where its first stands there."""
        ends = [a + (n - 1) * self.stride + 1 for a, n in zip(first, self.out)]
        return [slice(a, b, self.stride) for a, b in zip(first, ends)]

    def crop(self, y):
        """The answer in one whose kernel is centred on every pixel, [..., H, W, C]."""
        rows, columns = self.part([k // 2 - pad[0] for k, pad in zip(self.size, self.pad)])
        if rows.stop > y.shape[-3] or columns.stop > y.shape[-2]:
            raise Missing("it centres this kernel on other pixels")
        return y[..., rows, columns, :]

    def error(self, y, inside=False):
        """Of bytes in bytes; of floats relative to the sum of |weight * value|.
        `inside` leaves out windows that reach beyond the edges."""
        n, h, w, c = self.x.shape
        if y.shape != self.shape or y.dtype != self.x.dtype:
            raise Missing(f"{y.dtype} {y.shape}", "wrong")
        # 500 from everywhere, and the corners of the first and last image.
        spread = np.arange(0, y.size, y.size // 500 + 1)
        ends = [sorted({p % m for p in (0, 1, 2, -3, -2, -1) if -m <= p < m}) for m in self.out]
        corners = np.ravel_multi_index(np.ix_(sorted({0, n - 1}), *ends, [c - 1]), self.shape)
        b, r, q, ch = np.unravel_index(np.append(spread, corners), self.shape)

        def source(at, size, pad, length):
            i = at[:, None] * self.stride + np.arange(size) - pad[0]
            there = (i >= 0) & (i < length)
            if self.reflect:
                i = length - 1 - abs(length - 1 - abs(i))
            return np.clip(i, 0, length - 1), there

        rows, row_there = source(r, self.size[0], self.pad[0], h)
        columns, column_there = source(q, self.size[1], self.pad[1], w)
        there = row_there[:, :, None] & column_there[:, None, :]
        at = b[:, None, None], rows[:, :, None], columns[:, None, :], ch[:, None, None]
        parts = self.x[at] * self.k.astype(np.float64) * (there | self.reflect)
        off = abs(y[b, r, q, ch] - parts.sum((1, 2)).clip(0, 255 if self.bytes else None))
        if not self.bytes:
            off /= abs(parts).sum((1, 2))
        if inside:
            off = off[there.all((1, 2))]
        if not len(off):
            raise Missing("too small to be checked")
        # Bytes are the nearest, give or take what sums in f32 lose.
        if not off.max() < (0.6 if self.bytes else 2e-5):  # a NaN is not less
            raise Missing(f"error {off.max():.1e}", "wrong")
        return float(off.max())


def wall(run, wait):
    """Milliseconds; `wait` gets what the last call gave."""
    start = time.perf_counter()
    wait(run())
    return (time.perf_counter() - start) * 1e3


def samples(take, most=20, seconds=None):
    """A slow row has fewer, but five."""
    times, stop = [], time.perf_counter() + (seconds or ROW_SECONDS)
    while len(times) < most and (len(times) < 5 or time.perf_counter() < stop):
        times.append(take())
    return times


def figures(times, moved):
    median = float(np.median(times))
    return {"median_ms": median, "min_ms": min(times), "p90_ms": float(np.quantile(times, 0.9)),
            "samples": len(times), "gb_per_s": moved / median / 1e6}


def device_times(lib, call, inputs, per, moved):
    """Figures of a call that does `per` things, and whether a graph was replayed."""
    outs = [None] * len(inputs)  # kept, so that outputs take turns as inputs do

    def run(count):
        for i in range(count):
            outs[i % len(outs)] = call(inputs[i % len(inputs)])
        return outs[(count - 1) % len(outs)]

    lib.wait(run(len(inputs)))
    once = lib.time(lambda: run(len(inputs))) / len(inputs)
    for _ in "12":  # again, since a graph is faster than what was timed first
        count = int(min(max(1.2 * SAMPLE_MS / max(once, 1e-4), len(inputs)), 2000))
        graph = lib.capture(lambda: run(count))
        play = graph or (lambda: run(count))
        lib.time(play)
        once = lib.time(play) / count
        if once * count >= SAMPLE_MS:
            break
    times = [t / count / per for t in samples(lambda: lib.time(play))]
    return {"graph": bool(graph)} | figures(times, moved)


def way(lib, p, name, make, call, back, inside=False):
    """Checks and times one way of a library to do it."""
    line = {"case": p.name, "row": name, "what": "forward", "engine": "gpu"}
    inputs = None
    try:
        if time.monotonic() > end:
            raise Missing("no time left")
        inputs = [make()]
        line["error"] = p.error(back(call(inputs[0])), inside)
        pairs = min(max(2 * lib.cache // p.moved + 1, 2), BUFFERS)
        inputs += [lib.copy(inputs[0]) for _ in range(pairs - 1)]
        times = device_times(lib, *lib.ring(call, inputs), p.moved)
        say(**line, how="resident", buffers=len(inputs), **times)
        say(**line, how="cached", buffers=1, **device_times(lib, call, inputs[:1], 1, p.moved))
        times = samples(lambda: wall(lambda: call(inputs[0]), lib.wait), 200, 0.3)
        say(**line, how="call", **figures(times, p.moved))
    except Exception as reason:  # it stands in the table
        say(**line, **told(reason))
    inputs = None
    lib.forget()


class Library:
    """What most have in common."""

    engine, cache = "gpu", 128 << 20  # the last cache; of a GPU that does not tell: more than most

    def copy(self, x):
        return x.copy()

    def ring(self, call, inputs):
        """What to call, on what, and how many calls of the row that stands for."""
        return call, inputs, 1

    def capture(self, run):
        """What replays a run as a graph, or None."""

    def forget(self):
        """Gives back memory that is kept for later."""


class Torch(Library):
    name = "PyTorch"

    def __init__(self, rehearsal):
        import torch

        self.torch, self.version, self.copied = torch, torch.__version__, set()
        self.device = "cpu" if rehearsal else "cuda"
        if rehearsal:
            torch.set_num_threads(1)
        elif not torch.cuda.is_available():
            raise Missing("it sees no GPU")
        else:
            self.cache = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", self.cache)
        torch.set_grad_enabled(False)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.copy = torch.clone
        self.wait = lambda _: rehearsal or torch.cuda.synchronize()
        self.forget = lambda: rehearsal or torch.cuda.empty_cache()

    def time(self, run):
        if self.device == "cpu":
            return wall(run, self.wait)
        start, stop = (self.torch.cuda.Event(enable_timing=True) for _ in "12")
        start.record()
        run()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop)

    def capture(self, run):
        if self.device == "cpu":
            return None
        try:
            graph = self.torch.cuda.CUDAGraph()
            with self.torch.cuda.graph(graph):
                run()
            return graph.replay
        except Exception as reason:  # then calls are timed one after the other
            print(f"PyTorch, no graph: {reason}", file=sys.stderr)
            self.torch.cuda.synchronize()

    def device_copy(self, size):
        """A copy on the device of as many bytes as the input has, once a size."""
        if size not in self.copied:
            self.copied.add(size)
            new = lambda: self.torch.ones(size, dtype=self.torch.uint8, device=self.device)
            pairs = [(new(), new()) for _ in range(min(max(self.cache // size + 1, 2), BUFFERS))]
            times = device_times(self, lambda pair: pair[1].copy_(pair[0]), pairs, 1, 2 * size)
            line = {"case": str(size), "row": "PyTorch copy", "engine": "gpu", "how": "resident"}
            say(**line, buffers=len(pairs), **times)

    def run(self, p):
        torch, F = self.torch, self.torch.nn.functional
        (n, h, w, c), ((top, bottom), (left, right)) = p.x.shape, p.pad
        even = top == bottom and left == right and not p.reflect
        k = torch.from_numpy(p.k).to(self.device)
        self.device_copy(p.x.nbytes)

        def row(name, make, f, order=lambda y: y.permute(0, 2, 3, 1), **options):
            def call(x):
                y = f(x.float() if p.bytes else x)
                return y.round().clamp(0, 255).to(torch.uint8) if p.bytes else y

            way(self, p, name, make, call, lambda y: order(y).cpu().numpy(), **options)

        def padded(z):  # conv2d pads by itself where both sides get the same
            pads, mode = (left, right, top, bottom), "reflect" if p.reflect else "constant"
            return z if even else F.pad(z, pads, mode)

        def conv(z, kernel, groups=1, stride=p.stride, around=(top, left)):
            return F.conv2d(z, kernel, None, stride, around if even else 0, groups=groups)

        last = lambda: torch.from_numpy(p.x).to(self.device).permute(0, 3, 1, 2)  # as it lies
        first = lambda: last().contiguous()
        planes = lambda: first().view(n * c, 1, h, w)
        merged = lambda y: y.reshape(n, c, *y.shape[2:]).permute(0, 2, 3, 1)
        each = k.repeat(c, 1, 1, 1)
        each_last = each.to(memory_format=torch.channels_last)
        row("PyTorch groups=C channels_last", last, lambda z: conv(padded(z), each_last, c))
        row("PyTorch groups=C NCHW", first, lambda z: conv(padded(z), each, c))
        row("PyTorch planes", planes, lambda z: conv(padded(z), k[None, None]), merged)
        if min(p.size) < 15:
            return  # the rest is for large kernels
        if p.factors:
            down, along = (torch.from_numpy(f).to(self.device) for f in p.factors)

            down, along = down[None, None, :, None], along[None, None, None]

            def passes(z):
                z = conv(padded(z), down, stride=(p.stride, 1), around=(top, 0))
                return conv(z, along, stride=(1, p.stride), around=(0, left))

            row("PyTorch two passes, planes", planes, passes, merged)
        # The kernel's spectrum is made beforehand, at lengths whose factors are 2, 3 and 5.
        around = p.pad if p.reflect else ((0, 0), (0, 0))
        least = [m + sum(a) + s - 1 for m, a, s in zip((h, w), around, p.size)]
        smooth = [2**i * 3**j * 5**l for i in range(2, 25) for j in range(5) for l in range(4)]
        lengths = [min(m for m in smooth if m >= n) for n in least]
        spectrum = torch.fft.rfft2(k.flip(0, 1), s=lengths)
        rows, columns = p.part([s - 1 - (0 if p.reflect else a[0]) for s, a in zip(p.size, p.pad)])

        def fft(z):
            z = torch.fft.rfft2(padded(z) if p.reflect else z, s=lengths)
            return torch.fft.irfft2(z * spectrum, s=lengths)[..., rows, columns]

        row("PyTorch fft", first, fft)
        if p.factors and p.stride == 1 and p.padding == "same":
            try:
                from torchvision.transforms.functional import gaussian_blur
            except Exception as reason:
                return say(case=p.name, row="torchvision", engine="gpu", **told(reason))
            # It reflects at the edges whatever the case says: checked away from them.
            blur = lambda z: gaussian_blur(z, list(p.size[::-1]), [p.sigma, p.sigma])
            row("torchvision gaussian_blur", first, blur, inside=not p.reflect)


class Cupy(Library):
    name = "CuPy"

    def __init__(self, _):
        import cupy
        import cupyx.scipy.ndimage
        import cupyx.scipy.signal

        self.cupy, self.scipy, self.version = cupy, cupyx.scipy, cupy.__version__
        self.cache = cupy.cuda.Device().attributes.get("L2CacheSize", self.cache)
        self.new_stream()
        self.wait = lambda _: self.stream.synchronize()
        self.forget = lambda: cupy.get_default_memory_pool().free_all_blocks()

    def new_stream(self):
        """The default one cannot be captured."""
        self.stream = self.cupy.cuda.Stream(non_blocking=True)
        self.stream.use()

    def time(self, run):
        start, stop = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record(self.stream)
        run()
        stop.record(self.stream)
        stop.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, stop)

    def capture(self, run):
        if not self.captures:
            return None
        try:
            self.stream.begin_capture()
            run()
            graph = self.stream.end_capture()
            return lambda: graph.launch(self.stream)
        except Exception as reason:  # its stream is lost; calls are timed one after the other
            print(f"CuPy, no graph: {reason}", file=sys.stderr)
            self.captures = False
            self.new_stream()

    def run(self, p):
        cupy, kernel = self.cupy, self.cupy.asarray(p.k)[None, :, :, None]

        def row(name, f, captures):
            def call(x):
                y = p.crop(f(x.astype(cupy.float32) if p.bytes else x))
                return cupy.clip(cupy.rint(y), 0, 255).astype(cupy.uint8) if p.bytes else y

            self.captures = captures
            way(self, p, name, lambda: cupy.asarray(p.x), call, cupy.asnumpy)

        correlate, convolve = self.scipy.ndimage.correlate, self.scipy.signal.oaconvolve
        border = "mirror" if p.reflect else "constant"
        row("CuPy ndimage.correlate", lambda x: correlate(x, kernel, mode=border), True)
        if min(p.size) >= 15 and not p.reflect and p.size[0] % 2 and p.size[1] % 2:
            turned = kernel[:, ::-1, ::-1].copy()
            # It makes plans and scratch while it runs, which does not go into a graph.
            whole = lambda x: convolve(x, turned, mode="same", axes=(1, 2))
            row("CuPy oaconvolve", whole, False)


class Jax(Library):
    """It has no events: wall-clock around programs that do a whole ring of buffers."""

    name = "JAX"

    def __init__(self, rehearsal):
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        if rehearsal:
            os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        self.jax, self.version, self.wait = jax, jax.__version__, jax.block_until_ready
        if not rehearsal and jax.default_backend() != "gpu":
            raise Missing("it sees no GPU")
        self.time = lambda run: wall(run, self.wait)

    def ring(self, call, inputs):
        """Eight at least of what is not large, or starting programs would be what is timed."""
        while len(inputs) < min(8, BUFFERS) and inputs[0].nbytes < 128 << 20:
            inputs.append(self.copy(inputs[0]))
        return self.jax.jit(lambda many: [call(x) for x in many]), [inputs], len(inputs)

    def run(self, p):
        jax, jnp, (n, h, w, c) = self.jax, self.jax.numpy, p.x.shape

        def row(name, make, groups, order, kernel, back):
            kernel, rows, columns = jnp.asarray(kernel), order[0].index("H"), order[0].index("W")

            def call(x):
                x, around = x.astype(jnp.float32), p.pad
                if p.reflect:
                    pads = [(0, 0)] * 4
                    pads[rows], pads[columns] = p.pad
                    x, around = jnp.pad(x, pads, mode="reflect"), [(0, 0)] * 2
                y = jax.lax.conv_general_dilated(
                    x, kernel, (p.stride, p.stride), around, dimension_numbers=order,
                    feature_group_count=groups, precision=jax.lax.Precision.HIGHEST)
                return jnp.clip(jnp.round(y), 0, 255).astype(jnp.uint8) if p.bytes else y

            way(self, p, name, make, jax.jit(call), back)

        wide, each = lambda: jnp.asarray(p.x), np.repeat(p.k[:, :, None, None], c, 3)
        row("JAX groups=C NHWC", wide, c, ("NHWC", "HWIO", "NHWC"), each, np.asarray)
        planes = lambda: jnp.asarray(p.x.transpose(0, 3, 1, 2).reshape(n * c, 1, h, w))
        merged = lambda y: np.asarray(y).reshape(n, c, *p.out).transpose(0, 2, 3, 1)
        row("JAX planes", planes, 1, ("NCHW", "OIHW", "NCHW"), p.k[None, None], merged)


class Opencv:
    name, engine = "OpenCV", "cpu"

    def __init__(self, _):
        import cv2

        self.cv2, self.version = cv2, cv2.__version__
        self.threads = len(os.sched_getaffinity(0))
        self.pool = ThreadPoolExecutor(self.threads)

    def split(self, p, filter):
        """Bands of every image on threads: `filter` takes a source and perhaps a target."""
        full, (n, h, _, _), halo = np.empty_like(p.x), p.x.shape, p.size[0] // 2
        bands = max(1, min(-(-self.threads // n), h // p.size[0]))
        ends = [h * (i + 1) // bands for i in range(bands)]
        tasks = [(i, *rows) for i in range(n) for rows in zip([0, *ends], ends)]

        def band(task):
            """Writes a band in place, which is wrong near the next: returns what belongs there."""
            i, start, stop = task
            filter(p.x[i, start:stop], full[i, start:stop])
            if stop < h and halo:
                seam = filter(p.x[i, stop - 2 * halo : stop + 2 * halo])[halo : 3 * halo]
                return seam.reshape(-1, *full.shape[2:])  # OpenCV drops an only channel

        def call():
            for (i, _, stop), seam in zip(tasks, list(self.pool.map(band, tasks))):
                if seam is not None:
                    full[i, stop - halo : stop + halo] = seam
            return p.crop(full)

        return call

    def run(self, p):
        cv2 = self.cv2
        border = cv2.BORDER_REFLECT_101 if p.reflect else cv2.BORDER_CONSTANT

        def row(name, how, own_threads, call):
            line = {"case": p.name, "row": name, "what": "forward", "engine": "cpu", "how": how}
            try:
                if time.monotonic() > end:
                    raise Missing("no time left")
                cv2.setNumThreads(own_threads)
                line |= {"error": p.error(np.asarray(call())), "threads": self.threads}
                say(**line, **figures(samples(lambda: wall(call, id), 1000), p.moved))
            except Exception as reason:  # of many channels it does not say that they are too many
                why = told(reason)
                if "missing" in why and p.shape[3] > 4:
                    why["missing"] += f" ({p.shape[3]} channels)"
                say(**line, **why)

        # The first makes its answers, the others write them where they belong.
        plain = lambda x, y=None: cv2.filter2D(x, -1, p.k, dst=y, borderType=border)
        whole = lambda: [p.crop(plain(x).reshape(x.shape)) for x in p.x]
        row("OpenCV filter2D", "run", self.threads, whole)
        row("OpenCV filter2D split", "run_into", 1, self.split(p, plain))
        if p.factors:
            down, along = p.factors
            both = lambda x, y=None: cv2.sepFilter2D(x, -1, along, down, dst=y, borderType=border)
            row("OpenCV sepFilter2D split", "run_into", 1, self.split(p, both))


# With shares of the time: what one leaves goes to those after it.
LIBRARIES = {"torch": (Torch, 4), "cupy": (Cupy, 2), "jax": (Jax, 3), "opencv": (Opencv, 4)}


def child(library, cases, args):
    """One library on all cases."""
    line = {"row": library.name, "engine": library.engine}
    try:
        if not np:
            raise Missing("no NumPy")
        lib = library(args.device == "cpu")
        always["version"] = lib.version
    except Exception as reason:
        return say(**line, **told(reason))
    for case in cases:
        try:
            if time.monotonic() > end:
                raise Missing("no time left")
            lib.run(Problem(case, args.shrink))
        except Exception as reason:
            say(case=case.get("name"), **line, **told(reason))
    os._exit(0)  # its lines are out; how long libraries take to clean up is no concern


def main():
    global end, SAMPLE_MS, ROW_SECONDS, BUFFERS
    here = Path(__file__).resolve().parent
    beside = here / "cases.json" if (here / "cases.json").exists() else here.parent / "cases.json"
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="?", type=Path, default=beside)
    parser.add_argument("--gpu", action="store_true", help="PyTorch, CuPy, JAX [default: both]")
    parser.add_argument("--cpu", action="store_true", help="OpenCV")
    parser.add_argument("--case", action="append", help="by name [default: all]")
    parser.add_argument("--seconds", type=float, default=600, help="for everything")
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu", help="cpu: a rehearsal")
    parser.add_argument("--shrink", type=int, help="rows and columns at most: a rehearsal")
    parser.add_argument("--library", choices=LIBRARIES, help=argparse.SUPPRESS)
    args, end = parser.parse_args(), time.monotonic()
    end += args.seconds
    if args.device == "cpu" or args.shrink:
        always["rehearsal"], SAMPLE_MS, ROW_SECONDS, BUFFERS = True, 0.1, 0.1, 4
    order = {name: i for i, name in enumerate(STANDARD)}
    cases = json.loads(args.cases.read_text())
    cases = [c for c in cases if not args.case or c["name"] in args.case]
    cases.sort(key=lambda c: order.get(c["name"], len(order)))
    if args.library:
        return child(LIBRARIES[args.library][0], cases, args)
    both = args.gpu == args.cpu
    names = [n for n, (kind, _) in LIBRARIES.items() if both or getattr(args, kind.engine)]
    for i, name in enumerate(names):
        kind, weight = LIBRARIES[name]
        share = max(end - time.monotonic(), 0) * weight / sum(LIBRARIES[n][1] for n in names[i:])
        more = [f"--library={name}", f"--seconds={share}"]
        command = [sys.executable, __file__, *sys.argv[1:], *more]
        stopped = None
        try:
            status = subprocess.run(command, timeout=share + 10).returncode
            stopped = f"stopped with status {status}" if status else None
        except subprocess.TimeoutExpired:
            stopped = f"stopped after {share + 10:.0f} s"
        if stopped:
            say(row=kind.name, engine=kind.engine, missing=stopped)


if __name__ == "__main__":
    main()
