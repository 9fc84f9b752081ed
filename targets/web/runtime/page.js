// The entry of index.iife.js, a classic script that fetches what index.js does, and is small enough to stand in a page. In
// the same scope there are NAME, which is the model's, and PLAN and KERNELS as in index.js.
import { fileError } from "./files.js";
import { open, readOptions } from "./load.js";
import { publish } from "./published.js";

const { document: page, location: here } = globalThis;
const own = page?.currentScript?.src;

// Where it stands in the page, or is read by a worker, the folder is the page's, or the worker's.
const HOME = own && !/^(blob|data):/.test(own) ? own : (page?.baseURI ?? here?.href);

/** The scripts that few pages need: modules, in the folder of the other files. */
function toolsIn(folder) {
  const tool = (name) => () => import(new URL(`${name}.js`, folder));
  const [golden, weights, threads, cache, node] = "golden weights threads cache node".split(" ").map(tool);
  return { golden, weights, threads, cache, node };
}

/**
 * Loads the model.
 * @param options  the folder of the other files, scripts among them (an address), or an object: LoadOptions of index.d.ts
 */
async function load(options) {
  let given, base;
  try {
    [given, base = HOME] = await readOptions(options ?? {}, toolsIn(HOME));
    new URL("weights.bin", base); // workers made of a blob, and Node, have no folder
  } catch (error) {
    throw fileError("weights.bin", `${error.message}; load(folder) takes a whole address here; in Node import index.js`, error);
  }
  return open(given, (name) => new URL(name, base), toolsIn(base), own || here?.href);
}

publish(NAME, { load });
