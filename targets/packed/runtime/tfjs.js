// TensorFlow.js: a graph model on its WebAssembly backend.
import { packageFolder, readJson } from "./files.js";
import { ARRAYS } from "../../web/runtime/arrays.js";

// Bundlers and import maps give the names themselves; Node gives CommonJS, which stands under "default".
const [core, converter, wasm] = [tfCore, tfConverter, tfWasm].map((module) => module.default ?? module);
const CARRIERS = { uint8: "int32", int8: "int32" };
const STARTING = Symbol.for("triport.tfjs.starting");

/** What load() takes for this runtime alone. */
export const OWN_OPTIONS = [];

async function startBackend(runtimeUrl) {
  if (core.getBackend()) await core.ready().catch(() => {}); // the page may have begun a start, and be waiting for it
  const folder = runtimeUrl ?? packageFolder("@tensorflow/tfjs-backend-wasm", "./");
  if (folder && typeof process !== "object") wasm.setWasmPaths(String(folder));
  wasm.setThreadsCount(1);
  if (!(await core.setBackend("wasm"))) throw new Error("TensorFlow.js could not start its WebAssembly backend");
}

export async function openEngine(facts, read, { runtimeUrl }) {
  // TensorFlow.js has one backend for the page, and of two starts at a time it drops the first. Every folder has a copy of
  // this script, so the start under way stands where all of them see it.
  globalThis[STARTING] ??= startBackend(runtimeUrl).finally(() => delete globalThis[STARTING]);
  await globalThis[STARTING];
  const document = await readJson("model.json", read);
  const [{ paths, weights }] = document.weightsManifest;
  const weightData = await new Blob(await Promise.all(paths.map(read))).arrayBuffer();
  const model = new converter.GraphModel({ load: async () => ({ ...document, weightSpecs: weights, weightData }) });
  await model.load();
  const names = facts.outputs.map(({ name }) => name);
  return {
    async run(tensors) {
      const fed = facts.inputs.map(({ name, dtype }, i) => {
        const { data, shape } = tensors[i];
        return [name, core.tensor(CARRIERS[dtype] ? Int32Array.from(data) : data, shape, CARRIERS[dtype] ?? dtype)];
      });
      const answers = [model.execute(Object.fromEntries(fed), names)].flat(); // one alone is no array
      const results = await Promise.all(
        facts.outputs.map(async ({ name, dtype }, i) => {
          const { shape } = answers[i];
          return [name, { data: ARRAYS[dtype].from(await answers[i].data()), shape: Array.from(shape) }];
        }),
      );
      core.dispose([fed.map(([, tensor]) => tensor), answers]);
      return Object.fromEntries(results);
    },
    close: () => model.dispose(),
  };
}
