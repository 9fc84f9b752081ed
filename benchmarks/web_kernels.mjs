// The browser's int8 kernels beside its float32 ones, shape by shape, in Node:
//
//     node --experimental-wasm-relaxed-simd benchmarks/web_kernels.mjs [kernels.wasm | kernels.relaxed.wasm]
//
// prints microseconds (the least of all rounds) and the ratio. Answers are not checked here: the tests do that.
import fs from "node:fs";

const ROUNDS_MS = Number(process.env.ROUNDS_MS ?? 200);
const ROUND_MS = 0.3; // shorter than a time slice, so that some rounds are not interrupted
const file = new URL(`../targets/web/compiled/${process.argv[2] ?? "kernels.relaxed.wasm"}`, import.meta.url);
const { instance } = await WebAssembly.instantiate(fs.readFileSync(file));
const kernels = instance.exports;
kernels.memory.grow(1600);
const start = Math.ceil(kernels.__heap_base.value / 64) * 64;
let end = start;

const up = (count, multiple) => Math.ceil(count / multiple) * multiple;

/** An address of so many bytes, filled with codes or with small floats. */
function place(bytes, floats = false) {
  const at = end;
  end = up(end + bytes + 128, 64);
  const random = () => Math.random() * 2 - 1;
  if (floats) new Float32Array(kernels.memory.buffer, at, bytes / 4).forEach((_, i, a) => (a[i] = random()));
  else new Int8Array(kernels.memory.buffer, at, bytes).forEach((_, i, a) => (a[i] = 127 * random()));
  return at;
}

function table(entries) {
  const at = place(4 * entries.length);
  new Int32Array(kernels.memory.buffer, at, entries.length).set(entries);
  return at;
}

/** Bias and factor of quantized columns. */
function columns(count) {
  const bias = place(4 * up(count, 8)), factor = place(4 * up(count, 8));
  new Int32Array(kernels.memory.buffer, bias, up(count, 8)).fill(77);
  new Float32Array(kernels.memory.buffer, factor, up(count, 8)).fill(0.001);
  return [bias, factor];
}

/** Microseconds of one call: the least mean of a round. */
function least(call) {
  for (let i = 0; i < 20; i++) call();
  let count = 0, best = Infinity;
  for (const began = performance.now(); performance.now() - began < ROUND_MS; count++) call();
  const until = performance.now() + ROUNDS_MS;
  do {
    const began = performance.now();
    for (let i = 0; i < count; i++) call();
    best = Math.min(best, (performance.now() - began) / count);
  } while (performance.now() < until);
  return best * 1000;
}

function report(name, products, float, int8) {
  const [f, q] = [float, int8].map((prepare) => {
    end = start;
    return least(prepare());
  });
  const cells = [name.padEnd(30), f.toFixed(0).padStart(7), q.toFixed(0).padStart(7), (q / f).toFixed(2).padStart(6)];
  console.log(...cells, (products / q / 1000).toFixed(1).padStart(8));
}

function gemm(m, depth, n) {
  const float = () => {
    const args = [place(4 * m * n), ...[m * depth, up(n, 8) * depth, up(n, 8)].map((count) => place(4 * count, true))];
    return () => kernels.gemm(...args, m, n, depth, -Infinity, Infinity);
  };
  const int8 = () => {
    const row = up(depth, 2), cells = Math.min(up(m, 4) * row, Math.max(12288, 4 * row));
    const args = [m * n, m * depth, up(n, 8) * row].map((count) => place(count));
    args.push(...columns(n), place(2 * cells + 128), table([m, n, depth, cells, 5, 3]));
    return () => kernels.q_gemm(...args, -131, 124);
  };
  report(`matrix ${m} x ${depth} x ${n}`, m * n * depth, float, int8);
}

