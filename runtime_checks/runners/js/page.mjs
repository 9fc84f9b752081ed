// Runs a bundle in a page: fetches messages from triport's server and posts the answers back.

import { createHost } from "./host.mjs";
import { encode } from "./frames.mjs";

const post = (answer) => fetch("done", { method: "POST", body: answer });
// A report that cannot be delivered ends here: as a rejection it would be reported in its turn, without end.
const report = (text) => post(encode({ ok: false, error: text })).catch(() => {});

addEventListener("error", (event) => report(event.message));
addEventListener("unhandledrejection", (event) => report(String(event.reason)));
addEventListener("securitypolicyviolation", (event) =>
  report(`the page's security policy forbids ${event.blockedURI || event.violatedDirective}`),
);

const handle = createHost(
  (url) => import(new URL(url, location.href).href),
  () => performance.now() / 1000,
);

for (;;) {
  const response = await fetch("next", { cache: "no-store" });
  if (response.status === 200) await post(await handle(await response.arrayBuffer()));
  else if (response.status !== 204) break; // 204: nothing to do yet
}
