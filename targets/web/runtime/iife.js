// The entry of the classic script: the files stand in EMBEDDED as base64, so nothing is fetched.
import { fromBase64, Model } from "./model.js";

async function readEmbedded(name) {
  return fromBase64(EMBEDDED[name]);
}

export function load(options = {}) {
  return Model.open(readEmbedded, options);
}
