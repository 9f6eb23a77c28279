// One engine, away from the page's thread: the page never waits for it. The page sends the kind of the
// engine once, and then jobs: { id, picture?, kernel, border, value, lifted }, with the picture where
// it is another than before. What comes back has the job's id.
import init, { Filter, Lane, Picture, Weights, sample } from './channelwise_web.js';

/** Milliseconds of a run that may be done twice. */
const QUICK = 250;

let lane;
let picture;

const reason = (error) => error?.message ?? String(error);

async function start(kind) {
  await init();
  if (kind === 'cpu') {
    lane = Lane.cpu();
    return { name: lane.name() };
  }
  lane = await Lane.gpu();
  // wgpu tells no more than the name, which few browsers give.
  const { vendor, architecture } = (await navigator.gpu.requestAdapter())?.info ?? {};
  const known = [vendor, architecture].filter(Boolean).join(' ');
  return { name: known ? `${lane.name()}, ${known}` : lane.name(), software: lane.software };
}

function weights({ preset, size, rows, normalised }) {
  if (preset !== 'own') return Weights.preset(preset, size);
  const typed = Weights.parse(rows);
  return normalised ? typed.normalised() : typed;
}

async function run(job) {
  if (job.picture) {
    picture?.free();
    picture = undefined;
    picture = new Picture(job.picture.data, job.picture.width, job.picture.height);
  }
  let kernel, filter, ready;
  try {
    kernel = weights(job.kernel);
    filter = new Filter(kernel, job.border, job.value, job.lifted);
  } catch (error) {
    return { refused: reason(error) };
  }
  const { height, width, values } = kernel;
  try {
    ready = await lane.prepare(filter, picture);
    let start = performance.now();
    await ready.run(picture);
    let ms = performance.now() - start;
    // A first run pays for what drivers and browsers put off; where it costs little the second is told.
    if (ms < QUICK) {
      start = performance.now();
      await ready.run(picture);
      ms = performance.now() - start;
    }
    return {
      kernel: { height, width, values },
      pixels: ready.pixels(picture),
      plan: ready.explain(),
      ms,
      gpuMs: ready.gpu_ms,
    };
  } finally {
    ready?.free();
    filter.free();
    kernel.free();
  }
}

self.onmessage = async ({ data }) => {
  const { id } = data;
  try {
    let answer;
    if (data.start) answer = await start(data.start);
    else if (data.sample) answer = { pixels: sample(data.sample.width, data.sample.height) };
    else answer = await run(data);
    self.postMessage({ id, ...answer }, answer.pixels ? [answer.pixels.buffer] : []);
  } catch (error) {
    // After this the module may be broken (memory ran out, the device is gone): the page starts anew.
    self.postMessage({ id, failed: reason(error) });
  }
};
