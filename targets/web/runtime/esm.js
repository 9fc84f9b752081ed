// The entry of the ES module: reads the bundle's files beside index.js, in a page, a worker or Node.
import { fromBase64, Model } from "./model.js";

const FILES = {
  "plan.json": new URL("./plan.json", import.meta.url),
  "weights.bin": new URL("./weights.bin", import.meta.url),
  "golden.bin": new URL("./golden.bin", import.meta.url),
  "kernels.wasm": new URL("./kernels.wasm", import.meta.url),
  "kernels.relaxed.wasm": new URL("./kernels.relaxed.wasm", import.meta.url),
};

// The name is a variable, so that bundlers for the web leave it alone.
const fromNode = (name) => import(/* @vite-ignore */ name);

/** A folder as a URL: an address, else what a page takes from its own address, and Node for a path. */
async function located(folder) {
  const here = globalThis.location?.href;
  if (here || /^[a-z][a-z\d+.-]+:/i.test(folder)) return new URL(folder, here);
  return (await fromNode("node:url")).pathToFileURL(folder);
}

async function readFile(name, folder) {
  const url = folder === undefined ? FILES[name] : new URL(name, await located(folder));
  // Bundlers inline small files.
  if (url.protocol === "data:") return fromBase64(url.pathname.split(";base64,")[1]);
  const fail = (problem) => {
    throw new Error(`${name}: ${problem} at ${url}; load(folder) takes the web/ that triport export wrote`);
  };
  if (url.protocol === "file:" && typeof process === "object") {
    const { readFile } = await fromNode("node:fs/promises");
    const bytes = await readFile(url).catch((error) => fail(error.code === "ENOENT" ? "no such file" : error.message));
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }
  const response = await fetch(url).catch((error) => fail(error.message));
  return response.ok ? response.arrayBuffer() : fail(`${response.status} ${response.statusText}`);
}

/** The folder that a text or URL stands for; without the last slash its name would be taken for a file's. */
function folder(url) {
  const text = String(url);
  return text.endsWith("/") ? text : `${text}/`;
}

/**
 * Loads the model.
 * @param options  the folder of the other files (an address; in Node a path will do), or an object. baseUrl: that folder,
 *                 when they do not stand beside this one; relaxed: false for kernels whose float results are the same
 *                 on every machine
 */
export function load(options = {}) {
  const given = typeof options === "string" || options instanceof URL ? { baseUrl: options } : options;
  const base = given.baseUrl === undefined ? undefined : folder(given.baseUrl);
  return Model.open((name) => readFile(name, base), given);
}
