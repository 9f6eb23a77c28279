// Times TensorFlow.js on WebGPU (Dawn) on the benchmark's cases and prints one JSON line.
//
//     node bench.mjs tfjs CASE
//
// Data stays on the GPU and every call ends when the queue has finished ("r"). A sample of the
// answer is checked against plain sums first. It has no 8-bit tensors: a u8 case is given as f32.
import { readFileSync } from 'node:fs';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
const gpu = create(process.env.WGPU_ADAPTER_NAME ? [`adapter=${process.env.WGPU_ADAPTER_NAME}`] : []);
// The back end looks for a browser when it is loaded.
Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'node' }, configurable: true });
const tf = await import('@tensorflow/tfjs-core');
await import('@tensorflow/tfjs-backend-webgpu');

const name = process.argv[3];
const spec = JSON.parse(readFileSync(new URL('../../cases.json', import.meta.url))).find((c) => c.name === name);
const bytes = spec.type === 'u8', reflect = spec.border === 'reflect101', stride = spec.stride;
const row = bytes ? 'TF.js r f32' : 'TF.js r';
const say = (fields) => console.log(JSON.stringify({ case: name, row, engine: 'gpu', ...fields }));
const leave = (fields) => { say(fields); process.exit(0); };

let state = 11;
const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) / (1 << 24);
const { height: kh, width: kw, weights, sigma } = spec.kernel;
let k = Array.from({ length: kh * kw }, random);
if (weights === 'gaussian') {
  const bell = (i, n) => Math.exp(-((i - (n - 1) / 2) ** 2) / (2 * sigma ** 2));
  k = k.map((_, i) => bell(Math.floor(i / kw), kh) * bell(i % kw, kw));
  const sum = k.reduce((a, b) => a + b);
  k = k.map((v) => v / sum);
}
k = Float32Array.from(k);
const [n, h, w, c] = spec.shape;
const x = new Float32Array(n * h * w * c).map(() => (bytes ? Math.floor(random() * 256) : random()));

// TensorFlow's SAME along one axis: output length, padding before and after.
function extent(size, taps) {
  if (spec.padding === 'valid') return [Math.floor((size - taps) / stride) + 1, 0, 0];
  const out = Math.ceil(size / stride), pad = Math.max((out - 1) * stride + taps - size, 0);
  return [out, Math.floor(pad / 2), Math.ceil(pad / 2)];
}
const [oh, top, bottom] = extent(h, kh), [ow, left, right] = extent(w, kw);

// What is wrong with an answer, or nothing: the error relative to the sum of |weight * value|.
function check(shape, y) {
  if (String(shape) !== String([n, oh, ow, c])) return `shape ${shape}`;
  const source = (i, size) => {
    if (i >= 0 && i < size) return i;
    return reflect ? (i < 0 ? -i : 2 * (size - 1) - i) : -1;
  };
  // The first, middle and last few positions: every border and the interior.
  const sample = (size) => [0, size >> 1, size - 6].flatMap((m) => [0, 1, 2, 3, 4, 5].map((i) => m + i)).filter((i) => i >= 0 && i < size);
  let worst = 0;
  for (const b of [0, n - 1]) for (const r of sample(oh)) for (const q of sample(ow)) for (let ch = 0; ch < c; ch++) {
    let want = 0, size = 0;
    for (let t = 0; t < k.length; t++) {
      const i = source(r * stride + Math.floor(t / kw) - top, h), j = source(q * stride + (t % kw) - left, w);
      if (i < 0 || j < 0) continue;
      const part = k[t] * x[((b * h + i) * w + j) * c + ch];
      want += part;
      size += Math.abs(part);
    }
    const error = Math.abs(y[((b * oh + r) * ow + q) * c + ch] - want) / size;
    worst = Number.isNaN(error) ? Infinity : Math.max(worst, error);
  }
  return worst <= 2e-5 ? undefined : `relative error ${worst.toExponential(1)}`;
}

if (!(await gpu.requestAdapter())) leave({ missing: 'no WebGPU adapter' });
await tf.setBackend('webgpu');
await tf.ready();
const device = tf.backend().device;
let complaint;
device.addEventListener?.('uncapturederror', (event) => { complaint ??= event.error.message.replaceAll('\n', ' '); });

const input = tf.tensor4d(x, spec.shape);
// Copied for every channel beforehand, which is to its advantage.
const kernel = tf.tensor4d(Float32Array.from({ length: k.length * c }, (_, i) => k[Math.floor(i / c)]), [kh, kw, c, 1]);
const call = () => tf.tidy(() => {
  if (!reflect) return tf.depthwiseConv2d(input, kernel, stride, spec.padding);
  const padded = tf.mirrorPad(input, [[0, 0], [top, bottom], [left, right], [0, 0]], 'reflect');
  return tf.depthwiseConv2d(padded, kernel, stride, 'valid');
});
async function timed() {
  const start = performance.now();
  const y = call();
  tf.backend().endComputePassEncoder();
  tf.backend().submitQueue();
  await device.queue.onSubmittedWorkDone();
  const took = performance.now() - start;
  y.dispose();
  return took;
}

const y = call();
const wrong = check(y.shape, await y.data());
if (complaint) leave({ missing: complaint });
if (wrong) leave({ wrong });
y.dispose();
await timed();
// For 2 s, at least 5 times, but for 20 s at most.
const times = [], begin = performance.now();
while (times.length < 200 && performance.now() - begin < (times.length >= 5 ? 2000 : 20000)) times.push(await timed());
if (complaint) leave({ missing: complaint }); // it calculated nothing
times.sort((a, b) => a - b);
const at = (part) => times[Math.round((times.length - 1) * part)];
const moved = 4 * (x.length + n * oh * ow * c);
leave({ algorithm: null, threads: null, median_ms: at(0.5), min_ms: times[0], p90_ms: at(0.9), gb_per_s: moved / at(0.5) / 1e6 });
