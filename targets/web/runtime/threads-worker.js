// A thread beside the one that runs the model: takes parts of the calls that are divided (threads.js).

const TICKET = 0, DONE = 1, FAILED = 2;
const TURNS = 50_000; // how often it looks before it goes to sleep: about 0.1 ms, which is what waking up takes

let kernels, words, schedule;

/** Takes parts until the run has ended. */
function help() {
  const { base, names, parts } = schedule;
  for (let turns = 0; ; turns++) {
    const ticket = Atomics.load(words, TICKET);
    const call = (ticket >>> 8) - base;
    if (!(call in parts)) return; // the end, or a run of other sizes
    const part = ticket & 255;
    if (part >= parts[call].length) {
      if (turns > TURNS) Atomics.wait(words, TICKET, ticket, 100);
      continue;
    }
    turns = 0;
    if (Atomics.compareExchange(words, TICKET, ticket, ticket + 1) !== ticket) continue;
    try {
      kernels[names[call]](...parts[call][part]);
    } catch {
      Atomics.store(words, FAILED, 1);
    }
    Atomics.add(words, DONE, 1);
    Atomics.notify(words, DONE);
  }
}

function listen(port) {
  port.onmessage = ({ data }) => {
    if (data === "run") help();
    else if (data.parts) schedule = data;
    else {
      words = data.words;
      const stack = new WebAssembly.Global({ value: "i32", mutable: true }, data.stack);
      kernels = new WebAssembly.Instance(data.module, { t: { m: data.memory, s: stack } }).exports;
      port.postMessage("ready");
    }
  };
}

// The name is a variable, so that bundlers for the web leave it alone.
const fromNode = (name) => import(/* @vite-ignore */ name);
if (typeof WorkerGlobalScope === "undefined") fromNode("node:worker_threads").then(({ parentPort }) => listen(parentPort));
else listen(globalThis);
