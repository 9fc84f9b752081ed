// Golden samples, of golden.bin: inputs stored or made by a rule, and the outputs the original model gave for them.
import { ARRAYS, elements } from "./arrays.js";
import { fileError } from "./files.js";

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

/** What `read` takes from the file; one that was cut short is named: without crypto.subtle no sum was compared. */
function fromFile(read) {
  try {
    return read();
  } catch (error) {
    throw fileError("golden.bin", "not the file of this export; copy the whole folder again, or reload the page", error);
  }
}

/** A sample's array as `{data, shape}`; `bytes` is where stored ones stand. */
function goldenTensor(spec, bytes) {
  const { dtype, shape, at } = spec;
  const stored = () => new ARRAYS[dtype](bytes, at, elements(shape));
  return { data: at === undefined ? generated(spec) : fromFile(stored), shape };
}

/** Largest difference of an output from what is expected; NaN and infinities must stand at the same places. */
function compare(got, expected, tolerance) {
  let difference = got.data.length === expected.data.length ? 0 : Infinity;
  expected.data.forEach((value, i) => {
    const here = Object.is(got.data[i], value) ? 0 : Math.abs(got.data[i] - value);
    difference = Math.max(difference, Number.isNaN(here) ? Infinity : here);
  });
  return { passed: difference <= tolerance, difference, tolerance, got, expected };
}

/**
 * Runs samples and compares.
 * @param run   {name: tensor} → promise of {name: tensor}
 * @param file  an ArrayBuffer: golden.bin, which starts with the length of its list of samples
 * @returns {Promise<{passed: boolean, samples: {passed: boolean, ms: number, inputs: object, outputs: object}[]}>}
 */
export async function runSamples(run, file) {
  const [samples, bytes] = fromFile(() => {
    const [length] = new Uint32Array(file, 0, 1);
    return [JSON.parse(new TextDecoder().decode(new Uint8Array(file, 4, length))), file.slice(4 + length)];
  });
  const done = [];
  for (const { inputs, outputs } of samples) {
    const feeds = Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, goldenTensor(spec, bytes)]));
    const start = performance.now();
    const results = await run(feeds);
    const ms = performance.now() - start;
    const compared = Object.entries(outputs).map(([name, spec]) => [
      name,
      compare(results[name], goldenTensor(spec, bytes), spec.tolerance),
    ]);
    const passed = compared.every(([, each]) => each.passed);
    done.push({ passed, ms, inputs: feeds, outputs: Object.fromEntries(compared) });
  }
  return { passed: done.every((sample) => sample.passed), samples: done };
}
