// The entry of the ES module, in a page, a worker or Node. What nearly every page needs first costs no request of its own:
// in index.js there follow PLAN, which is plan.json's text, and KERNELS, kernels.relaxed.wasm in hexadecimal digits.
import { fileError, fromBase64, fromHex, hasSum } from "./files.js";
import { Model } from "./model.js";
import { stopIfAborted } from "./queue.js";

const FILES = {
  "weights.bin": new URL("./weights.bin", import.meta.url),
  "golden.bin": new URL("./golden.bin", import.meta.url),
  "kernels.wasm": new URL("./kernels.wasm", import.meta.url),
};

// What few pages need, fetched when it is.
const TOOLS = {
  golden: () => import("./golden.js"),
  weights: () => import("./weights.js"),
  threads: () => import("./threads.js"),
};
const forNode = () => import("./node.js");

/** A folder as a URL: an address, else what a page takes from its own address, and Node for a path. */
async function located(folder) {
  const here = globalThis.location?.href;
  if (here || /^[a-z][a-z\d+.-]+:/i.test(folder)) return new URL(folder, here);
  return (await forNode()).urlOf(folder);
}

/** The folder that a text or URL stands for; without the last slash its name would be taken for a file's. */
function folder(url) {
  const text = String(url);
  return text.endsWith("/") ? text : `${text}/`;
}

/** A file as a Response; `again`: past the browser's own cache, which may hold another export's. */
async function request(url, again, signal) {
  // Bundlers inline small files.
  if (url.protocol === "data:") return new Response(fromBase64(url.pathname.split(";base64,")[1]));
  if (url.protocol === "file:" && typeof process === "object") return (await forNode()).fileAt(url);
  const response = await fetch(url, { signal, cache: again ? "reload" : "default" });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response;
}

/** The bytes of a response, straight into `room` where it is given; what does not fit there is only counted. */
async function receive(response, room, progress) {
  if (!room) return new Uint8Array(await response.arrayBuffer());
  const reader = response.body.getReader();
  for (let part; !(part = await reader.read()).done; ) {
    const { value } = part;
    if (progress.loaded + value.length <= room.length) room.set(value, progress.loaded);
    progress.loaded += value.length;
    try {
      progress.tell?.({ loaded: progress.loaded, total: room.length });
    } catch (error) {
      throw (progress.thrown = error);
    }
  }
  return room;
}

/** Why a file could not be read, and what to do. */
function reason(error, url, { loaded }, total) {
  if (loaded) return `the download broke off after ${loaded} of ${total} bytes (${error.message}) at ${url}; call load() again`;
  const problem = error.code === "ENOENT" ? "no such file" : error.message;
  return url.protocol === "file:" && typeof process !== "object"
    ? `${problem} at ${url}; from file:// use bundle.iife.js, or serve the folder`
    : `${problem} at ${url}; load(folder) takes the web/ that triport export wrote`;
}

/**
 * A reader of the bundle's files, read(name, makeRoom): the file's bytes, which are checked, and read once more, past the
 * browser's own cache, when it is another file.
 */
function reader(base, { cache, onProgress }, sums, signal) {
  const stored = cache ? import("./cache.js").then(({ openStore }) => openStore(cache)) : undefined;
  stored?.catch(() => {});
  return async (name, makeRoom) => {
    const [url, sum] = [base === undefined ? FILES[name] : new URL(name, base), sums[name]];
    if (!sum) return fromHex(KERNELS);
    const store = stored && (await stored); // without one the request goes out at once
    for (let attempt = store ? 0 : 1; ; attempt++) {
      const progress = { loaded: 0, tell: makeRoom && onProgress };
      let room;
      const fail = (error) => {
        stopIfAborted(signal());
        if (progress.thrown) throw error;
        if (attempt) throw fileError(name, reason(error, url, progress, room?.length), error);
      };
      const response = await (attempt ? request(url, attempt > 1, signal()) : store.find(url, sum)).catch(fail);
      if (!response) continue;
      room = await makeRoom?.();
      const bytes = await receive(response, room, progress).catch(fail);
      const whole = !room || progress.loaded === room.length;
      if (bytes && whole && (await hasSum(bytes, sum))) {
        if (attempt) store?.keep(url, sum, bytes);
        return bytes;
      }
      if (!attempt) await store.drop(url);
      if (attempt > 1) {
        // What the browser's own cache holds of this script is older: the page has the new one when it is loaded again.
        await fetch(import.meta.url, { cache: "reload" }).catch(() => {});
        const seen = whole ? "another SHA-256" : `expected ${room.length} bytes, got ${progress.loaded}`;
        throw fileError(name, `not the file that was exported with index.js (${seen}) at ${url}; copy the whole folder again, or reload the page`);
      }
    }
  };
}

/**
 * Loads the model.
 * @param options  the folder of the other files (an address; in Node a path will do), or an object: LoadOptions of
 *                 index.d.ts
 */
export async function load(options = {}) {
  const given = typeof options === "string" || options instanceof URL ? { baseUrl: options } : options;
  const base = given.baseUrl === undefined ? undefined : await located(folder(given.baseUrl));
  stopIfAborted(given.signal);
  // What is still under way when one file cannot be read ends.
  let loading = new AbortController();
  const end = () => loading.abort(given.signal.reason);
  given.signal?.addEventListener("abort", end);
  try {
    const plan = JSON.parse(PLAN);
    const read = reader(base, given, plan.sums, () => loading?.signal);
    const model = await Model.open(plan, read, TOOLS, given);
    loading = undefined; // golden.bin is read without it
    return model;
  } finally {
    given.signal?.removeEventListener("abort", end);
    loading?.abort();
  }
}
