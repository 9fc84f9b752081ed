// The entry of the classic script that fetches what index.js does: small enough to stand in a page. In the same scope
// there are NAME, which is the model's, and PLAN and KERNELS as in index.js.
import { asked, open } from "./load.js";
import { publish } from "./published.js";

// Where it stands in a page, or is read by a worker, the folder is the page's, or the worker's.
const SELF = globalThis.document?.currentScript?.src || globalThis.document?.baseURI || globalThis.location?.href;

/** The scripts that few pages need: modules, in the folder of the other files. */
function toolsIn(folder) {
  const tool = (name) => () => import(new URL(name, folder));
  return { golden: tool("golden.js"), weights: tool("weights.js"), threads: tool("threads.js"), cache: tool("cache.js") };
}

/** As in index.js. */
async function load(options) {
  const [given, base = SELF] = await asked(options ?? {}, {});
  return open(given, (name) => new URL(name, base), toolsIn(base), SELF);
}

publish(NAME, { load });
