// The page of the browser benchmark: keeps loaded networks and runs them when it is told to.

import { open } from "./runtimes.mjs";

const loaded = new Map();

/** A classic script: it has run when the promise is kept. */
const script = (src) =>
  new Promise((onload, onerror) => {
    document.head.append(Object.assign(document.createElement("script"), { src, async: false, onload, onerror }));
  });

globalThis.bench = {
  /** Loads a network in a runtime, whose module and classic scripts are named; the answer of its first run. */
  async open(runtime, net, { module, scripts }) {
    await Promise.all(scripts.map(script));
    const library = module && (await import(module));
    const data = new Float32Array(await (await fetch(`${net.folder}/${net.input}`)).arrayBuffer());
    const run = await open(runtime, net, library, data);
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
