// The page: what is asked for, what is shown.
import { Lane } from './lane.js';
import { place } from './line.js';

const at = (id) => document.getElementById(id);

/** Larger pictures are scaled down to so many pixels: more than some phones give a canvas. */
const MOST_PIXELS = 12e6;

// What there is: the picture, and the answers to the newest job.
const state = { picture: undefined, job: undefined, answers: {} };
const lanes = { gpu: new Lane('gpu', heard), cpu: new Lane('cpu', heard) };
/** For tests, and for the console. */
globalThis.channelwise = state;

for (const lane of Object.values(lanes)) lane.ready.then(() => shown(lane));

function shown(lane) {
  at(`${lane.kind}-name`).textContent = lane.name ?? `${lane.kind}: ${lane.missing}`;
  if (lane.kind !== 'gpu' || lane.name) return;
  at('gpu-time').textContent = 'none';
  at('gpu-more').textContent = 'see above';
  at('gpu-plan').textContent = '';
  at('gpu-plan').parentElement.open = false;
  at('cpu-plan').parentElement.open = true;
  at('notice').hidden = false;
  const why = !('gpu' in navigator)
    ? window.isSecureContext
      ? 'This browser has no WebGPU.'
      : 'Browsers give WebGPU only to pages that come by https or from this machine.'
    : `WebGPU is there but gives no GPU: ${lane.missing}.`;
  at('notice').textContent = `${why} The CPU engine computes instead, compiled to WebAssembly, on one thread.`;
}

// --- asking

function ask() {
  if (!state.picture) return;
  const option = at('preset').selectedOptions[0];
  state.job = {
    picture: state.picture,
    kernel: {
      preset: option.value,
      size: at('side').valueAsNumber,
      rows: at('rows').value,
      normalised: at('normalised').checked,
    },
    border: at('border').value,
    value: at('value').valueAsNumber,
    lifted: at('lifted').checked,
  };
  state.answers = {};
  document.body.classList.add('busy');
  for (const lane of Object.values(lanes)) lane.ask(state.job);
}

function controls() {
  const { value, dataset } = at('preset').selectedOptions[0];
  at('own').hidden = value !== 'own';
  at('size-line').hidden = !('size' in dataset);
  at('side-value').value = at('side').value;
  at('value-line').hidden = at('border').value !== 'constant';
  at('value-value').value = at('value').value;
}

at('preset').addEventListener('input', () => {
  at('lifted').checked = 'lifted' in at('preset').selectedOptions[0].dataset;
});
at('controls').addEventListener('submit', (event) => event.preventDefault());
at('controls').addEventListener('input', ({ target }) => {
  if (target === at('file')) return;
  controls();
  ask();
});

// --- hearing

/** An answer of a lane, or that it has nothing more to do. */
function heard(lane, job, answer) {
  if (answer && job === state.job) {
    state.answers[lane.kind] = answer;
    if (answer.refused !== undefined) refused(answer.refused);
    else if (answer.failed !== undefined) failed(lane, answer.failed);
    else accepted(lane, answer);
  }
  if (lanes.gpu.busy || lanes.cpu.busy) return;
  document.body.classList.remove('busy');
}

function refused(reason) {
  at('error').hidden = false;
  at('error').textContent = reason;
}

function failed(lane, reason) {
  at(`${lane.kind}-time`).textContent = 'failed';
  at(`${lane.kind}-more`).textContent = reason;
  at(`${lane.kind}-plan`).textContent = '';
}

const format = new Intl.NumberFormat('en', { maximumSignificantDigits: 3, useGrouping: false });
const ms = (time) => `${format.format(time)} ms`;

