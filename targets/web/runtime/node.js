// What the ES module needs in Node alone: folders by their paths, and files that no server gives.

// The name is a variable, so that bundlers for the web leave it alone.
const fromNode = (name) => import(/* @vite-ignore */ name);

/** The URL of a folder given by its address, or by its path, absolute or from where the process stands. */
export async function urlOf(folder) {
  if (/^[a-z][a-z\d+.-]+:/i.test(folder)) return new URL(folder);
  return (await fromNode("node:url")).pathToFileURL(folder);
}

/** The file as a Response, read as it is consumed until the signal ends it; the system's error where it cannot be opened. */
export async function fileAt(url, signal) {
  const { once } = await fromNode("node:events");
  const { createReadStream } = await fromNode("node:fs");
  const { Readable } = await fromNode("node:stream");
  const stream = createReadStream(url, { signal, highWaterMark: 1 << 20 });
  await once(stream, "open").catch((error) => {
    if (error.code === "ENOENT") error.message = "no such file";
    throw error;
  });
  return new Response(Readable.toWeb(stream));
}
