// load(): where a bundle's files are, how they come in, and what is said when they do not.
import { bytesOf, fileError, hasSum } from "./files.js";
import { Model } from "./model.js";
import { stopIfAborted } from "./queue.js";

/** A folder as a URL: as fetch() takes it in a page or worker, and in Node an address or a path. */
async function located(given, { node }) {
  const folder = String(given).replace(/\/?$/, "/"); // without the last slash its name would be taken for a file's
  const here = globalThis.document?.baseURI ?? globalThis.location?.href;
  return here ? new URL(folder, here) : (await node()).urlOf(folder);
}

/** What load() was given: an object, and the folder that it names, undefined where it names none. */
export async function readOptions(options, tools) {
  const given = typeof options === "string" || options instanceof URL ? { baseUrl: options } : options;
  return [given, given.baseUrl === undefined ? undefined : await located(given.baseUrl, tools)];
}

/** The kernels that stand in the script. */
const kernels = () =>
  Uint8Array.fromHex?.(KERNELS) ?? Uint8Array.from(KERNELS.match(/../g), (digits) => parseInt(digits, 16));

/** Pages may have a `process` without versions. */
const isInNode = (url) => url.protocol === "file:" && globalThis.process?.versions?.node;

/** A file as a Response; `again`: past the browser's own cache, which may hold another export's. */
async function request(url, again, signal, { node }) {
  // Bundlers inline small files.
  if (url.protocol === "data:") return new Response(bytesOf(atob(url.pathname.split(";base64,")[1])));
  if (isInNode(url)) return (await node()).fileAt(url, signal);
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

/** Why a file could not be read, and what to do; `total` is known once there was an answer. */
function reason(error, url, { loaded }, total) {
  if (total) return `the download broke off after ${loaded} of ${total} bytes (${error.message}) at ${url}; call load() again`;
  const help =
    url.protocol === "file:" && !isInNode(url)
      ? "from file:// use bundle.iife.js, or serve the folder"
      : "load(folder) takes the web/ that triport export wrote";
  return `${error.message} at ${url}; ${help}`;
}

/**
 * A reader of the bundle's files, read(name, makeRoom): the file's bytes, which are checked, and read once more, past the
 * browser's own cache, when it is another file.
 */
function reader(urlOf, tools, self, { cache, onProgress }, sums, signal) {
  let stored;
  return async (name, makeRoom) => {
    const [url, sum] = [urlOf(name), sums[name]];
    if (!sum) return kernels();
    // Without one the request goes out at once.
    const store = cache && (await (stored ??= tools.cache().then(({ openStore }) => openStore(cache))));
    for (let attempt = store ? 0 : 1; ; attempt++) {
      const progress = { loaded: 0, tell: makeRoom && onProgress };
      let room;
      const fail = (error) => {
        if (progress.thrown) throw error;
        if (attempt) throw fileError(name, reason(error, url, progress, room?.length), error);
      };
      const response = await (attempt ? request(url, attempt > 1, signal(), tools) : store.find(url, sum)).catch(fail);
      if (!response) continue;
      room = await makeRoom?.();
      const bytes = await receive(response, room, progress).catch(fail);
      const whole = !room || progress.loaded === room.length;
      if (bytes && whole && (await hasSum(bytes, sum))) {
        if (attempt && store) store.keep(url, sum, bytes);
        return bytes;
      }
      if (!attempt) await store.drop(url);
      if (attempt > 1) {
        // What the browser's own cache holds of this script is older: the page has the new one when it is loaded again.
        await fetch(self, { cache: "reload" }).catch(() => {});
        const seen = whole ? "another SHA-256" : `expected ${room.length} bytes, got ${progress.loaded}`;
        throw fileError(name, `not the file of this export (${seen}) at ${url}; copy the whole folder again, or reload the page`);
      }
    }
  };
}

/**
 * Loads the model.
 * @param given   LoadOptions of index.d.ts
 * @param urlOf   (name) => URL of a file of the bundle
 * @param tools   {golden, weights, threads, cache, node}: functions that import the modules of these names
 * @param self    the address of the script, or of the page in which it stands
 */
export async function open(given, urlOf, tools, self) {
  const { signal } = given;
  stopIfAborted(signal);
  // What is still under way when one file cannot be read ends.
  let loading = new AbortController();
  let end;
  const aborted = new Promise((resolve) => (end = resolve)).then(() => stopIfAborted(signal)); // imports take no signal
  signal?.addEventListener("abort", end);
  try {
    const plan = JSON.parse(PLAN);
    const read = reader(urlOf, tools, self, given, plan.sums, () => loading?.signal);
    const model = await Promise.race([aborted, Model.open(plan, read, tools, given)]);
    loading = undefined; // golden.bin is read without it
    return model;
  } finally {
    signal?.removeEventListener("abort", end);
    loading?.abort();
  }
}
