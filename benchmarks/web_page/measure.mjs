// The page of the browser benchmark: keeps loaded networks and runs them when it is told to.

import { open } from "./runtimes.mjs";

const loaded = new Map();

globalThis.bench = {
  /** Loads a network in a runtime; the answer of its first run. */
  async open(runtime, net) {
    const run = await open(runtime, net);
    loaded.set(runtime, run);
    return Array.from(await run());
  },

  /** Runs it until that has taken so long, at least once; how often that was. */
  async warm(runtime, ms) {
    const run = loaded.get(runtime), until = performance.now() + ms;
    let count = 0;
    for (; !count || performance.now() < until; count++) await run();
    return count;
  },

  async times(runtime, count) {
    const run = loaded.get(runtime);
    for (let i = 0; i < count; i++) await run();
  },

  /** Keeps the thread busy, or idle, for so long: what a clock of CPU time is tried with. */
  busy(ms) {
    for (const until = performance.now() + ms; performance.now() < until; );
  },
  idle: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
