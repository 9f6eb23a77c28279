// drive.mjs PORT CHANNELWISE CHROMIUM EXAMPLES: opens the page on that port of this machine with WebGPU,
// without a GPU for it, and without WebGPU, and holds every output to what the program CHANNELWISE gives on
// the CPU for the same picture, byte by byte.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { withPage } from './chrome.mjs';
import { readNpy, writeNpy, writePng } from './files.mjs';

const [port, program, browser, examples] = process.argv.slice(2);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'channelwise-pictures-'));
const file = (name) => path.join(folder, name);

const url = `http://localhost:${port}`;
const ELSEWHERE = 'elsewhere.test';

/** Levels that an output byte may be off: the one rounding that the engines' bound allows. */
const BOUND = 1;

// A row: what is set on the page, and what is asked of the program.
const at = (height, width) => ['--anchor', `${height >> 1},${width >> 1}`];
const lift = ['--bias', file('lift.npy')];
const rows = '1 0 -2 1/3\n4.5, 5; -1e-1 0\n';
const own = [1, 0, -2, 1 / 3, 4.5, 5, -0.1, 0];
const CASES = [
  [{ preset: 'gaussian', side: 9, border: 'reflect101' }, ['--kernel', 'gaussian:9', '--border', 'reflect101']],
  [{ preset: 'gaussian', side: 31, border: 'wrap' }, ['--kernel', 'gaussian:31', '--border', 'wrap']],
  [{ preset: 'disk', side: 31, border: 'reflect' }, ['--kernel', 'disk:15.5', '--border', 'reflect']],
  [{ preset: 'motion', side: 7, border: 'replicate' }, ['--kernel', 'motion:7,30', '--border', 'replicate']],
  [{ preset: 'sobel-x', border: 'wrap', lifted: true }, ['--kernel', 'sobel-x', '--border', 'wrap', ...lift]],
  [{ preset: 'laplacian8', border: 'constant', value: 200 }, ['--kernel', 'laplacian8', '--border', 'constant:200']],
  [
    { preset: 'own', rows, normalised: true, border: 'replicate' },
    ['--kernel-file', file('own.npy'), '--normalize', '--border', 'replicate', ...at(2, 4)],
  ],
  [
    { preset: 'own', rows, normalised: false, lifted: true, border: 'reflect' },
    ['--kernel-file', file('own.npy'), '--border', 'reflect', ...at(2, 4), ...lift],
  ],
];

writeNpy(file('own.npy'), [2, 4], own);
writeNpy(file('lift.npy'), [1], [128]);
// Alpha of every kind. A canvas keeps colours exact only where alpha is 0 (black), 255, or colours are 0 or 255.
writePng(file('alpha.png'), clear(37, 23), true);
fs.writeFileSync(file('no picture.png'), 'no picture');

function clear(width, height) {
  const data = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const alpha = [255, 0, 90, 255][(i * 7 + (i >> 3)) % 4];
    const colour = (c) => (alpha === 255 ? (i * 53 + c * 91) % 256 : alpha && ((i >> c) & 1) * 255);
    data.set([colour(0), colour(1), colour(2), alpha], i * 4);
  }
  return { width, height, data };
}

/** What the program gives: [height, width, channels]. It is asked once, and the same of all engines. */
function native(picture, args) {
  // The first picture may differ between browsers by their canvas.
  const key = JSON.stringify([createHash('sha256').update(fs.readFileSync(picture)).digest('hex'), args]);
  if (!known.has(key)) {
    const all = ['run', picture, '-o', file('out.npy'), '--engine', 'cpu', '--alpha', 'filter', ...args];
    execFileSync(program, all, { stdio: ['ignore', 'ignore', 'inherit'] });
    known.set(key, readNpy(file('out.npy')));
  }
  return known.get(key);
}
const known = new Map();

/** Sets controls as a user does, but all at once: the page hears of the last one. */
const set = (page, values) =>
  page.evaluate(`{
    let control;
    for (const [id, value] of Object.entries(${JSON.stringify(values)})) {
      control = document.getElementById(id);
      if (control.type === 'checkbox') control.checked = value;
      else control.value = value;
    }
    control.dispatchEvent(new Event('input', { bubbles: true }));
  }`);

/** Waits until nothing is computed any more. */
function settled(page, engines) {
  const all = engines.map((kind) => `channelwise.answers.${kind}`);
  return page.until(`!document.body.classList.contains('busy') && channelwise.job && [${all}].every(Boolean)`);
}

/** Then: the bytes of the picture, of the canvas and of each engine's output. */
async function outcome(page, engines) {
  await settled(page, engines);
  const bytes = (value) => `text(${value})`;
  const { width, height, data, shown, answers } = await page.evaluate(`(() => {
    const text = (bytes) => {
      let all = '';
      for (let i = 0; i < bytes.length; i += 8192) all += String.fromCharCode(...bytes.subarray(i, i + 8192));
      return btoa(all);
    };
    const { picture: { width, height, data }, answers } = channelwise;
    const shown = output.getContext('2d').getImageData(0, 0, width, height).data;
    const told = ({ pixels, plan, refused, failed, gpuMs }) => ({ plan, refused, failed, gpuMs, pixels: pixels && ${bytes('pixels')} });
    return { width, height, data: ${bytes('data')}, shown: ${bytes('shown')},
      answers: Object.fromEntries(Object.entries(answers).map(([kind, answer]) => [kind, told(answer)])) };
  })()`);
  const of = (text) => text && Buffer.from(text, 'base64');
  for (const answer of Object.values(answers)) answer.pixels = of(answer.pixels);
  return { width, height, data: of(data), shown: of(shown), answers };
}

