// Pictures and tensors as files: PNG out, .npy in and out.
import fs from 'node:fs';
import zlib from 'node:zlib';

/** Rows of RGBA pixels as a PNG; without alpha it has three channels. */
export function writePng(file, { width, height, data }, alpha) {
  const channels = alpha ? 4 : 3;
  const raw = Buffer.alloc(height * (1 + width * channels));
  for (let i = 0, to = 0; i < width * height; i++) {
    // Each row begins with a byte that says how it is filtered: not at all.
    if (i % width === 0) to++;
    for (let c = 0; c < channels; c++) raw[to++] = data[i * 4 + c];
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, alpha ? 6 : 2], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunks = [chunk('IHDR', header), chunk('IDAT', zlib.deflateSync(raw)), chunk('IEND', Buffer.alloc(0))];
  fs.writeFileSync(file, Buffer.concat([signature, ...chunks]));
}

function chunk(name, data) {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const out = Buffer.alloc(named.length + 8);
  out.writeUInt32BE(data.length, 0);
  named.copy(out, 4);
  out.writeUInt32BE(crc(named), named.length + 4);
  return out;
}

function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}

/** f32 numbers as an .npy file. */
export function writeNpy(file, shape, values) {
  const list = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': ${list}, }`;
  const start = Buffer.from('\x93NUMPY\x01\x00\0\0', 'latin1');
  // Data begins at a multiple of 64.
  const text = `${header.padEnd(Math.ceil((start.length + header.length + 1) / 64) * 64 - start.length - 1)}\n`;
  start.writeUInt16LE(text.length, 8);
  fs.writeFileSync(file, Buffer.concat([start, Buffer.from(text, 'latin1'), Buffer.from(Float32Array.from(values).buffer)]));
}

/** The bytes of a u8 .npy file, and its shape. */
export function readNpy(file) {
  const all = fs.readFileSync(file);
  const end = 10 + all.readUInt16LE(8);
  const header = all.toString('latin1', 10, end);
  const [, descr] = header.match(/'descr': '(.*?)'/);
  if (descr !== '|u1') throw new Error(`${file} holds ${descr}, not bytes`);
  const shape = header.match(/'shape': \((.*?)\)/)[1].split(',').filter((n) => n.trim()).map(Number);
  return { shape, data: all.subarray(end) };
}
