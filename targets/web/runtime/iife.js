// The entry of the classic script: the files stand in EMBEDDED as base64, so nothing is fetched.
import { Model } from "./model.js";

async function readEmbedded(name) {
  return Uint8Array.from(atob(EMBEDDED[name]), (character) => character.charCodeAt(0)).buffer;
}

export function load(options = {}) {
  return Model.open(readEmbedded, options);
}
