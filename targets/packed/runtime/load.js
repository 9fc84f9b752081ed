// The entry: load(). What is imported here stands in one scope with it in index.js, openEngine from one of the engines.
import { readFile } from "./files.js";
import { openEngine } from "./ort.js";
import { Packed } from "./packed.js";

/**
 * Loads the model.
 * @param options  the folder of the other files (an address; in Node a path will do), or an object. baseUrl: that folder,
 *                 when they do not stand beside this one; runtimeUrl: where the runtime's own files are served
 */
export async function load(options = {}) {
  const given = typeof options === "string" || options instanceof URL ? { baseUrl: options } : options;
  const text = given.baseUrl === undefined ? undefined : String(given.baseUrl);
  const base = text === undefined || text.endsWith("/") ? text : `${text}/`;
  const read = (name) => readFile(name, base);
  const facts = JSON.parse(new TextDecoder().decode(await read("meta.json")));
  if (facts.format !== "triport-packed" || facts.version !== 1)
    throw new Error(`meta.json: expected format triport-packed version 1, got ${facts.format} version ${facts.version}`);
  return new Packed(facts, await openEngine(facts, read, given), () => read("golden.bin"));
}
