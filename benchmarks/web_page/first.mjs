// The smallest page with one runtime: it says when its first answer stood there, in ms since the navigation began.

import { open } from "./runtimes.mjs";

const { runtime, net } = JSON.parse(new URLSearchParams(location.search).get("what"));
try {
  const run = await open(runtime, net);
  await run();
  console.log(`first answer: ${performance.now()}`);
} catch (error) {
  console.log(`first answer: ${error}`);
}
