// The entry of the classic script: the files stand in EMBEDDED as base64, so nothing is fetched.
import { fromBase64, Model } from "./model.js";

async function readEmbedded(name) {
  return fromBase64(EMBEDDED[name]);
}

export function load(options = {}) {
  if (typeof options === "string" || options instanceof URL || options.baseUrl !== undefined)
    throw new TypeError(`load: this script holds the model itself and reads no files, got ${options.baseUrl ?? options}`);
  return Model.open(readEmbedded, options);
}
