// What the ES module needs in Node alone: folders by their paths, and files that no server gives.

// The name is a variable, so that bundlers for the web leave it alone.
const fromNode = (name) => import(/* @vite-ignore */ name);

/** The URL of a folder given by its path, absolute or from where the process stands. */
export async function urlOf(path) {
  return (await fromNode("node:url")).pathToFileURL(path);
}

/** The file as a Response, read as it is consumed; an Error with the system's `code` where it cannot be opened. */
export async function fileAt(url) {
  const { once } = await fromNode("node:events");
  const { createReadStream } = await fromNode("node:fs");
  const { Readable } = await fromNode("node:stream");
  const stream = createReadStream(url, { highWaterMark: 1 << 20 });
  await once(stream, "open").catch(({ code, message }) => {
    throw Object.assign(new Error(code === "ENOENT" ? "no such file" : message), { code });
  });
  return new Response(Readable.toWeb(stream));
}
