// The smallest page with one runtime: when its first answer stood there, in ms since the navigation began.

import { open } from "./runtimes.mjs";

const { runtime, net } = JSON.parse(new URLSearchParams(location.search).get("what"));
try {
  const run = await open(runtime, net);
  await run();
  globalThis.first = performance.now();
} catch (error) {
  globalThis.first = String(error);
}
