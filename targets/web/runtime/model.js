// A loaded model: weights in WebAssembly memory, one schedule for each set of sizes that was asked for.
import { elements } from "./dims.js";
import { compare, goldenTensor } from "./golden.js";
import { ARRAYS, bindInputs } from "./tensors.js";
import { makeSchedule } from "./schedule.js";
import { placeWeights } from "./weights.js";

const publicSpec = ({ name, dtype, shape, quantization }) => ({ name, dtype, shape, ...(quantization && { quantization }) });
const PAGE = 65536;
const KEPT_SCHEDULES = 16;

// Two modules of one function each that returns a vector: with i8x16.popcnt, and with i8x16.relaxed_swizzle
const HEADER = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10];
const SIMD = [...HEADER, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const RELAXED = [...HEADER, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];

export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;

/** Which of the two kernel files this engine runs; throws when it runs neither. */
export function chooseKernels(options) {
  if (typeof WebAssembly === "undefined") throw new Error("this engine has no WebAssembly");
  if (!WebAssembly.validate(Uint8Array.from(SIMD)))
    throw new Error("this engine has no WebAssembly SIMD: Chrome 91, Firefox 89, Safari 16.4 and Node 18 have it");
  const relaxed = options.relaxed ?? WebAssembly.validate(Uint8Array.from(RELAXED));
  return relaxed ? "kernels.relaxed.wasm" : "kernels.wasm";
}

export class Model {
  #plan;
  #kernels;
  #golden;
  #weights;
  #schedules = new Map();
  #current;

  constructor(plan, kernels, golden, weights) {
    this.#plan = plan;
    this.#kernels = kernels;
    this.#golden = golden;
    this.#weights = weights;
    this.meta = { ...plan.meta, inputs: plan.inputs.map(publicSpec), outputs: plan.outputs.map(publicSpec) };
  }

  /**
   * @param {(name: string) => Promise<ArrayBuffer>} read  a file of the bundle by name
   * @param options  relaxed: false forces the kernels whose float results are the same on every machine
   */
  static async open(read, options) {
    const files = await Promise.allSettled(["plan.json", chooseKernels(options), "weights.bin"].map(read));
    // The same one each time, when all are missing.
    const missing = files.find((file) => file.status === "rejected");
    if (missing) throw missing.reason;
    const [planBytes, wasm, weights] = files.map((file) => file.value);
    const plan = JSON.parse(new TextDecoder().decode(planBytes));
    if (plan.format !== "triport-web" || plan.version !== 1)
      throw new Error(`plan.json: expected format triport-web version 1, got ${plan.format} version ${plan.version}`);
    const expected = plan.weights.file ?? plan.weights.bytes;
    if (weights.byteLength !== expected)
      throw new Error(`weights.bin: expected ${expected} bytes, got ${weights.byteLength}`);
    const { instance } = await WebAssembly.instantiate(wasm);
    const kernels = instance.exports;
    const unknown = plan.ops.find(([name]) => !(name in kernels));
    if (unknown) throw new Error(`kernel ${unknown[0]} is missing: plan.json and the .wasm are of different exports`);
    const at = Math.ceil(kernels.__heap_base.value / 64) * 64;
    reserve(kernels.memory, at + plan.weights.bytes);
    placeWeights(plan.weights, weights, kernels.memory.buffer, at);
    for (const [name, ...args] of plan.weights.made ?? [])
      kernels[name](...args.map((arg) => (arg[0] === "#" ? at + Number(arg.slice(1)) : arg)));
    return new Model(plan, kernels, () => read("golden.bin"), at);
  }

  /**
   * Runs the model once.
   * @param feeds  {name: typed array} or {name: {data, shape}}
   * @returns      {name: {data, shape}}, freshly allocated
   */
  async run(feeds) {
    return this.runSync(feeds);
  }

  /** `run` without a promise, for loops that measure or that already are in a worker. */
  runSync(feeds) {
    if (!this.#kernels) throw new Error("run() after dispose()");
    const { tensors, sizes } = bindInputs(this.#plan.inputs, feeds, this.meta);
    const schedule = this.#schedule(sizes);
    const { buffer } = this.#kernels.memory;
    schedule.inputs.forEach(({ dtype, at }, i) => {
      new ARRAYS[dtype](buffer, at, tensors[i].data.length).set(tensors[i].data);
    });
    schedule.calls.forEach(({ name, kernel, args }, i) => {
      if (kernel(...args)) throw new RangeError(`${name} "${this.#plan.names?.[i] ?? i}": an index is out of range`);
    });
    return Object.fromEntries(
      schedule.outputs.map(({ name, dtype, shape, at }) => [
        name,
        { data: new ARRAYS[dtype](buffer, at, elements(shape)).slice(), shape },
      ]),
    );
  }

  /**
   * Runs the samples that were recorded from the original model and compares.
   * @returns {{passed: boolean, samples: {passed: boolean, ms: number, outputs: object}[]}}
   */
  async selfTest() {
    const bytes = await this.#golden();
    const samples = [];
    for (const { inputs, outputs } of this.#plan.golden) {
      const feeds = Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, goldenTensor(spec, bytes)]));
      const start = performance.now();
      const results = await this.run(feeds);
      const ms = performance.now() - start;
      const compared = Object.entries(outputs).map(([name, spec]) => [
        name,
        compare(results[name], goldenTensor(spec, bytes), spec.tolerance),
      ]);
      samples.push({ passed: compared.every(([, c]) => c.passed), ms, outputs: Object.fromEntries(compared) });
    }
    return { passed: samples.every((sample) => sample.passed), samples };
  }

  /** Bytes of WebAssembly memory at present: weights and buffers. It grows with the sizes that run() sees. */
  get memory() {
    return this.#kernels?.memory.buffer.byteLength ?? 0;
  }

  /** Lets go of the memory; the model cannot run afterwards. */
  dispose() {
    this.#kernels = undefined;
    this.#schedules.clear();
    this.#current = undefined;
  }

  #schedule(sizes) {
    const key = JSON.stringify(sizes);
    let schedule = this.#schedules.get(key);
    if (!schedule) {
      schedule = makeSchedule(this.#plan, this.#kernels, sizes, this.#weights);
      if (this.#schedules.size >= KEPT_SCHEDULES) this.#schedules.delete(this.#schedules.keys().next().value);
      this.#schedules.set(key, schedule);
    }
    if (schedule !== this.#current) {
      reserve(this.#kernels.memory, schedule.bytes);
      new Int32Array(this.#kernels.memory.buffer, schedule.tablesAt, schedule.tables.length).set(schedule.tables);
      this.#current = schedule;
    }
    return schedule;
  }
}

/** Grows the memory to at least `bytes`. */
function reserve(memory, bytes) {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / PAGE);
  if (missing <= 0) return;
  try {
    memory.grow(missing);
  } catch {
    throw new RangeError(`out of memory: the model needs ${Math.ceil(bytes / 1048576)} MiB for these sizes`);
  }
}
