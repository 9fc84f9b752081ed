// The model in a Worker, with load()'s interface: the page stays free while it runs.
import { makeQueue, stopIfAborted } from "./queue.js";
import { bindInputs, checkNumbers } from "./tensors.js";

const NODE_WORKERS = "node:worker_threads"; // names that bundlers for the web leave alone
const CLASSIC = "./worker-classic.js";
const KINDS = { TypeError, RangeError };

/** An error as it was in the worker. */
const revived = ({ name, message, stack, file }) =>
  Object.assign(new (KINDS[name] ?? Error)(message), { name, stack, ...(file && { file }) });

/** What the promise gives, or a rejection with the signal's reason as soon as that is aborted. */
function unlessAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason ?? new DOMException("aborted", "AbortError"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** The other end of a worker: calls and their answers. */
class Host {
  /** {memory, threads} of the model. */
  facts;
  #worker;
  #waiting = new Map();
  #calls = 0;
  #ended;

  /** The worker's host once its script runs; rejects when it does not get there. */
  static connect(worker) {
    return new Promise((ready, failed) => new Host(worker, ready, failed));
  }

  constructor(worker, ready, failed) {
    this.#worker = worker;
    const receive = (message) => (message === "ready" ? ready(this) : this.#answered(message));
    const fail = ({ message }) => {
      const why = message || "its script could not be loaded, or the page's policy forbids workers (worker-src 'self')";
      failed(this.end(new Error(`the worker ended: ${why}`)));
    };
    if (worker.on) {
      worker.on("message", receive).on("error", fail);
      worker.on("exit", (code) => fail({ message: `exit code ${code}` }));
      return;
    }
    worker.onmessage = ({ data }) => receive(data);
    worker.onerror = (event) => {
      event.preventDefault(); // it is said by the rejections
      fail(event);
    };
  }

  /** A call in the worker. */
  ask(call, args, moved = [], onProgress) {
    return new Promise((resolve, reject) => {
      if (this.#ended) throw this.#ended;
      const id = ++this.#calls;
      this.#worker.postMessage({ id, call, args }, moved);
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.ref?.(); // Node waits for the answers, and for nothing else of the worker
    });
  }

  /** Ends the worker; what waits, and what comes, is rejected with the error, the first one. */
  end(error) {
    this.#ended ??= error;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
    return this.#ended;
  }

  #answered({ id, value, error, progress, facts }) {
    const call = this.#waiting.get(id);
    if (!call) return;
    if (progress) {
      try {
        call.onProgress(progress);
      } catch (problem) {
        this.end(problem);
      }
      return;
    }
    this.facts = facts;
    this.#waiting.delete(id);
    if (!this.#waiting.size) this.#worker.unref?.();
    if (error) call.reject(revived(error));
    else call.resolve(value);
  }
}

/** A host of the kind of worker that there is: a module, else a classic script with the whole bundle in it. */
async function open(type) {
  if (typeof Worker === "undefined") {
    const { Worker } = await import(/* @vite-ignore */ NODE_WORKERS);
    // Not the process's own arguments: --eval is refused there.
    return Host.connect(new Worker(new URL("./worker-module.js", import.meta.url), { execArgv: [] }));
  }
  const classic = () => Host.connect(new Worker(new URL(CLASSIC, import.meta.url)));
  if (type === "classic") return classic();
  try {
    return await Host.connect(new Worker(new URL("./worker-module.js", import.meta.url), { type: "module" }));
  } catch (error) {
    if (type === "module") throw error;
    return classic().catch(() => {
      throw error;
    });
  }
}

/** Shared memory would be seen as it is later. */
const isShared = ({ buffer }) => Object.prototype.toString.call(buffer) === "[object SharedArrayBuffer]";

/** The array, alone in a buffer of its own: of a part of a buffer the whole would be sent. */
const alone = (data) => (data.byteLength === data.buffer.byteLength && !isShared(data) ? data : data.slice());

/** What load() gives, but for runSync. */
class WorkerModel {
  #host;
  #enter = makeQueue();
  #checkNaN;

  constructor(host, meta, checkNaN) {
    this.#host = host;
    this.meta = meta;
    this.#checkNaN = checkNaN;
  }

  async run(feeds, options = {}) {
    const { signal, transfer, checkNaN = this.#checkNaN } = options;
    const send = () => {
      // Here too, so that what is refused keeps its buffers.
      const bound = bindInputs(this.meta.inputs, feeds, this.meta);
      if (checkNaN && transfer) checkNumbers(this.meta.inputs, bound);
      const { tensors } = bound;
      const sent = this.meta.inputs.map(({ name }, i) => {
        const { data, shape } = tensors[i];
        return [name, { data: transfer && !isShared(data) ? data : alone(data), shape }];
      });
      const moved = transfer ? new Set(sent.map(([, { data }]) => data.buffer)) : [];
      return this.#host.ask("run", [Object.fromEntries(sent), { checkNaN }], [...moved]);
    };
    return unlessAborted(this.#enter(send, signal), signal);
  }

  async selfTest() {
    return this.#enter(() => this.#host.ask("selfTest", []));
  }

  get threads() {
    return this.#host.facts.threads;
  }

  get memory() {
    return this.#host.facts.memory;
  }

  dispose() {
    this.#host.end(new Error("run() after dispose(): loadInWorker() gives another model"));
    this.#host.facts.memory = 0;
  }
}

/**
 * Loads the model in a Worker; in Node, in a thread.
 * @param options  what load() takes, and type: "module" or "classic" for that kind of worker; WorkerLoadOptions of
 *                 worker.d.ts
 */
export async function loadInWorker(options) {
  const given = typeof options === "string" || options instanceof URL ? { baseUrl: options } : (options ?? {});
  const { signal, onProgress, type, ...settings } = given;
  stopIfAborted(signal);
  // A worker has an address of its own.
  const here = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (settings.baseUrl !== undefined) settings.baseUrl = here ? new URL(settings.baseUrl, here).href : `${settings.baseUrl}`;
  const opening = open(type);
  try {
    const host = await unlessAborted(opening, signal);
    const loading = host.ask("load", [settings, Boolean(onProgress)], [], onProgress);
    return new WorkerModel(host, await unlessAborted(loading, signal), settings.checkNaN);
  } catch (error) {
    opening.then((host) => host.end(error)).catch(() => {});
    throw error;
  }
}
