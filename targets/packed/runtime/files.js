// The folder's files: beside index.js, or in a folder that the page names; over http, or from the disk in Node.
import { bytesOf, fileError } from "../../web/runtime/files.js";
import { stopIfAborted } from "../../web/runtime/queue.js";

// The name is a variable, so that bundlers for the web leave it alone.
export const fromNode = (name) => import(/* @vite-ignore */ name);

async function located(folder) {
  const here = globalThis.location?.href;
  if (here || /^[a-z][a-z\d+.-]+:/i.test(folder)) return new URL(folder, here);
  return (await fromNode("node:url")).pathToFileURL(folder);
}

/** A file's bytes; a LoadError names the one that cannot be read. An aborted signal ends it, with its reason. */
export async function readFile(name, folder, signal) {
  const url = folder === undefined ? FILES[name] : new URL(name, await located(folder));
  if (url.protocol === "data:") // bundlers inline small files, and a strict policy lets nobody fetch these
    return bytesOf(atob(url.pathname.split(";base64,")[1])).buffer;
  const fail = (error, problem = error.message) => {
    stopIfAborted(signal);
    throw fileError(name, `${problem} at ${url}; load(folder) takes the web/ that triport export wrote`, error);
  };
  if (url.protocol === "file:" && typeof process === "object") {
    const fs = await fromNode("node:fs/promises");
    const bytes = await fs.readFile(url).catch((error) => fail(error, error.code === "ENOENT" ? "no such file" : undefined));
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }
  const response = await fetch(url, { signal }).catch((error) => fail(error));
  if (!response.ok) return fail(undefined, `${response.status} ${response.statusText}`);
  return response.arrayBuffer().catch((error) => fail(error));
}

/** A file of JSON; a LoadError where it is none, as the page that some servers send for what they lack. */
export async function readJson(name, read) {
  const text = new TextDecoder().decode(await read(name));
  try {
    return JSON.parse(text);
  } catch (error) {
    throw fileError(name, "no JSON", error);
  }
}

/** Where a package's files are served, as the page's import map or Node finds the package; "" where neither tells. */
export function packageFolder(name, inside) {
  try {
    return new URL(inside, import.meta.resolve(name)).href;
  } catch {
    return "";
  }
}
