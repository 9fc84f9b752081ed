// From the plan to a list of kernel calls for given sizes of the free dims: every argument a plain number.
import { parseDim } from "./dims.js";

const ALIGN = 64;
const SLACK = 64; // readable bytes behind every buffer: kernels load whole vectors
const align = (bytes) => Math.ceil(bytes / ALIGN) * ALIGN;

/**
 * Gives each buffer an offset such that buffers alive at the same time do not overlap: from the largest down, each at
 * the lowest place that is free during its life. Large by bytes, and large by bytes times life: the better of the two.
 * @param {number[][]} buffers [bytes, first op, last op]
 * @returns {{offsets: number[], bytes: number}}
 */
export function placeBuffers(buffers) {
  const [one, other] = [([size]) => size, ([size, first, last]) => size * (last - first + 1)].map((weight) => {
    const weights = buffers.map(weight);
    return placeInOrder(buffers, [...weights.keys()].sort((a, b) => weights[b] - weights[a] || a - b));
  });
  return other.bytes < one.bytes ? other : one;
}

function placeInOrder(buffers, order) {
  const offsets = buffers.map(() => 0);
  const placed = [];
  let bytes = 0;
  for (const i of order) {
    const [size, first, last] = buffers[i];
    let at = 0;
    for (const j of placed) {
      const [other, from, to] = buffers[j];
      if (from > last || to < first) continue;
      if (offsets[j] >= at + align(size + SLACK)) break;
      at = Math.max(at, offsets[j] + align(other + SLACK));
    }
    offsets[i] = at;
    bytes = Math.max(bytes, at + align(size + SLACK));
    placed.push(i);
    placed.sort((a, b) => offsets[a] - offsets[b]);
  }
  return { offsets, bytes };
}

/**
 * @param plan     plan.json
 * @param kernels  the exports of the WebAssembly module
 * @param sizes    free name → size
 * @param weights  address of the weights in memory; what the calls need stands behind it
 */
export function makeSchedule(plan, kernels, sizes, weights) {
  const size = (dim) => parseDim(dim)(sizes);
  const tables = [];
  const tablesAt = align(weights + plan.weights.bytes + SLACK);
  const { offsets, bytes } = placeBuffers(plan.buffers.map(([dim, first, last]) => [size(dim), first, last]));
  const calls = plan.ops.map(([name, ...args]) => ({ name, kernel: kernels[name], args }));
  const tableWords = calls.flatMap(({ args }) => args.filter(Array.isArray)).flat().length;
  const arena = align(tablesAt + 4 * tableWords);
  const number = (arg) => {
    if (typeof arg === "number") return arg;
    if (Array.isArray(arg)) {
      const at = tablesAt + 4 * tables.length;
      tables.push(...arg.map(number));
      return at;
    }
    if (arg[0] === "@") return arena + offsets[arg.slice(1)];
    if (arg[0] === "#") return weights + +arg.slice(1);
    if (arg[0] === "~") return { inf: Infinity, "-inf": -Infinity, nan: NaN }[arg.slice(1)];
    return size(arg);
  };
  for (const call of calls) call.args = call.args.map(number);
  const place = (spec) => ({ ...spec, shape: spec.shape.map(size), at: number(spec.at) });
  return {
    size,
    calls,
    tables: Int32Array.from(tables),
    tablesAt,
    bytes: arena + bytes,
    inputs: plan.inputs.map(place),
    outputs: plan.outputs.map(place),
  };
}
