// tint.mjs FOLDER: makes a pipeline of every NAME.wgsl + NAME.json with Dawn, whose compiler Tint is
// Chromium's, on a device that runs nothing and has WebGPU's default limits (256 invocations, 16 KiB
// of workgroup memory). A plan with "limits": "device" may exceed them; its "enable": ["subgroups"]
// puts that directive first, which Tint wants and naga refuses.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const dawn = path.join(process.env.LAB, 'npm/node_modules/webgpu/index.js');
const { create, globals } = await import(pathToFileURL(dawn));
Object.assign(globalThis, globals);

globalThis.gpu = create(['backend=null']); // Dawn breaks down if this is collected
const adapter = await gpu.requestAdapter();
const features = ['shader-f16', 'subgroups'].filter((f) => adapter.features.has(f));
const device = await adapter.requestDevice({ requiredFeatures: features });

async function check(file) {
  const plan = JSON.parse(fs.readFileSync(file, 'utf8'));
  const enable = (plan.enable ?? []).map((x) => `enable ${x};\n`).join('');
  const code = enable + fs.readFileSync(file.replace(/\.json$/, '.wgsl'), 'utf8');
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  const compute = { module, entryPoint: plan.entry, constants: plan.constants };
  // Not the asynchronous form: with it Dawn compiles on threads, which now and then break down.
  device.createComputePipeline({ layout: 'auto', compute });
  const message = (await device.popErrorScope())?.message;
  // This device grants no more than the defaults, so what exceeds them ends here.
  if (plan.limits === 'device' && message?.includes('the maximum allowed')) return;
  return message;
}

const folder = process.argv[2];
const files = fs.readdirSync(folder).filter((f) => f.endsWith('.json')).sort();
let failed = 0;
for (const file of files) {
  const message = await check(path.join(folder, file));
  if (message) {
    console.log(`Tint: ${path.basename(file, '.json')}: ${message}`);
    failed++;
  }
}
device.destroy();
console.log(`Tint: ${files.length} shaders, ${failed} failed`);
process.exit(failed > 0 || files.length === 0 ? 1 : 0);
