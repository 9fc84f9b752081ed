// A loaded model: weights in WebAssembly memory, one schedule for each set of sizes that was asked for.
import { ARRAYS, elements } from "./arrays.js";
import { fileError } from "./files.js";
import { makeQueue, stopIfAborted } from "./queue.js";
import { makeSchedule } from "./schedule.js";
import { bindInputs, checkNumbers } from "./tensors.js";

const publicSpec = ({ name, dtype, shape, quantization }) => ({ name, dtype, shape, ...(quantization && { quantization }) });
const PAGE = 65536;
const KEPT_SCHEDULES = 16;

const NEEDED = "this engine has no WebAssembly SIMD: Chrome 91, Firefox 90, Safari 16.4, Node 18 have it";

/** The first kernels that this engine takes, [file, bytes]; throws when it takes none. */
async function chooseKernels(read, { relaxed }) {
  const plain = "kernels.wasm";
  await 0; // the request for the weights goes out first
  for (const file of relaxed === false ? [plain] : ["kernels.relaxed.wasm", plain]) {
    const wasm = await read(file);
    if (WebAssembly.validate(wasm)) return [file, wasm];
  }
  throw fileError(plain, `damaged, or ${NEEDED}`);
}

/** The module's exports, with room for the weights at byte `at` of their memory; and the threads, where there are any. */
async function start([file, wasm], plan, tools, { threads: wanted }) {
  const threads = wanted === undefined ? wanted : await (await tools.threads?.())?.startThreads(wasm, wanted);
  const { exports: kernels } =
    threads ??
    (
      await WebAssembly.instantiate(wasm).catch((error) => {
        throw fileError(file, error.message, error);
      })
    ).instance;
  try {
    const unknown = plan.ops.find(([name]) => !(name in kernels));
    if (unknown) throw fileError(file, `kernel ${unknown[0]} is missing: it is of another export`);
    const at = threads?.heap ?? Math.ceil(kernels.__heap_base.value / 64) * 64;
    reserve(kernels.memory, at + plan.weights.bytes);
    return { kernels, at, threads };
  } catch (error) {
    threads?.dispose();
    throw error;
  }
}

export class Model {
  #plan;
  #kernels;
  #source;
  #weights;
  #checkNaN;
  #enter = makeQueue();
  #schedules = new Map();
  #current;
  #threads;

  constructor(plan, { kernels, at, threads }, source, { checkNaN }) {
    this.#plan = plan;
    this.#kernels = kernels;
    this.#threads = threads;
    this.#source = source;
    this.#weights = at;
    this.#checkNaN = checkNaN;
    this.meta = { ...plan.meta, inputs: plan.inputs.map(publicSpec), outputs: plan.outputs.map(publicSpec) };
  }

  /**
   * @param plan     plan.json
   * @param read     (name, makeRoom) => promise of a file's bytes, a Uint8Array: straight into the one that makeRoom()
   *                 gives, where there is such
   * @param tools    {golden, weights, threads}: functions that give the modules of these names
   * @param options  LoadOptions of index.d.ts
   */
  static async open(plan, read, tools, options) {
    if (!globalThis.WebAssembly) throw new Error(NEEDED); // and Node ends where a file is read
    const { weights } = plan;
    const started = chooseKernels(read, options).then((chosen) => start(chosen, plan, tools, options));
    // Where the file is what the calls read, it comes in there.
    const written = read("weights.bin", async () => {
      const { kernels, at } = await started;
      const bytes = weights.file ?? weights.bytes;
      return weights.stored ? new Uint8Array(bytes) : new Uint8Array(kernels.memory.buffer, at, bytes);
    });
    // Both are under way; that one cannot be read is said of the first.
    written.catch(() => {});
    const module = await started;
    try {
      const { kernels, at } = module;
      const bytes = await written;
      if (weights.stored) {
        const { expandWeights } = await tools.weights();
        expandWeights(weights, bytes.buffer, kernels.memory.buffer, at);
      }
      for (const [name, ...args] of weights.made ?? [])
        kernels[name](...args.map((arg) => (arg[0] === "#" ? at + +arg.slice(1) : arg)));
      stopIfAborted(options.signal);
    } catch (error) {
      module.threads?.dispose();
      throw error;
    }
    return new Model(plan, module, { read, tools }, options);
  }

  /**
   * Runs the model once, after the runs that were called before.
   * @param feeds    {name: typed array} or {name: {data, shape}}, read when the turn comes
   * @param options  RunOptions of index.d.ts
   * @returns        {name: {data, shape}}, freshly allocated
   */
  async run(feeds, options = {}) {
    return this.#enter(() => this.runSync(feeds, options), options.signal);
  }

  /** `run` without a promise, for loops that measure or that already are in a worker. */
  runSync(feeds, { checkNaN = this.#checkNaN } = {}) {
    if (!this.#kernels) throw new Error("run() after dispose(): load() gives another model");
    const bound = bindInputs(this.#plan.inputs, feeds, this.meta);
    if (checkNaN) checkNumbers(this.#plan.inputs, bound);
    const schedule = this.#schedule(bound.sizes);
    const { buffer } = this.#kernels.memory;
    schedule.inputs.forEach(({ dtype, at }, i) => {
      const { data } = bound.tensors[i];
      new ARRAYS[dtype](buffer, at, data.length).set(data);
    });
    const one = ({ name, kernel, args }, i) => {
      if (kernel(...args)) throw new RangeError(`${name} "${this.#plan.names?.[i] ?? i}": an index is out of range`);
    };
    if (this.#threads) this.#threads.run(schedule, one);
    else schedule.calls.forEach(one);
    return Object.fromEntries(
      schedule.outputs.map(({ name, dtype, shape, at }) => [
        name,
        { data: new ARRAYS[dtype](buffer, at, elements(shape)).slice(), shape },
      ]),
    );
  }

  /** Runs the samples that were recorded from the original model and compares: golden.js. */
  async selfTest() {
    const { read, tools } = this.#source; // no function made in open(), whose scope holds the memory
    const { runSamples } = await tools.golden();
    const bytes = await read("golden.bin");
    return runSamples((feeds) => this.run(feeds), bytes.buffer);
  }

  /** How many threads compute, this one among them. */
  get threads() {
    return this.#threads?.count ?? 1;
  }

  /** Bytes of WebAssembly memory at present: weights and buffers. It grows with the sizes that run() sees. */
  get memory() {
    return this.#kernels?.memory.buffer.byteLength ?? 0;
  }

  /** Lets go of the memory; the model cannot run afterwards. */
  dispose() {
    this.#threads?.dispose();
    this.#kernels = this.#threads = undefined;
    this.#schedules.clear();
    this.#current = undefined;
  }

  #schedule(sizes) {
    const key = JSON.stringify(sizes);
    let schedule = this.#schedules.get(key);
    if (!schedule) {
      schedule = makeSchedule(this.#plan, this.#kernels, sizes, this.#weights);
      this.#threads?.divide(schedule, this.#plan);
      if (this.#schedules.size >= KEPT_SCHEDULES) this.#schedules.delete(this.#schedules.keys().next().value);
      this.#schedules.set(key, schedule);
    }
    if (schedule !== this.#current) {
      reserve(this.#kernels.memory, schedule.bytes);
      new Int32Array(this.#kernels.memory.buffer, schedule.tablesAt, schedule.tables.length).set(schedule.tables);
      this.#threads?.enter(schedule);
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
