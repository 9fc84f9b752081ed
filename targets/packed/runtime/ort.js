// onnxruntime-web: one session on its WebAssembly kernels.
import { ARRAYS } from "../../web/runtime/arrays.js";
import { fromNode } from "./files.js";

/** Cells as the file has them: 64-bit integers are BigInts. */
const carried = (data, carrier) => (carrier === "int64" ? BigInt64Array.from(data, BigInt) : data);
const given = (data, dtype, carrier) => (carrier === "int64" ? ARRAYS[dtype].from(data, Number) : data);

/** The build with WebAssembly alone, half of the whole package; Node knows the whole package only. */
const imported = () =>
  typeof process === "object" && process.versions?.node ? fromNode("onnxruntime-web") : import("onnxruntime-web/wasm");

/** What load() takes for this runtime alone. */
export const OWN_OPTIONS = ["threads"];

export async function openEngine(facts, read, { runtimeUrl, threads = 1 }) {
  if (!(Number.isInteger(threads) && threads >= 1)) // it would choose a number of its own
    throw new TypeError(`load: threads is a number of threads, got ${threads}`);
  const ort = await imported();
  if (runtimeUrl) ort.env.wasm.wasmPaths = String(runtimeUrl);
  ort.env.wasm.numThreads = threads;
  const model = new Uint8Array(await read(facts.files[0]));
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return {
    async run(tensors) {
      const fed = facts.inputs.map(({ name, dtype, carrier }, i) => [
        name,
        new ort.Tensor(carrier ?? dtype, carried(tensors[i].data, carrier), tensors[i].shape),
      ]);
      const answers = await session.run(Object.fromEntries(fed));
      const results = facts.outputs.map(({ name, dtype, carrier }) => {
        const { data, dims } = answers[name];
        return [name, { data: given(data, dtype, carrier), shape: Array.from(dims) }];
      });
      return Object.fromEntries(results);
    },
    close: () => session.release(),
  };
}
