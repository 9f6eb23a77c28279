"""Times a Python peer on the CPU on the benchmark's cases and prints one JSON line.

    cpu.py NAME CASE [--threads N]

NAME is a key of PEERS below. Inputs and kernels are the numbers that ours gets, in the same
[N, H, W, C] order unless the row says "nchw". "how" tells who allocates the answer: `run` makes it
anew, `run_into` writes over one that is there. A sample of it is checked against plain sums in f64
first. Preparing a kernel or a graph is not timed, converting bytes is.

Gradients (of f32 cases) are those of the input or of the one kernel, summed over channels, for the
gradient of the output that ours gets.
"""

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np


class Missing(Exception):
    """Why a peer does not run a case."""


def noise(seed, count):
    """Numbers in 0..1 from the generator of ../engines/cases.rs: each step doubles what there is."""
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
    def __init__(self, name, most=None):
        """With `most`, one image of no more rows and columns."""
        cases = json.loads((Path(__file__).parent.parent / "cases.json").read_text())
        self.case = next(c for c in cases if c["name"] == name)
        refuse_unknown(self.case, name=None, about=None, shape=None, kernel=None, stride=None,
                       type=["f32", "u8", "u16"], padding=["same", "valid"], border=["constant", "reflect101"],
                       layout=["nhwc", "nchw"], activation=["none"])
        refuse_unknown(self.case["kernel"], height=None, width=None, sigma=None, weights=["random", "gaussian"])
        self.planar, self.words = self.case.get("layout") == "nchw", self.case["type"] == "u16"
        shape, kernel = self.case["shape"], self.case["kernel"]
        if most:
            shape = [1, *(min(length, most) for length in shape[1:3]), shape[3]]
        self.size, self.stride = (kernel["height"], kernel["width"]), self.case["stride"]
        self.reflect, self.bytes = self.case["border"] == "reflect101", self.case["type"] == "u8"
        x = noise(11, int(np.prod(shape))).reshape(shape)
        if self.planar:  # seen as [N, H, W, C], it lies as it lay
            x = x.transpose(0, 2, 3, 1)
            shape = x.shape
        whole = {"u8": np.uint8, "u16": np.uint16}.get(self.case["type"])
        self.most = np.iinfo(whole).max if whole else None  # None of floats
        self.x = np.rint(x * np.float32(self.most)).astype(whole) if whole else x
        self.factors = None
        if kernel["weights"] == "random":
            scale = np.float32(2 / (self.size[0] * self.size[1]) if self.most else 1)
            self.k = noise(3, self.size[0] * self.size[1]).reshape(self.size) * scale
        else:
            bells = [np.exp(-((np.arange(m) - (m - 1) / 2) ** 2) / (2 * kernel["sigma"] ** 2)) for m in self.size]
            self.factors = [(b / b.sum()).astype(np.float32) for b in bells]
            self.k = np.outer(*(b / b.sum() for b in bells)).astype(np.float32)
        self.out, self.pad = zip(*(self.extent(*a) for a in zip(shape[1:3], self.size)))
        self.outputs = shape[0] * self.out[0] * self.out[1] * shape[3]

    def extent(self, n, k):
        """TensorFlow's SAME along one axis: output length, (padding before, after)."""
        if self.case["padding"] == "valid":
            return (n - k) // self.stride + 1, (0, 0)
        out = -(-n // self.stride)
        pad = max((out - 1) * self.stride + k - n, 0)
        return out, (pad // 2, pad - pad // 2)

    def crop(self, y):
        """The answer within one of stride 1 whose kernel is centred on every pixel, [..., H, W, C]."""
        start = [k // 2 - before for k, (before, _) in zip(self.size, self.pad)]
        rows, columns = (slice(a, a + (n - 1) * self.stride + 1, self.stride) for a, n in zip(start, self.out))
        return y[..., rows, columns, :]

    def check(self, y):
        """None, or what is wrong. Floats: the error relative to the sum of |weight * value|."""
        n, h, w, c = self.x.shape
        shape = (n, *self.out, c)
        if y.shape != shape or y.dtype != self.x.dtype:
            return f"{y.dtype} {y.shape}"
        # 500 from everywhere, and the corners of the first and last image.
        spread = np.arange(0, y.size, y.size // 500 + 1)
        ends = [sorted({p for p in (0, 1, 2, m - 3, m - 2, m - 1) if 0 <= p < m}) for m in self.out]
        corners = np.ravel_multi_index(np.ix_(sorted({0, n - 1}), *ends, [c - 1]), shape).ravel()
        b, r, q, ch = np.unravel_index(np.concatenate([spread, corners]), shape)

        def source(at, size, pad, length):
            i = at[:, None] * self.stride + np.arange(size) - pad[0]
            if self.reflect:
                i = length - 1 - abs(length - 1 - abs(i))
            return np.clip(i, 0, length - 1), (i >= 0) & (i < length)

        rows, inside_rows = source(r, self.size[0], self.pad[0], h)
        columns, inside_columns = source(q, self.size[1], self.pad[1], w)
        values = self.x[b[:, None, None], rows[:, :, None], columns[:, None, :], ch[:, None, None]]
        parts = values * self.k.astype(np.float64) * (inside_rows[:, :, None] & inside_columns[:, None, :])
        want, got = parts.sum((1, 2)), y[b, r, q, ch].astype(np.float64)
        if self.most:  # nearest, give or take what fixed point loses
            worst, bound, what = np.max(abs(got - want.clip(0, self.most))), 0.6, "error"
        else:
            worst, bound, what = np.max(abs(got - want) / abs(parts).sum((1, 2))), 2e-5, "relative error"
        return None if worst < bound else f"{what} {worst:.1e}"  # a NaN is not less

    def gradient(self):
        """The gradient of the output."""
        if self.most or self.reflect or self.planar:
            raise Missing("gradients are those of f32 cases with zeros around")
        return noise(7, self.outputs).reshape(self.x.shape[0], *self.out, self.x.shape[3])

    def check_input_gradient(self, dx):
        """As `check`."""
        if dx.shape != self.x.shape or dx.dtype != np.float32:
            return f"{dx.dtype} {dx.shape}"
        dy, spread = self.gradient(), np.arange(0, dx.size, dx.size // 500 + 1)
        b, i, j, ch = np.unravel_index(np.append(spread, dx.size - 1), dx.shape)

        def readers(at, size, pad, length):
            """Outputs that read a pixel, tap by tap, and whether there is one."""
            r = at[:, None] + pad[0] - np.arange(size)
            there = (r >= 0) & (r % self.stride == 0) & (r < length * self.stride)
            return np.where(there, r // self.stride, 0), there

        rows, there_rows = readers(i, self.size[0], self.pad[0], self.out[0])
        columns, there_columns = readers(j, self.size[1], self.pad[1], self.out[1])
        values = dy[b[:, None, None], rows[:, :, None], columns[:, None, :], ch[:, None, None]]
        parts = values * self.k.astype(np.float64) * (there_rows[:, :, None] & there_columns[:, None, :])
        worst = np.max(abs(dx[b, i, j, ch] - parts.sum((1, 2))) / abs(parts).sum((1, 2)))
        return None if worst < 2e-5 else f"relative error {worst:.1e}"

    def off_kernel_gradient(self, dk):
        """The error, at nine taps at most, relative to the sum of |x * dy|, of which none is negative."""
        if dk.shape != self.size or dk.dtype != np.float32:
            raise Missing(f"wrong answer, {dk.dtype} {dk.shape}")
        dy, worst = self.gradient(), 0

        def overlap(tap, pad, length, out):
            """Outputs that read from inside through a tap, and what they read."""
            first = max(-(-(pad[0] - tap) // self.stride), 0)
            end = min((length - 1 + pad[0] - tap) // self.stride + 1, out)
            start = first * self.stride + tap - pad[0]
            return slice(first, end), slice(start, start + (end - first - 1) * self.stride + 1, self.stride)

        for tap in range(0, dk.size, -(-dk.size // 9)):
            u, v = np.unravel_index(tap, self.size)
            rows, from_rows = overlap(u, self.pad[0], self.x.shape[1], self.out[0])
            columns, from_columns = overlap(v, self.pad[1], self.x.shape[2], self.out[1])
            want = sum(np.einsum("ijk,ijk", x[from_rows, from_columns], g[rows, columns], dtype=np.float64)
                       for x, g in zip(self.x, dy))
            worst = np.maximum(worst, abs(dk[u, v] - want) / want)  # keeps a NaN
        return worst

    def check_kernel_gradient(self, dk, bound=5e-3):
        """As `check`. Of millions of terms, added up in f32, peers lose about as much as taps differ by: that
        each is the right one is checked on a part of the case, with a bound that fits, and the error goes into the row."""
        worst = self.off_kernel_gradient(dk)
        return None if worst < bound else f"relative error {worst:.1e}"

    def time(self, call, what="forward"):
        """Checks a call's answer, repeats it for 2 s (at least 5 times, but for 20 s at most); the row's times."""
        y = np.asarray(call())
        check = {"forward": self.check, "input gradient": self.check_input_gradient,
                 "kernel gradient": self.check_kernel_gradient}[what]
        wrong = check(y)
        if wrong:
            raise Missing(f"wrong answer, {wrong}")
        error = {"error": float(self.off_kernel_gradient(y))} if what == "kernel gradient" else {}
        # A gradient moves as much as the answer: one of x and dy, or both.
        moved = self.x.nbytes + self.x.itemsize * self.outputs
        del y
        times, begin = [], time.perf_counter()
        while (start := time.perf_counter()) - begin < (2 if len(times) >= 5 else 20):
            call()
            times.append((time.perf_counter() - start) * 1e3)
        median = float(np.median(times))
        return {"median_ms": median, "min_ms": min(times), "p90_ms": float(np.quantile(times, 0.9)),
                "gb_per_s": moved / median / 1e6} | error


def opencv_border(p):
    import cv2

    return cv2.BORDER_REFLECT_101 if p.reflect else cv2.BORDER_CONSTANT


def opencv(p, threads):
    import cv2

    cv2.setNumThreads(threads)
    border = opencv_border(p)
    return lambda: [p.crop(cv2.filter2D(image, -1, p.k, borderType=border)) for image in p.x]


def split(p, threads, filter):
    """Images, or bands of the only one, on threads: `filter` takes a source and perhaps a target."""
    import cv2

    cv2.setNumThreads(1)
    full = np.empty_like(p.x)
    pool = ThreadPoolExecutor(threads)
    _, h, _, _ = p.x.shape
    halo = p.size[0] // 2
    bands = max(1, min(threads, h // p.size[0]))
    ends = [h * (i + 1) // bands for i in range(bands)]

    def band(start, end):
        """Writes a band in place, which is wrong near the next one: returns what belongs there."""
        filter(p.x[0, start:end], full[0, start:end])
        if end < h:
            top = max(end - 2 * halo, 0)
            return filter(p.x[0, top : end + 2 * halo])[end - halo - top :][: 2 * halo]

    def call():
        if len(p.x) > 1:
            list(pool.map(filter, p.x, full))
        else:
            seams = list(pool.map(band, [0, *ends], ends))
            for end, seam in zip(ends[:-1], seams):
                full[0, end - halo : end + halo] = seam
        return p.crop(full)

    return call


def opencv_split(p, threads):
    import cv2

    border = opencv_border(p)
    return split(p, threads, lambda x, y=None: cv2.filter2D(x, -1, p.k, dst=y, borderType=border))


def opencv_sep(p, threads):
    import cv2

    if not p.factors:
        raise Missing("the kernel has no factors")
    border, (rows, columns) = opencv_border(p), p.factors
    return split(p, threads, lambda x, y=None: cv2.sepFilter2D(x, -1, columns, rows, dst=y, borderType=border))


def opencv_dft(p, threads):
    """Tiles through cv2.dft, the kernel's spectrum made beforehand."""
    import cv2

    large_only(p)
    cv2.setNumThreads(1)
    (_, h, w, c), (kh, kw), ((top, _), (left, _)) = p.x.shape, p.size, p.pad
    side = 512 if threads <= 4 else 256  # the faster one where there are tiles enough
    fit = lambda n, k: cv2.getOptimalDFTSize(-(-n // round(n / side)) + k - 1)
    th, tw = fit(h, kh), fit(w, kw)
    spectrum = cv2.dft(np.pad(p.k, ((0, th - kh), (0, tw - kw))))
    y = np.empty_like(p.x)

    def tile(corner):
        r, q = corner
        r0, r1, q0, q1 = max(r - top, 0), min(r - top + th, h), max(q - left, 0), min(q - left + tw, w)
        edges = (r0 - (r - top), r - top + th - r1, q0 - (q - left), q - left + tw - q1)
        target, planes = y[0, r : r + th - kh + 1, q : q + tw - kw + 1], []
        for plane in cv2.split(p.x[0, r0:r1, q0:q1]):
            plane = cv2.dft(cv2.copyMakeBorder(plane, *edges, cv2.BORDER_CONSTANT))
            plane = cv2.mulSpectrums(plane, spectrum, 0, conjB=True)
            plane = cv2.dft(plane, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
            planes.append(plane[: target.shape[0], : target.shape[1]])
        cv2.merge(planes, target)

    pool = ThreadPoolExecutor(threads)
    corners = [(r, q) for r in range(0, h, th - kh + 1) for q in range(0, w, tw - kw + 1)]

    def call():
        list(pool.map(tile, corners))
        return y

    return call


def large_only(p):
    if max(p.size) < 31:
        raise Missing("for large kernels")


def saturated(y):
    return np.clip(np.rint(y), 0, 255).astype(np.uint8)


def scipy_correlate(p, _):
    from scipy import ndimage

    mode = "mirror" if p.reflect else "constant"
    output = np.float32  # it neither rounds nor saturates
    call = lambda: p.crop(ndimage.correlate(p.x, p.k[None, :, :, None], mode=mode, output=output))
    return (lambda: saturated(call())) if p.bytes else call


def scipy_fft(p, threads):
    from scipy import fft, signal

    large_only(p)
    kernel = p.k[None, ::-1, ::-1, None]

    def call():
        with fft.set_workers(threads):
            return signal.fftconvolve(p.x, kernel, mode="same", axes=(1, 2))

    return call


def tensorflow(p, threads):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    c, strides = p.x.shape[3], [1, p.stride, p.stride, 1]
    kernel = tf.constant(np.repeat(p.k[:, :, None, None], c, 2))
    padding = "VALID" if p.reflect else p.case["padding"].upper()

    @tf.function
    def call(x):
        if p.bytes:
            x = tf.cast(x, tf.float32)
        if p.reflect:
            x = tf.pad(x, [(0, 0), *p.pad, (0, 0)], "REFLECT")
        y = tf.nn.depthwise_conv2d(x, kernel, strides, padding)
        return tf.saturate_cast(tf.round(y), tf.uint8) if p.bytes else y

    x = tf.constant(p.x)
    return lambda: call(x)


def torch(p, threads):
    import torch
    from torch.nn.functional import conv2d, pad

    torch.set_num_threads(threads)
    c, ((top, bottom), (left, right)) = p.x.shape[3], p.pad
    x = torch.from_numpy(p.x).permute(0, 3, 1, 2)  # [N, C, H, W] to it, in memory as ours
    order = torch.contiguous_format if p.planar else torch.channels_last
    kernel = torch.from_numpy(p.k).repeat(c, 1, 1, 1).to(memory_format=order)
    even = top == bottom and left == right and not p.reflect

    @torch.inference_mode()
    def call():
        z = x.float() if p.bytes else x
        if not even:
            z = pad(z, (left, right, top, bottom), "reflect" if p.reflect else "constant")
        y = conv2d(z, kernel, stride=p.stride, padding=(top, left) if even else 0, groups=c)
        if p.bytes:
            y = y.round().clamp(0, 255).to(torch.uint8)
        return y.permute(0, 2, 3, 1)

    return call


def torch_gradient(p, threads, kernel, channels_last):
    """Of the kernel, or else of the input."""
    import torch

    torch.set_num_threads(threads)
    (n, h, w, c), ((top, bottom), (left, right)) = p.x.shape, p.pad
    order = torch.channels_last if channels_last else torch.contiguous_format
    turned = lambda a: torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(memory_format=order)  # beforehand
    x, dy = turned(p.x), turned(p.gradient())
    k = torch.from_numpy(p.k).repeat(c, 1, 1, 1).to(memory_format=order)
    even, pads = top == bottom and left == right, (left, right, top, bottom)
    if not even and not kernel:  # only its shape is needed
        x = torch.nn.functional.pad(x, pads)
    padding = (top, left) if even else (0, 0)

    @torch.inference_mode()
    def call():
        z = torch.nn.functional.pad(x, pads) if kernel and not even else x
        dx, dk, _ = torch.ops.aten.convolution_backward(
            dy, z, k, None, (p.stride, p.stride), padding, (1, 1), False, (0, 0), c, (not kernel, kernel, False))
        if kernel:
            return dk.sum(0)[0]
        if not even:
            dx = dx[:, :, top : top + h, left : left + w]
        return dx.permute(0, 2, 3, 1)

    return call


def tensorflow_gradient(p, threads, kernel):
    """Of the kernel, or else of the input."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    c, strides, padding = p.x.shape[3], [1, p.stride, p.stride, 1], p.case["padding"].upper()
    weights = tf.constant(np.repeat(p.k[:, :, None, None], c, 2))

    @tf.function
    def call(x, dy):
        if kernel:
            dk = tf.nn.depthwise_conv2d_backprop_filter(x, weights.shape, dy, strides, padding)
            return tf.reduce_sum(dk, (2, 3))
        return tf.nn.depthwise_conv2d_backprop_input(p.x.shape, weights, dy, strides, padding)

    x, dy = tf.constant(p.x), tf.constant(p.gradient())
    return lambda: call(x, dy)


def onnxruntime(p, threads):
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper

    (n, h, w, c), ((top, bottom), (left, right)) = p.x.shape, p.pad
    pads = [top, left, bottom, right]
    constants = [onnx.numpy_helper.from_array(np.tile(p.k, (c, 1, 1, 1)), "k")]
    nodes, last = [], "x"

    def add(kind, *more, **attributes):
        nonlocal last
        nodes.append(helper.make_node(kind, [last, *more], [f"{kind} {len(nodes)}"], **attributes))
        last = nodes[-1].output[0]

    if p.bytes:
        add("Cast", to=TensorProto.FLOAT)
    if p.reflect:
        constants.append(onnx.numpy_helper.from_array(np.array([0, 0, top, left, 0, 0, bottom, right]), "pads"))
        add("Pad", "pads", mode="reflect")
        pads = [0] * 4
    add("Conv", "k", group=c, pads=pads, strides=[p.stride] * 2)
    if p.bytes:
        constants += [onnx.numpy_helper.from_array(np.float32(v), str(v)) for v in (0, 255)]
        add("Round")
        add("Clip", "0", "255")
        add("Cast", to=TensorProto.UINT8)
    kind = TensorProto.UINT8 if p.bytes else TensorProto.FLOAT
    value = lambda name, shape: helper.make_tensor_value_info(name, kind, shape)
    graph = helper.make_graph(nodes, "g", [value("x", (n, c, h, w))], [value(last, (n, c, *p.out))], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.ascontiguousarray(p.x.transpose(0, 3, 1, 2))  # beforehand, which is to its advantage
    return lambda: session.run(None, {"x": x})[0].transpose(0, 2, 3, 1)


# The row and what makes its call; those that end in "1 thread" know no more.
PEERS = {
    "opencv": ("OpenCV filter2D", opencv),
    "opencv-split": ("OpenCV filter2D split", opencv_split),
    "opencv-sep": ("OpenCV sepFilter2D split", opencv_sep),
    "opencv-dft": ("OpenCV dft tiles", opencv_dft),
    "scipy": ("SciPy correlate 1 thread", scipy_correlate),
    "scipy-fft": ("SciPy fftconvolve", scipy_fft),
    "tensorflow": ("TensorFlow depthwise", tensorflow),
    "torch": ("PyTorch conv2d", torch),
    "onnxruntime": ("ONNX Runtime nchw", onnxruntime),
    "torch-input": ("PyTorch input gradient", partial(torch_gradient, kernel=False, channels_last=True)),
    "torch-input-nchw": ("PyTorch input gradient nchw", partial(torch_gradient, kernel=False, channels_last=False)),
    "torch-kernel": ("PyTorch kernel gradient", partial(torch_gradient, kernel=True, channels_last=True)),
    "torch-kernel-nchw": ("PyTorch kernel gradient nchw", partial(torch_gradient, kernel=True, channels_last=False)),
    "tensorflow-input": ("TensorFlow input gradient", partial(tensorflow_gradient, kernel=False)),
    "tensorflow-kernel": ("TensorFlow kernel gradient", partial(tensorflow_gradient, kernel=True)),
}

# Those that write over an answer that is there; that take planes as they lie; that take 16 bits.
INTO = {"opencv-split", "opencv-sep", "opencv-dft"}
PLANAR = {"torch"}
WORDS = {"opencv", "opencv-split"}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("case")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    row, make = PEERS[args.name]
    what = next((what for what in ("input gradient", "kernel gradient") if what in row), "forward")
    line = {"case": args.case, "row": row, "what": what, "engine": "cpu"}
    line["how"] = "run_into" if args.name in INTO else "run"
    try:
        problem = Problem(args.case)
        if problem.planar and args.name not in PLANAR:
            raise Missing("it would turn planes first")
        if problem.words and args.name not in WORDS:
            raise Missing("not written for 16 bits")
        if what == "kernel gradient":
            small = Problem(args.case, 64)
            wrong = small.check_kernel_gradient(np.asarray(make(small, args.threads)()), 2e-5)
            if wrong:
                raise Missing(f"wrong answer, {wrong}")
        threads = 1 if row.endswith("1 thread") else args.threads
        times = problem.time(make(problem, args.threads), what)
        line |= {"algorithm": None, "threads": threads} | times
    except Exception as reason:  # it stands in the table
        text = str(reason).strip().splitlines()
        line["missing"] = str(reason) if isinstance(reason, Missing) else f"{type(reason).__name__}: {text[-1] if text else ''}"
    print(json.dumps(line))
