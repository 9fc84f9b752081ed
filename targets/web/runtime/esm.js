// The entry of the ES module: reads the bundle's files beside index.js, in a page, a worker or Node.
import { fromBase64, Model } from "./model.js";

const FILES = {
  "plan.json": new URL("./plan.json", import.meta.url),
  "weights.bin": new URL("./weights.bin", import.meta.url),
  "golden.bin": new URL("./golden.bin", import.meta.url),
  "kernels.wasm": new URL("./kernels.wasm", import.meta.url),
  "kernels.relaxed.wasm": new URL("./kernels.relaxed.wasm", import.meta.url),
};

async function readFile(name, baseUrl) {
  const url = baseUrl === undefined ? FILES[name] : new URL(name, new URL(baseUrl, globalThis.location?.href));
  if (url.protocol === "file:" && typeof process === "object") {
    const node = "node:fs/promises"; // a variable, so that bundlers for the web leave it alone
    const bytes = await (await import(/* @vite-ignore */ node)).readFile(url);
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }
  if (url.protocol === "data:") return fromBase64(url.pathname.split(";base64,")[1]); // bundlers inline small files
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText} at ${url}`);
  return response.arrayBuffer();
}

/** The folder that a text or URL stands for; without the last slash its name would be taken for a file's. */
function folder(url) {
  const text = String(url);
  return text.endsWith("/") ? text : `${text}/`;
}

/**
 * Loads the model.
 * @param options  the folder of the other files, or an object. baseUrl: where the other files stand, when not beside this one; relaxed: false for kernels whose
 *                 float results are the same on every machine
 */
export function load(options = {}) {
  const given = typeof options === "string" || options instanceof URL ? { baseUrl: options } : options;
  const base = given.baseUrl === undefined ? undefined : folder(given.baseUrl);
  return Model.open((name) => readFile(name, base), given);
}
