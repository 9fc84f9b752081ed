// The entry of the classic script: the files stand in EMBEDDED as base64, so nothing is fetched.
import { fromBase64 } from "./files.js";
import { runSamples } from "./golden.js";
import { Model } from "./model.js";
import { stopIfAborted } from "./queue.js";
import { expandWeights } from "./weights.js";

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

export async function load(options = {}) {
  if (typeof options === "string" || options instanceof URL || options.baseUrl !== undefined)
    throw new TypeError(`load: this script holds the model itself and reads no files, got ${options.baseUrl ?? options}`);
  stopIfAborted(options.signal);
  return Model.open(JSON.parse(atob(EMBEDDED["plan.json"])), embedded(options.onProgress), TOOLS, options);
}