function conv(size, channels, filters, kernel, stride, depthwise = false) {
  const pad = kernel >> 1, out = Math.floor((size + 2 * pad - kernel) / stride) + 1, taps = kernel * kernel;
  const geometry = [1, size, size, channels, out, out, filters, kernel, kernel, stride, stride, 1, 1, pad, pad];
  const float = () => {
    const weights = depthwise ? taps * up(channels, 4) : up(filters, 8) * taps * channels;
    const args = [place(4 * out * out * filters)];
    args.push(...[size * size * channels, weights, up(filters, 8)].map((count) => place(4 * count, true)));
    if (!depthwise) {
      args.push(table([...geometry, 1]), place(4096));
      return () => kernels.conv2d(...args, -Infinity, Infinity);
    }
    args.push(table([...geometry.slice(0, 6), ...geometry.slice(7), up(channels, 4)]));
    return () => kernels.depthwise2d(...args, -Infinity, Infinity);
  };
  const int8 = () => {
    const width = (out - 1) * stride + kernel, row = width * channels;
    const cells = Math.min(width * row, Math.max(49152, kernel * row));
    const weights = depthwise ? up(channels, 8) * up(taps, 2) : up(filters, 8) * kernel * up(kernel * channels, 2);
    const args = [out * out * filters, size * size * channels, weights].map((count) => place(count));
    args.push(...columns(filters), place(2 * cells + 128));
    if (depthwise) args.push(place(4 * taps + 4));
    args.push(table([...geometry, depthwise ? channels : 1, width, cells, 5, 3]));
    const name = depthwise ? "q_depthwise2d" : "q_conv2d";
    return () => kernels[name](...args, -131, 124);
  };
  const what = depthwise ? "depthwise" : `conv -> ${filters},`;
  const products = out * out * filters * taps * (depthwise ? 1 : channels);
  report(`${what} ${size}x${size}x${channels}, ${kernel}x${kernel}/${stride}`, products, float, int8);
}

/** 3x3 with stride 1 in fewer products (kernels/winograd.c); products are those of a direct sum. */
function winograd(size, channels, filters) {
  const columnsUp = up(filters, 8), block = channels <= 64 ? 16 : 32, cells = block * 16 * channels;
  const geometry = (...zeros) => table([1, size, size, channels, size, size, filters, 1, 1, block, ...zeros]);
  const float = () => {
    const counts = [size * size * filters, size * size * channels, 16 * columnsUp * channels, columnsUp];
    const args = counts.map((count) => place(4 * count, true));
    args.push(geometry(0, 0), place(4 * (cells + block * 128 + channels + 264)));
    return () => kernels.winograd(...args, -Infinity, Infinity);
  };
  const int8 = () => {
    const args = [size * size * filters, size * size * channels, 32 * columnsUp * channels].map((count) => place(count));
    args.push(...columns(filters), geometry(5, 3), place(4 * block * 128), place(2 * cells + 1024), place(channels));
    return () => kernels.q_winograd(...args, -131, 124);
  };
  report(`winograd -> ${filters}, ${size}x${size}x${channels}`, 9 * size * size * channels * filters, float, int8);
}

console.log("".padEnd(30), "float32", "   int8", " ratio", "GMAC/s of int8");
// Calls of more than a few milliseconds are interrupted on a machine that does other things, too: no larger shapes.
const MATRICES = [[3136, 64, 64], [3136, 24, 144], [3136, 144, 24], [784, 32, 192], [784, 192, 32], [196, 64, 384]];
MATRICES.push([196, 384, 64], [49, 960, 160], [64, 256, 256], [1, 784, 256], [1, 1280, 1000]);
const CONVS = [[28, 64, 64, 3, 1], [14, 128, 128, 3, 1], [224, 3, 32, 3, 2], [28, 1, 8, 5, 1]];
const DEPTHWISE = [[112, 32, 3, 1], [112, 96, 3, 2], [56, 144, 3, 1], [28, 192, 3, 1], [14, 384, 3, 1], [7, 960, 3, 1]];
for (const shape of MATRICES) gemm(...shape);
for (const shape of CONVS) conv(...shape);
for (const shape of [[32, 32, 32], [28, 64, 64], [14, 128, 128]]) winograd(...shape);
for (const [size, channels, kernel, stride] of [...DEPTHWISE, [28, 192, 5, 1]])
  conv(size, channels, channels, kernel, stride, true);
