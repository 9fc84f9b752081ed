// Several threads on one model: workers with instances of the same kernels over one shared memory. Calls are taken in
// their order, one after the other; the parts of a divided call are taken by whichever thread is free, so that a run
// never waits for a worker that has not woken up yet.
import { align, divide } from "./split.js";

const MOST_PAGES = 65536;
const PARTS_EACH = 2; // parts a thread: they even out what threads do beside
const TURNS = 50_000; // how often it looks whether others are done before it goes to sleep, where it may: about 0.1 ms
const PATIENCE = 30_000; // ms in which no part gets done until a thread is given up; time is counted while this one is awake
const AWAKE = 50; // ms between two looks at the clock: more passed while the machine slept

// Words that the threads share: the part to be taken next, parts that are done, whether one failed
const TICKET = 0;
const DONE = 1;
const FAILED = 2;
const WORDS = 3;
const END = -256; // a ticket is the number of a call, 24 bits, and that of its part, 8 bits; this is no call's

function leb(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

/**
 * The kernels with memory and stack pointer from outside: the import section that the module has not got, and without
 * its own memory and first global, so that every index stays as it is.
 * @param {Uint8Array} wasm  what targets/web/strip.py left of a module
 * @returns {{bytes: Uint8Array, pages: number, stack: number}}  pages: memory at the start; stack: its bytes, or 0
 */
export function shareMemory(wasm) {
  const sections = [];
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 1, byte = 128; byte > 127; shift *= 128) value += ((byte = wasm[at++]) & 127) * shift;
    return value;
  };
  let pages = 0, stack = 0;
  while (at < wasm.length) {
    const id = wasm[at++], size = number(), end = at + size;
    let body = wasm.subarray(at, end);
    if (id === 5) {
      at += 2; // one memory, its flags
      pages = number();
    } else if (id === 6 && wasm[at + 2] === 1) {
      const count = number();
      at += 3; // i32, changes, i32.const
      stack = number();
      body = count > 1 ? [...leb(count - 1), ...wasm.subarray(at + 1, end)] : [];
    }
    if (id !== 5 && body.length) sections.push([id, body]);
    at = end;
  }
  const memory = [1, 116, 1, 109, 2, 3, ...leb(pages), ...leb(MOST_PAGES)]; // "t" "m", shared
  const imports = stack ? [2, ...memory, 1, 116, 1, 115, 3, 127, 1] : [1, ...memory]; // "t" "s", an i32 that changes
  sections.splice(sections[0]?.[0] === 1 ? 1 : 0, 0, [2, imports]); // behind types, which a module without functions lacks
  const bytes = sections.flatMap(([id, body]) => [id, ...leb(body.length), ...body]);
  return { bytes: Uint8Array.from([...wasm.subarray(0, 8), ...bytes]), pages, stack };
}

/** How many threads are asked for; 1 where the engine shares no memory. */
async function threadCount(wanted) {
  if (wanted !== "auto" && !(Number.isInteger(wanted) && wanted >= 1))
    throw new TypeError(`load: threads is a number of threads or "auto", got ${wanted}`);
  if (typeof SharedArrayBuffer === "undefined" || globalThis.crossOriginIsolated === false) return 1;
  const processors = globalThis.navigator?.hardwareConcurrency ?? (await fromNode("node:os")).cpus().length;
  return wanted === "auto" ? Math.min(4, processors) : Math.min(64, wanted);
}

// The name is a variable, so that bundlers for the web leave it alone.
const fromNode = (name) => import(/* @vite-ignore */ name);

async function startWorker() {
  if (globalThis.Worker) return new Worker(new URL("./threads-worker.js", import.meta.url), { type: "module" });
  const node = await fromNode("node:worker_threads");
  const worker = new node.Worker(new URL("./threads-worker.js", import.meta.url), { execArgv: [] });
  worker.unref();
  return worker;
}

/** Shared memory; engines that reserve less than 4 GiB get less. */
function sharedMemory(initial) {
  for (let maximum = MOST_PAGES; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial, maximum, shared: true });
    } catch (error) {
      if (maximum / 2 < initial || maximum < 1024) throw error;
    }
  }
}

/**
 * An instance of the kernels; `stack`: where its stack ends. Made without a promise, Chromium before 114 refuses it on a
 * page's thread.
 */
const instantiate = (module, memory, stack) =>
  WebAssembly.instantiate(module, { t: { m: memory, s: new WebAssembly.Global({ value: "i32", mutable: true }, stack) } });