/** Holds a result to the program's. `picture` is the file that the page was given. */
async function check(page, engines, picture, what, args) {
  const { width, height, data, shown, answers } = await outcome(page, engines);
  const expected = native(picture, args);
  const channels = expected.shape.at(-1);
  assert.deepEqual(expected.shape.slice(-3, -1), [height, width], what);
  let opaque = true;
  for (let i = 3; i < data.length; i += 4) opaque &&= data[i] === 255;
  for (const kind of engines) {
    const { pixels, refused, failed, plan } = answers[kind];
    assert.equal(refused ?? failed, undefined, `${what}, ${kind}`);
    assert.match(plan, /direct|flat|separable|fft/, `${what}, ${kind}`);
    assert.equal(pixels.length, data.length);
    let largest = 0;
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) {
        largest = Math.max(largest, Math.abs(pixels[i * 4 + c] - expected.data[i * channels + c]));
      }
      if (pixels[i * 4 + 3] !== data[i * 4 + 3]) assert.fail(`${what}, ${kind}: alpha of pixel ${i} changed`);
    }
    assert(largest <= BOUND, `${what}, ${kind}: a byte is ${largest} levels off`);
    console.log(`  ${what}, ${kind}: ${largest} off at most`);
  }
  // The canvas shows the GPU's where there is one. Canvases round colours beside alpha.
  if (opaque) assert(shown.equals(answers[engines[0]].pixels), `${what}: the canvas shows something else`);
  assert(!shown.equals(data), `${what}: the output is the input`);
}

/** Everything that must hold on a page, whichever engines it has; the first is the one on show. */
async function all(page, url, engines) {
  await page.goto(url);
  // The picture it begins with is drawn by the page, so that the program gets it from there.
  const start = await outcome(page, engines);
  writePng(file('start.png'), start, false);
  await check(page, engines, file('start.png'), 'start', CASES[0][1]);

  const picture = path.resolve(examples, 'same_filter.png');
  await page.choose('#file', picture);
  await page.until(`document.getElementById('size-more').textContent === 'same_filter.png'`);
  for (const [values, args] of CASES) {
    await set(page, { lifted: false, ...values });
    await check(page, engines, picture, `same_filter.png, ${args.slice(0, 4).map((arg) => path.basename(arg)).join(' ')}`, args);
  }

  await set(page, { lifted: false, ...CASES[0][0] });
  await page.drop(file('alpha.png'));
  await page.until(`document.getElementById('size-more').textContent === 'alpha.png'`);
  const { data } = await outcome(page, engines);
  assert(data.equals(Buffer.from(clear(37, 23).data)), 'the page sees other pixels than those of the file');
  await check(page, engines, file('alpha.png'), 'alpha.png', CASES[0][1]);
  // Smaller than the kernel.
  await set(page, { preset: 'gaussian', side: 63, border: 'reflect' });
  await check(page, engines, file('alpha.png'), 'alpha.png, 63x63', ['--kernel', 'gaussian:63', '--border', 'reflect']);

  await refusals(page);
  await failures(page, engines);
  // Of many wishes in a row the last one counts.
  for (const side of [3, 5, 7, 9, 11, 13]) await set(page, { preset: 'box', side, border: 'wrap' });
  await check(page, engines, file('alpha.png'), 'the last of six', ['--kernel', 'box:13', '--border', 'wrap']);
  assert.equal(await page.evaluate(`document.getElementById('error').hidden`), true);

  await page.resize(360, 640);
  const [inside, wide] = await page.evaluate('[innerWidth, document.documentElement.scrollWidth]');
  assert(wide <= 360 && inside <= 360, `${wide} pixels wide on a phone of 360`);
  await page.resize(1280, 900);
  await wipe(page);

  assert(page.requests.some((address) => address.endsWith('.wasm')), 'requests of workers were not seen');
  for (const address of page.requests) {
    assert(address.startsWith(`${url}/`) || address.startsWith('data:') || address.startsWith('blob:'), `asked for ${address}`);
  }
  assert.deepEqual(page.errors, []);
}

/** What cannot be done is said, and the page goes on. */
async function refusals(page) {
  const said = async (pattern) => {
    const error = 'document.getElementById("error")';
    await page.until(`!${error}.hidden && ${pattern}.test(${error}.textContent)`);
  };
  await set(page, { preset: 'own', rows: '1 2 3\n4 5\n', normalised: false });
  await said(/line 2 has 2 numbers/);
  await set(page, { rows: '1 2 x' });
  await said(/`x` is no number/);
  await set(page, { rows: '1 -1', normalised: true });
  await said(/sum/);
  await set(page, { rows: '' });
  await said(/at least one number/);
  await page.choose('#file', file('no picture.png'));
  await said(/no picture that this browser can read/);
}

