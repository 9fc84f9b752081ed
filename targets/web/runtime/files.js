// A bundle's files: what is said of one that cannot be used, and whether one is what was exported.

/** An error that says which file cannot be used, and why. */
export const fileError = (file, problem, cause) =>
  Object.assign(new Error(`${file}: ${problem}`, { cause }), { name: "LoadError", file });

/** The bytes that the characters of a text stand for, as atob() gives them. */
export const bytesOf = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** Whether the SHA-256 of the bytes begins so (base64); true where the engine cannot tell: outside of secure contexts. */
export async function hasSum(bytes, sum) {
  const owned = bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice(); // shared memory is not taken
  const digest = await globalThis.crypto?.subtle?.digest("SHA-256", owned).catch(() => undefined);
  return !digest || btoa(String.fromCharCode(...new Uint8Array(digest, 0, 15))) === sum;
}
