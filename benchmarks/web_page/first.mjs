// The smallest page with one runtime: it tells the server when its first answer stood there, in ms since the navigation
// began.

import { open } from "./runtimes.mjs";

const { runtime, net } = JSON.parse(new URLSearchParams(location.search).get("what"));
const tell = (body) => fetch("/answer", { method: "POST", body });
try {
  const run = await open(runtime, net);
  await run();
  tell(performance.now());
} catch (error) {
  tell(error);
}
