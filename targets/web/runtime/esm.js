// The entry of the ES module, in a page, a worker or Node. What nearly every page needs first costs no request of its own:
// in index.js there follow PLAN, which is plan.json's text, and KERNELS, kernels.relaxed.wasm in hexadecimal digits.
import { readOptions, open } from "./load.js";

// Bundlers find addresses and imports by their literal texts.
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
  cache: () => import("./cache.js"),
  node: () => import("./node.js"),
};

/**
 * Loads the model.
 * @param options  the folder of the other files (an address; in Node a path will do), or an object: LoadOptions of
 *                 index.d.ts
 */
export async function load(options) {
  const [given, base] = await readOptions(options ?? {}, TOOLS);
  return open(given, (name) => (base ? new URL(name, base) : FILES[name]), TOOLS, import.meta.url);
}