/** An engine that fails says why, and works again. */
async function failures(page, engines) {
  await page.evaluate(`channelwise.picture = { ...channelwise.picture, data: channelwise.picture.data.slice(4) }`);
  await set(page, { preset: 'sharpen' });
  const { answers } = await outcome(page, engines);
  for (const kind of engines) {
    assert.match(answers[kind].failed, /a picture of 37 x 23 has not 3400 bytes/);
    assert.equal(await page.evaluate(`document.getElementById('${kind}-time').textContent`), 'failed');
  }
  await page.drop(file('alpha.png'));
  await page.until(`channelwise.picture.data.length === ${37 * 23 * 4}`);
  await check(page, engines, file('alpha.png'), 'after a failure', ['--kernel', 'sharpen', '--border', 'reflect']);
}

/** The line between input and output follows the pointer. */
async function wipe(page) {
  const box = await page.evaluate(`(() => { const { left, top, width, height } = stage.getBoundingClientRect(); return { left, top, width, height }; })()`);
  const mouse = (type, part) =>
    page.send('Input.dispatchMouseEvent', { type, x: box.left + part * box.width, y: box.top + box.height / 2, button: 'left', buttons: 1, clickCount: 1 });
  await mouse('mousePressed', 0.5);
  await mouse('mouseMoved', 0.25);
  await mouse('mouseReleased', 0.25);
  const [value, cut, width] = await page.evaluate(`[wipe.valueAsNumber, parseFloat(getComputedStyle(pictures).getPropertyValue('--cut')), pictures.clientWidth]`);
  assert(Math.abs(value - 0.25) < 0.01 && Math.abs(cut / width - 0.25) < 0.01, `the line is at ${value}, cut at ${cut} of ${width}`);
}

/** While an engine works the page's own thread goes on. */
async function goesOn(page, engines) {
  await page.goto(url);
  await settled(page, engines);
  await page.evaluate(`{
    globalThis.longest = 0;
    let before = performance.now();
    setInterval(() => {
      const now = performance.now();
      longest = Math.max(longest, now - before);
      before = now;
    }, 4);
  }`);
  // Noise, so that nothing about the work is easy.
  await set(page, { preset: 'own', normalised: true, rows: Array.from({ length: 25 }, (_, i) => Array.from({ length: 25 }, (_, j) => ((i * 31 + j * 17) ** 2 % 23) + 1).join(' ')).join('\n') });
  const start = Date.now();
  await settled(page, engines);
  const [took, longest] = [Date.now() - start, await page.evaluate('longest')];
  console.log(`  ${took} ms of work, in which the page's thread stood still for ${Math.round(longest)} ms at most`);
  // The cores are shared with the engines, so that some of it is waiting for one.
  assert(longest < Math.max(took / 3, 300), 'the page waited for an engine');
}

const notice = (page) => page.evaluate(`document.getElementById('notice').hidden ? '' : document.getElementById('notice').textContent`);

async function withGpu(page) {
  await all(page, url, ['gpu', 'cpu']);
  assert.equal(await notice(page), '');
  console.log(`  ${await page.evaluate(`document.getElementById('gpu-name').textContent`)}`);
  console.log(`  ${await page.evaluate(`document.getElementById('gpu-time').parentElement.innerText.replaceAll('\\n', ' ')`)}`);
  await goesOn(page, ['gpu', 'cpu']);
}

async function withoutGpu(page) {
  await page.goto(url);
  await says(page, /gives no GPU/);
}

async function says(page, pattern) {
  await page.until(`!document.getElementById('notice').hidden`);
  assert.match(await notice(page), pattern);
  assert.match(await notice(page), /CPU engine computes instead/);
}

async function onCpu(page) {
  // As a page that comes without encryption from another machine: such have no WebGPU.
  await all(page, `http://${ELSEWHERE}:${port}`, ['cpu']);
  assert.equal(await page.evaluate(`'gpu' in navigator`), false);
  await says(page, /only to pages that come by https/);
  const name = await page.evaluate(`document.getElementById('cpu-name').textContent`);
  assert.match(name, /1 thread, simd/, 'not the build that was meant');
  console.log(`  ${name}`);
}

async function screenshots(page, to) {
  await page.goto(url);
  await outcome(page, ['gpu', 'cpu']);
  await page.screenshot(path.join(to, 'desktop.png'), 1280);
  await page.screenshot(path.join(to, 'phone.png'), 390);
}

const SOFTWARE = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
try {
  if (process.env.SCREENSHOTS) await withPage(browser, SOFTWARE, (page) => screenshots(page, process.env.SCREENSHOTS));
  console.log('with WebGPU');
  await withPage(browser, SOFTWARE, withGpu);
  console.log('with WebGPU, but without a GPU');
  await withPage(browser, ['--disable-gpu', '--disable-software-rasterizer'], withoutGpu);
  console.log('without WebGPU');
  await withPage(browser, [`--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`], onCpu);
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
