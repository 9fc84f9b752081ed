// The entry: load(). What is imported here stands in one scope with it in index.js, what is the engine's from one of them.
import { readFile, readJson } from "./files.js";
import { OWN_OPTIONS, openEngine } from "./ort.js";
import { checkOptions, Packed } from "./packed.js";
import { fileError } from "../../web/runtime/files.js";
import { stopIfAborted } from "../../web/runtime/queue.js";

/**
 * Loads the model.
 * @param options  the folder of the other files (an address; in Node a path will do), or an object: LoadOptions of
 *                 index.d.ts
 */
export async function load(options) {
  const given = typeof options === "string" || options instanceof URL ? { baseUrl: options } : (options ?? {});
  checkOptions("load", given, ["baseUrl", "runtimeUrl", "signal", "checkNaN", ...OWN_OPTIONS]);
  const { baseUrl, signal, checkNaN } = given;
  const text = baseUrl === undefined ? undefined : String(baseUrl);
  const base = text === undefined || text.endsWith("/") ? text : `${text}/`;
  stopIfAborted(signal);
  const read = (name) => readFile(name, base, signal);
  const facts = await readJson("meta.json", read);
  if (facts.format !== "triport-packed" || facts.version !== 1)
    throw fileError("meta.json", `expected format triport-packed version 1, got ${facts.format} version ${facts.version}`);
  const engine = await openEngine(facts, read, given);
  if (signal?.aborted) await engine.close();
  stopIfAborted(signal);
  return new Packed(facts, engine, () => readFile("golden.bin", base), checkNaN);
}
