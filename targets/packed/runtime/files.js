// The folder's files: beside index.js, or in a folder that the page names; over http, or from the disk in Node.
import { stopIfAborted } from "../../web/runtime/queue.js";

// The name is a variable, so that bundlers for the web leave it alone.
export const fromNode = (name) => import(/* @vite-ignore */ name);

async function located(folder) {
  const here = globalThis.location?.href;
  if (here || /^[a-z][a-z\d+.-]+:/i.test(folder)) return new URL(folder, here);
  return (await fromNode("node:url")).pathToFileURL(folder);
}

/** A file's bytes as an ArrayBuffer; an Error names what is missing. An aborted signal ends it, with its reason. */
export async function readFile(name, folder, signal) {
  const url = folder === undefined ? FILES[name] : new URL(name, await located(folder));
  if (url.protocol === "data:") // bundlers inline small files, and a strict policy lets nobody fetch these
    return Uint8Array.from(atob(url.pathname.split(";base64,")[1]), (character) => character.charCodeAt(0)).buffer;
  const fail = (problem) => {
    stopIfAborted(signal);
    throw new Error(`${name}: ${problem} at ${url}; load(folder) takes the web/ that triport export wrote`);
  };
  if (url.protocol === "file:" && typeof process === "object") {
    const fs = await fromNode("node:fs/promises");
    const bytes = await fs.readFile(url).catch((error) => fail(error.code === "ENOENT" ? "no such file" : error.message));
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }
  const response = await fetch(url, { signal }).catch((error) => fail(error.message));
  if (!response.ok) return fail(`${response.status} ${response.statusText}`);
  return response.arrayBuffer().catch((error) => fail(error.message));
}

/** Where a package's files are served, as the page's import map or Node finds the package; "" where neither tells. */
export function packageFolder(name, inside) {
  try {
    return new URL(inside, import.meta.resolve(name)).href;
  } catch {
    return "";
  }
}