function accepted(lane, answer) {
  at('error').hidden = true;
  draw(answer.kernel);
  at(`${lane.kind}-plan`).textContent = answer.plan;
  if (lane.kind === 'cpu') {
    at('cpu-time').textContent = ms(answer.ms);
    at('cpu-more').textContent = lane.name.replace('cpu: ', '');
  } else {
    at('gpu-time').textContent = ms(answer.gpuMs ?? answer.ms);
    const clock = answer.gpuMs === undefined ? 'with transfers' : `${ms(answer.ms)} with transfers`;
    at('gpu-more').textContent = lane.software ? `${clock}; the CPU plays a GPU` : clock;
  }
  const { gpu, cpu } = state.answers;
  // The GPU's output is the one that is kept on show.
  if (lane.kind === 'gpu' || !gpu?.pixels) paint(at('output'), answer.pixels);
  at('save').disabled = false;
  at('difference').textContent = '–';
  at('difference-more').textContent = 'of GPU and CPU';
  if (gpu?.pixels && cpu?.pixels) {
    const largest = difference(gpu.pixels, cpu.pixels);
    at('difference').textContent = largest === 0 ? 'none' : `${largest} of 255`;
    at('difference-more').textContent = largest === 0 ? 'GPU and CPU agree in every byte' : 'GPU and CPU, at most';
  }
}

function difference(a, b) {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i] - b[i]));
  return largest;
}

function paint(canvas, pixels) {
  const { width, height } = state.picture;
  canvas.width = width;
  canvas.height = height;
  const data = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length);
  canvas.getContext('2d').putImageData(new ImageData(data, width, height), 0, 0);
}

/** The kernel as a picture: warm is above 0, cold below, pale is 0. */
function draw({ width, height, values }) {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const image = new ImageData(width, height);
  values.forEach((value, i) => {
    const part = value / largest;
    const to = part > 0 ? [214, 88, 32] : [37, 99, 196];
    image.data.set([...to.map((c) => 246 + (c - 246) * Math.abs(part)), 255], i * 4);
  });
  const canvas = at('kernel');
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d').putImageData(image, 0, 0);
  const sum = values.reduce((sum, value) => sum + value, 0);
  at('kernel-text').textContent = `${height} × ${width}, sum ${format.format(Math.abs(sum) < 1e-5 ? 0 : sum)}`;
}

// --- pictures

function take(width, height, data, more) {
  state.picture = { width, height, data };
  for (const [name, value] of [['--w', width], ['--h', height]]) at('stage').style.setProperty(name, value);
  at('size').textContent = `${width} × ${height}`;
  at('size-more').textContent = more;
  paint(at('input'), data);
  paint(at('output'), data);
  place();
  ask();
}

async function load(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    refused(`${file.name || 'this'} is no picture that this browser can read`);
    return;
  }
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
  const [width, height] = [bitmap.width, bitmap.height].map((n) => Math.max(1, Math.floor(n * scale)));
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const more = scale < 1 ? `made smaller, from ${bitmap.width} × ${bitmap.height}` : file.name || 'pasted';
  bitmap.close();
  take(width, height, data, more);
}

at('file').addEventListener('input', ({ target }) => target.files[0] && load(target.files[0]));
addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('dropping');
});
addEventListener('dragleave', ({ relatedTarget }) => relatedTarget ?? document.body.classList.remove('dropping'));
addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('dropping');
  const file = event.dataTransfer.files[0];
  if (file) load(file);
});
addEventListener('paste', ({ clipboardData }) => {
  const file = [...clipboardData.files].find(({ type }) => type.startsWith('image/'));
  if (file) load(file);
});

at('save').addEventListener('click', () => {
  at('output').toBlob((blob) => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = `${at('preset').value}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
});

// --- the first picture

controls();
const first = { width: 960, height: 640 };
lanes.cpu.ready.then(async () => {
  const { pixels, failed: why } = lanes.cpu.missing ? { failed: lanes.cpu.missing } : await lanes.cpu.send({ sample: first });
  if (why) refused(`WebAssembly could not be started: ${why}`);
  else if (!state.picture) take(first.width, first.height, new Uint8ClampedArray(pixels.buffer), 'drawn here, to begin with');
});
