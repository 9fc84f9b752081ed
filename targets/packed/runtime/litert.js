// LiteRT.js: a model of batch 1 on XNNPACK, run for one row after the other.
import { packageFolder } from "./files.js";

/** What load() takes for this runtime alone. */
export const OWN_OPTIONS = [];

function start(runtimeUrl) {
  const folder = runtimeUrl ?? packageFolder("@litertjs/core", "../wasm/");
  if (!folder) throw new Error("load({runtimeUrl}): where are the files of @litertjs/core/wasm served?");
  return loadLiteRt(String(folder));
}

export async function openEngine(facts, read, { runtimeUrl }) {
  await (getGlobalLiteRtPromise() ?? start(runtimeUrl)); // one for the page, whoever began it
  const model = await loadAndCompile(new Uint8Array(await read(facts.files[0])), { accelerator: "wasm" });
  const { inputs, outputs } = facts;
  const rowWise = inputs.some(({ shape }) => shape.some((dim) => typeof dim !== "number"));

  /** Outputs of one row, by name. */
  async function runRow(tensors, row) {
    const fed = inputs.map(({ name }, i) => {
      const { data, shape } = tensors[i];
      const size = rowWise ? data.length / shape[0] : data.length;
      const cells = data.subarray(row * size, (row + 1) * size);
      return [name, new Tensor(cells, rowWise ? [1, ...shape.slice(1)] : shape)];
    });
    const answers = await model.run(Object.fromEntries(fed));
    const results = outputs.map(({ name }) => {
      const tensor = answers[name];
      return { data: tensor.toTypedArray().slice(), shape: Array.from(tensor.type.layout.dimensions) };
    });
    for (const tensor of [...fed.map(([, tensor]) => tensor), ...Object.values(answers)]) tensor.delete();
    return results;
  }

  return {
    async run(tensors) {
      const rows = rowWise ? tensors[0].shape[0] : 1;
      const parts = [];
      for (let row = 0; row < rows; row++) parts.push(await runRow(tensors, row));
      return Object.fromEntries(outputs.map(({ name }, i) => [name, stacked(parts.map((part) => part[i]))]));
    },
    close: () => model.delete(),
  };
}

/** Rows of one output, one after the other. */
function stacked(rows) {
  const [{ data, shape }] = rows;
  if (rows.length === 1) return { data, shape };
  const together = new data.constructor(rows.length * data.length);
  rows.forEach((row, i) => together.set(row.data, i * data.length));
  return { data: together, shape: [rows.length, ...shape.slice(1)] };
}
