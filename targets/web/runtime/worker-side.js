// What runs in the Worker that worker.js starts: calls come as messages, answers go back as such. `load` is the bundle's.
const NODE_WORKERS = "node:worker_threads"; // a name that bundlers for the web leave alone

let model;

const CALLS = {
  async load(options, watched, onProgress) {
    model = await load(watched ? { ...options, onProgress } : options);
    return model.meta;
  },
  run: (feeds, options) => model.run(feeds, options),
  selfTest: () => model.selfTest(),
};

const facts = () => model && { memory: model.memory, threads: model.threads };

async function answer({ id, call, args }, post) {
  try {
    const value = await CALLS[call](...args, (progress) => post({ id, progress }));
    const moved = call === "run" ? Object.values(value).map(({ data }) => data.buffer) : [];
    post({ id, value, facts: facts() }, moved);
  } catch ({ name, message, stack, file }) {
    post({ id, error: { name, message, stack, file }, facts: facts() });
  }
}

if (typeof postMessage === "function") {
  onmessage = ({ data }) => answer(data, postMessage);
  postMessage("ready");
} else {
  import(/* @vite-ignore */ NODE_WORKERS).then(({ parentPort }) => {
    const post = parentPort.postMessage.bind(parentPort);
    parentPort.on("message", (message) => answer(message, post));
    post("ready");
  });
}
