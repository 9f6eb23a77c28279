// The page of `examples/web` in a browser: with software WebGPU, and without WebGPU, where the CPU engine
// computes as wasm. Pixels are held to those of the native engine, the difference may be one level.
//
//   node page.mjs CHROMIUM URL FOLDER     FOLDER: what tests/browser/main.rs made; pictures go there too
import fs from 'node:fs';
import path from 'node:path';
import { withPage } from './chrome.mjs';

const [program, url, folder] = process.argv.slice(2);
const { width, height, cases } = JSON.parse(fs.readFileSync(path.join(folder, 'cases.json')));
const picture = path.join(folder, 'picture.png');

const fail = (reason) => {
  throw new Error(reason);
};

/** Sets the page's controls as a user would, the last change asking for the result. */
const settings = ({ preset, side, border, value, lifted, rows }) => `{
  const set = (id, value) => (document.getElementById(id).value = value);
  set('preset', '${preset}');
  document.getElementById('preset').dispatchEvent(new Event('input', { bubbles: true }));
  set('side', ${side});
  set('value', ${value});
  set('rows', ${JSON.stringify(rows)});
  document.getElementById('lifted').checked = ${lifted};
  set('border', '${border}');
  document.getElementById('border').dispatchEvent(new Event('input', { bubbles: true }));
}`;

/** Bytes of an engine's answer. */
async function pixels(page, engine) {
  const text = await page.evaluate(`{
    const { pixels } = channelwise.answers.${engine};
    let text = '';
    for (let i = 0; i < pixels.length; i += 8192) text += String.fromCharCode(...pixels.subarray(i, i + 8192));
    btoa(text);
  }`);
  return Buffer.from(text, 'base64');
}

async function drive(page, engines, name) {
  await page.goto(url);
  // The picture that is there at first.
  await page.until(engines.map((engine) => `channelwise.answers.${engine}?.pixels`).join(' && '));
  for (const [file, size] of [[`${name}-wide.png`, 1280], [`${name}-phone.png`, 390]]) {
    await page.screenshot(path.join(folder, file), size);
  }
  await page.choose('#file', picture);
  await page.until(`channelwise.picture.width === ${width} && channelwise.picture.height === ${height}`);
  for (const one of cases) {
    await page.evaluate(settings(one));
    for (const engine of engines) {
      const answer = `channelwise.answers.${engine}`;
      await page.until(`${answer} !== undefined`);
      const wrong = await page.evaluate(`${answer}.failed ?? ${answer}.refused`);
      if (wrong !== undefined) fail(`${name}, ${one.preset} on the ${engine}: ${wrong}`);
      const got = await pixels(page, engine);
      const want = fs.readFileSync(path.join(folder, one.expected));
      if (got.length !== want.length) fail(`${name}, ${one.preset}: ${got.length} bytes for ${want.length}`);
      const largest = got.reduce((most, byte, i) => Math.max(most, Math.abs(byte - want[i])), 0);
      if (largest > 1) fail(`${name}, ${one.preset} on the ${engine}: ${largest} levels from the native engine`);
      const plan = await page.evaluate(`document.getElementById('${engine}-plan').textContent`);
      if (!plan.includes('direct')) fail(`${name}: the plan on the page says nothing: ${plan}`);
      const time = await page.evaluate(`document.getElementById('${engine}-time').textContent`);
      if (!/^[0-9.]+ ms$/.test(time)) fail(`${name}: the time on the page is ${time}`);
      console.log(`${name}: ${one.preset} on the ${engine}, ${largest} levels at most, ${time}`);
    }
  }
  // What is shown is what was computed: the GPU's where there is one.
  const shown = await page.evaluate(`{
    const { data } = document.getElementById('output').getContext('2d').getImageData(0, 0, ${width}, ${height});
    const { pixels } = channelwise.answers.${engines[0]};
    data.length === pixels.length && data.every((byte, i) => byte === pixels[i]);
  }`);
  if (!shown) fail(`${name}: the canvas shows something else`);
  // A kernel that is none is refused, and the page goes on.
  await page.evaluate(settings({ ...cases[0], preset: 'own', rows: '1 2\n3' }));
  await page.until(`!document.getElementById('error').hidden`);
  const said = await page.evaluate(`document.getElementById('error').textContent`);
  if (!said.includes('line 2')) fail(`${name}: a kernel of two and one numbers gave: ${said}`);
  const elsewhere = page.requests.filter((asked) => !asked.startsWith(url) && !/^(blob|data):/.test(asked));
  if (elsewhere.length) fail(`${name}: the page asked for ${elsewhere.join(', ')}`);
  if (page.errors.length) fail(`${name}: ${page.errors.join('\n')}`);
}

await withPage(program, ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-webgpu-adapter=swiftshader'], async (page) => {
  await drive(page, ['gpu', 'cpu'], 'with WebGPU');
  if (!(await page.evaluate(`document.getElementById('notice').hidden`))) fail('a notice although there is a GPU');
});
await withPage(program, ['--disable-features=WebGPU', '--disable-blink-features=WebGPU'], async (page) => {
  await drive(page, ['cpu'], 'without WebGPU');
  const notice = await page.evaluate(`document.getElementById('notice').textContent`);
  if (!notice.includes('WebGPU') || !notice.includes('CPU engine')) fail(`no word of the missing WebGPU: ${notice}`);
});
console.log('the page is right');
