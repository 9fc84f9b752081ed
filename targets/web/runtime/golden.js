// Golden samples: inputs stored in golden.bin or made by a rule, and the outputs the original model gave for them.
import { elements } from "./dims.js";
import { ARRAYS } from "./tensors.js";

/** `lowbias32` (Wellons 2018): a bijection of 32-bit integers. */
function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The input that a recipe makes: element i depends on the seed and i alone (exporter/graph/golden.py is the twin). */
function generated({ dtype, shape, seed, low, high }) {
  const start = mix(seed);
  return ARRAYS[dtype].from({ length: elements(shape) }, (_, i) => {
    const hash = mix(i ^ start);
    return dtype === "float32" ? low + (hash >>> 8) * 2 ** -24 * (high - low) : (hash % (high - low + 1)) + low;
  });
}

/** A sample's array as `{data, shape}`; `bytes` is golden.bin. */
export function goldenTensor(spec, bytes) {
  const { dtype, shape, at } = spec;
  return { data: at === undefined ? generated(spec) : new ARRAYS[dtype](bytes, at, elements(shape)), shape };
}

/** Largest difference of an output from what is expected; NaN and infinities must stand at the same places. */
export function compare(got, expected, tolerance) {
  let difference = got.data.length === expected.data.length ? 0 : Infinity;
  expected.data.forEach((value, i) => {
    const here = Object.is(got.data[i], value) ? 0 : Math.abs(got.data[i] - value);
    difference = Math.max(difference, Number.isNaN(here) ? Infinity : here);
  });
  return { passed: difference <= tolerance, difference, tolerance, got, expected };
}
