// A bundle's files in the Cache API, each under its address and SHA-256: what is held is never another export's.

/** The key of a file: its address, and the sum among the parameters. */
function keyOf(url, sum) {
  const key = new URL(url);
  key.searchParams.set("sha256", sum);
  return key.href;
}

/**
 * @param name  the cache's name; true: "triport"
 * @returns     {find, keep, drop}, none of which rejects; undefined where there is no Cache API: outside of secure
 *              contexts, in Node, where the user forbids it
 */
export async function openStore(name) {
  let cache;
  try {
    cache = await caches.open(name === true ? "triport" : name);
  } catch {
    return undefined;
  }
  const drop = async (url) => {
    for (const held of await cache.keys(url, { ignoreSearch: true })) {
      const sum = new URL(held.url).searchParams.get("sha256"); // without one it is an entry of the page's own
      if (sum && held.url === keyOf(url, sum)) await cache.delete(held);
    }
  };
  return {
    /** The file as a Response; undefined when it is not held. */
    async find(url, sum) {
      try {
        return await cache.match(keyOf(url, sum));
      } catch {
        return undefined;
      }
    },
    /** Holds the checked bytes in the place of other exports' files. */
    async keep(url, sum, bytes) {
      try {
        const response = new Response(bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice()); // copies
        await drop(url);
        await cache.put(keyOf(url, sum), response);
      } catch {
        // No room, or an address that is not http's: the file is downloaded again next time.
      }
    },
    /** Lets go of a file that is not what it should be. */
    drop: (url) => drop(url).catch(() => {}),
  };
}
