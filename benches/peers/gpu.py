"""Times ncnn and ONNX Runtime on the GPU on the benchmark's cases and prints one JSON line.

    gpu.py ncnn|onnxruntime CASE

Both take and give host memory here, so every call includes upload and download ("e"). Inputs are
turned to [N, C, H, W] beforehand, which is to their advantage. A sample of the answer is checked
against plain sums in f64 first. Both filter floats only: a u8 case is given to them as f32.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


class Problem:
    def __init__(self, name):
        cases = json.loads((Path(__file__).parent.parent / "cases.json").read_text())
        self.case = next(c for c in cases if c["name"] == name)
        n, h, w, c = self.case["shape"]
        kernel = self.case["kernel"]
        self.size, self.stride = (kernel["height"], kernel["width"]), self.case["stride"]
        self.reflect = self.case["border"] == "reflect101"
        self.bytes = self.case["type"] == "u8"
        noise = np.random.default_rng(11)
        if kernel["weights"] == "random":
            self.k = noise.random(self.size, np.float32)
        else:
            bells = [np.exp(-((np.arange(m) - (m - 1) / 2) ** 2) / (2 * kernel["sigma"] ** 2)) for m in self.size]
            k = np.outer(*bells)
            self.k = (k / k.sum()).astype(np.float32)
        x = noise.random((n, c, h, w), np.float32)
        self.x = np.floor(x * 256) if self.bytes else x
        self.out, self.pad = zip(*(self.extent(*a) for a in zip((h, w), self.size)))

    def extent(self, n, k):
        """TensorFlow's SAME along one axis: output length, (padding before, after)."""
        if self.case["padding"] == "valid":
            return (n - k) // self.stride + 1, (0, 0)
        out = -(-n // self.stride)
        pad = max((out - 1) * self.stride + k - n, 0)
        return out, (pad // 2, pad - pad // 2)

    def row(self, name):
        return name + " f32" if self.bytes else name

    def say(self, name, **fields):
        print(json.dumps({"case": self.case["name"], "row": self.row(name), "engine": "gpu"} | fields), flush=True)

    def check(self, y):
        """None, or what is wrong: the error relative to the sum of |weight * value|."""
        if y.shape != (*self.x.shape[:2], *self.out):
            return f"shape {y.shape}"
        mode = {"mode": "reflect"} if self.reflect else {}
        # The first, middle and last few positions: every border and the interior.
        r, q = (sorted({p for m in (0, n // 2, n - 6) for p in range(max(m, 0), min(m + 6, n))}) for n in self.out)
        worst = 0
        for b in {0, len(y) - 1}:
            x = np.pad(self.x[b], ((0, 0), *self.pad), **mode)
            want = size = 0
            for (i, j), weight in np.ndenumerate(self.k.astype(np.float64)):
                rows, columns = (np.array(p) * self.stride + o for p, o in ((r, i), (q, j)))
                part = weight * x[:, rows[:, None], columns]
                want, size = want + part, size + abs(part)
            worst = np.maximum(worst, np.max(abs(y[b][:, np.array(r)[:, None], q] - want) / size))  # keeps a NaN
        return None if worst < 2e-5 else f"relative error {worst:.1e}"

    def time(self, name, call):
        """Repeats a call for 2 s (at least 5 times, but for 20 s at most) and prints the row."""
        wrong = self.check(np.asarray(call()))
        if wrong:
            return self.say(name, wrong=wrong)
        call()
        times, begin = [], time.perf_counter()
        while len(times) < 200:
            start = time.perf_counter()
            if start - begin > (2 if len(times) >= 5 else 20):
                break
            call()
            times.append((time.perf_counter() - start) * 1e3)
        median = float(np.median(times))
        moved = 4 * (self.x.size + len(self.x) * self.x.shape[1] * self.out[0] * self.out[1])
        self.say(name, algorithm=None, threads=None, median_ms=median, min_ms=min(times),
                 p90_ms=float(np.quantile(times, 0.9)), gb_per_s=moved / median / 1e6)


def ncnn(p):
    import ncnn

    if not ncnn.get_gpu_count():
        return p.say("ncnn e", missing="no Vulkan device")
    c, ((top, bottom), (left, right)) = p.x.shape[1], p.pad
    layers = ["Input in 0 1 x"]
    if p.reflect:
        layers.append(f"Padding pad 1 1 x z 0={top} 1={bottom} 2={left} 3={right} 4=2")
        top = bottom = left = right = 0
    layers.append(f"ConvolutionDepthWise conv 1 1 {'z' if p.reflect else 'x'} y 0={c} 1={p.size[1]} 11={p.size[0]} "
                  f"3={p.stride} 13={p.stride} 4={left} 14={top} 15={right} 16={bottom} 6={p.k.size * c} 7={c}")
    net = ncnn.Net()
    net.opt.use_vulkan_compute = True
    for option in dir(net.opt):  # it rounds to 16 bits unless told otherwise
        if option.startswith(("use_fp16", "use_bf16", "use_int8")):
            setattr(net.opt, option, False)
    with tempfile.TemporaryDirectory() as folder:
        param, weights = Path(folder, "net.param"), Path(folder, "net.bin")
        param.write_text("\n".join(["7767517", f"{len(layers)} {len(layers)}", *layers, ""]))
        weights.write_bytes(bytes(4) + np.tile(p.k.ravel(), c).tobytes())  # 4 bytes of zero: f32
        assert net.load_param(str(param)) == 0 and net.load_model(str(weights)) == 0
    images = [ncnn.Mat(image) for image in p.x]

    def call():  # it knows no batch
        answers = []
        for image in images:
            run = net.create_extractor()
            run.input("x", image)
            status, y = run.extract("y")
            if status:
                raise RuntimeError(f"status {status}")
            answers.append(np.array(y, copy=False))
        return answers

    p.time("ncnn e", call)


def onnxruntime(p):
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper

    name, ((top, bottom), (left, right)) = "ONNX Runtime WebGPU e", p.pad
    if "WebGpuExecutionProvider" not in ort.get_available_providers():
        return p.say(name, missing="this build has no WebGPU")
    n, c, h, w = p.x.shape
    pads = [top, left, bottom, right]
    constants = [onnx.numpy_helper.from_array(np.tile(p.k, (c, 1, 1, 1)), "k")]
    nodes = []
    if p.reflect:
        constants.append(onnx.numpy_helper.from_array(np.array([0, 0, top, left, 0, 0, bottom, right]), "pads"))
        nodes.append(helper.make_node("Pad", ["x", "pads"], ["z"], mode="reflect"))
        pads = [0] * 4
    nodes.append(helper.make_node("Conv", ["z" if nodes else "x", "k"], ["y"], group=c, pads=pads, strides=[p.stride] * 2))
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [value("x", p.x.shape)], [value("y", (n, c, *p.out))], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")  # never the CPU in secret
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["WebGpuExecutionProvider"])
    p.time(name, lambda: session.run(None, {"x": p.x})[0])


if __name__ == "__main__":
    {"ncnn": ncnn, "onnxruntime": onnxruntime}[sys.argv[1]](Problem(sys.argv[2]))
