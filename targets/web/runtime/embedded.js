// The entry of bundle.iife.js: the files stand in EMBEDDED as base64, so nothing is fetched.
import { bytesOf } from "./files.js";
import { runSamples } from "./golden.js";
import { Model } from "./model.js";
import { stopIfAborted } from "./queue.js";
import { expandWeights } from "./weights.js";

// Engines do it themselves since 2025: the MLP of the benchmarks answered from here after 89 ms instead of 174.
const fromBase64 = (text) => Uint8Array.fromBase64?.(text) ?? bytesOf(atob(text));

const TOOLS = { golden: () => ({ runSamples }), weights: () => ({ expandWeights }) };

/** The embedded files; one that has a place in memory is copied there. */
const embedded = (onProgress) => async (name, makeRoom) => {
  const bytes = fromBase64(EMBEDDED[name]);
  const room = await makeRoom?.();
  if (!room) return bytes;
  room.set(bytes);
  onProgress?.({ loaded: room.length, total: room.length });
  return room;
};

export async function load(given) {
  const options = given ?? {};
  if (typeof options === "string" || options instanceof URL || options.baseUrl !== undefined)
    throw new TypeError(`load: this script holds the model itself and reads no files, got ${options.baseUrl ?? options}`);
  stopIfAborted(options.signal);
  return Model.open(JSON.parse(atob(EMBEDDED["plan.json"])), embedded(options.onProgress), TOOLS, options);
}