/**
 * Threads for a model.
 * @param {Uint8Array} wasm
 * @param {number | "auto"} wanted
 * @returns {Promise<Threads | undefined>}  undefined: one thread is all there is
 */
export async function startThreads(wasm, wanted) {
  const count = await threadCount(wanted);
  if (count < 2) return undefined;
  const { bytes, pages, stack } = shareMemory(wasm);
  const module = await WebAssembly.compile(bytes);
  const memory = sharedMemory(pages);
  const { exports } = await instantiate(module, memory, stack);
  const heap = align(exports.__heap_base.value);
  const words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
  words[TICKET] = END; // 0 would be the first part of the first call, before its run
  const workers = [];
  try {
    for (let i = 1; i < count; i++) {
      const worker = await startWorker();
      workers.push(worker);
      worker.postMessage({ module, memory, stack: heap + i * align(stack), words });
    }
    await Promise.all(workers.map(ready));
  } catch {
    workers.forEach((worker) => worker.terminate());
    return undefined;
  }
  return new Threads(exports, heap + (count - 1) * align(stack), words, workers);
}

/** Settles when a worker has its kernels. */
function ready(worker) {
  return new Promise((resolve, reject) => {
    worker.onmessage = resolve;
    worker.onerror = reject;
    worker.once?.("message", resolve);
    worker.once?.("error", reject);
  });
}

class Threads {
  #words;
  #workers;
  #next = 0;
  #waits = typeof window === "undefined";
  #lost = "";

  constructor(kernels, heap, words, workers) {
    /** The kernels that this thread calls, the first byte behind all stacks, and how many threads there are. */
    this.exports = kernels;
    this.heap = heap;
    this.count = workers.length + 1;
    this.#words = words;
    this.#workers = workers;
  }

  divide(schedule, plan) {
    divide(schedule, plan, PARTS_EACH * this.count);
  }

  /** Makes a schedule the one that runs: its tables into memory, its parts to the workers. */
  enter(schedule) {
    const { own, parts, calls, divided } = schedule;
    new Int32Array(this.exports.memory.buffer, own.at, own.table.length).set(own.table);
    if (this.#next + calls.length > 0xffff00) this.#next = 0;
    schedule.base = this.#next;
    this.#next += calls.length;
    if (divided) this.#tell({ base: schedule.base, names: calls.map(({ name }) => name), parts });
  }

  #tell(message) {
    for (const worker of this.#workers) worker.postMessage(message);
  }

  /**
   * @param schedule  the one that was entered last
   * @param one       what runs a call that is not divided
   */
  run({ calls, parts, base, divided }, one) {
    if (this.#lost) throw new Error(this.#lost);
    if (!divided) return calls.forEach(one);
    this.#tell("run");
    try {
      calls.forEach((call, i) => (parts[i] ? this.#together(base + i, call, parts[i]) : one(call, i)));
    } finally {
      this.#publish(END);
    }
  }

  #publish(ticket) {
    Atomics.store(this.#words, TICKET, ticket);
    Atomics.notify(this.#words, TICKET);
  }

  #together(number, { name, kernel }, parts) {
    const words = this.#words;
    let failure;
    Atomics.store(words, DONE, 0);
    this.#publish(number << 8);
    for (let part; (part = Atomics.add(words, TICKET, 1) & 255) < parts.length; ) {
      try {
        kernel(...parts[part]);
      } catch (error) {
        failure = error;
      }
      Atomics.add(words, DONE, 1);
    }
    this.#wait(name, parts.length);
    if (Atomics.exchange(words, FAILED, 0)) failure ??= new Error(`kernel ${name} failed in a worker`);
    if (failure) throw failure;
  }

  /** Until all parts are done. A thread that was ended in the middle of one would never be. */
  #wait(name, parts) {
    const words = this.#words;
    let before, last;
    for (let done, turns = 0, idle = 0; (done = Atomics.load(words, DONE)) < parts; turns++) {
      if (turns <= TURNS) continue;
      if (this.#waits) Atomics.wait(words, DONE, done, 1);
      const now = performance.now();
      idle = done === before ? idle + Math.min(now - last, AWAKE) : 0;
      before = done;
      last = now;
      if (idle < PATIENCE) continue;
      this.dispose(); // or it might still write into what later runs compute
      this.#lost = `a thread did not come back from kernel ${name}: it was ended, or out of memory; load() the model again`;
      throw new Error(this.#lost);
    }
  }

  dispose() {
    this.#workers.forEach((worker) => worker.terminate());
  }
}
