// The best classes of an output, with the names that the model carries.

/**
 * The k largest scores of one row, the best first.
 * @param model    a loaded model
 * @param outputs  what `run` gave
 * @param k        how many at most
 * @param options  output: its name, where there are several; row: which sample of the batch
 * @returns        [{label, index, score}]; a class without a name is called by its number
 */
export function topK(model, outputs, k = 5, options = {}) {
  checkCall(model, outputs, k, options);
  const { output, row = 0 } = options;
  const names = Object.keys(outputs);
  const labelled = names.filter((name) => model.meta.labels?.[name]);
  const name = output ?? (names.length === 1 ? names : labelled)[0];
  if (!outputs[name]) throw new TypeError(`topK: expected output to be one of ${names.join(", ")}, got ${name}`);
  const { data, shape } = outputs[name];
  const classes = shape[shape.length - 1] ?? 1, rows = data.length / classes;
  if (!(row >= 0 && row < rows)) throw new RangeError(`topK: "${name}" has ${rows} rows, got row ${row}`);
  const { quantization: codes } = model.meta.outputs.find((spec) => spec.name === name);
  const cells = Array.from(data.subarray(row * classes, (row + 1) * classes), Number);
  const scored = cells.map((cell, index) => ({
    label: model.meta.labels?.[name]?.[index] ?? String(index),
    index,
    score: codes ? (cell - codes.zero_point) * codes.scale : cell,
  }));
  const last = (score) => (Number.isNaN(score) ? -Infinity : score);
  return scored.sort((a, b) => last(b.score) - last(a.score) || a.index - b.index).slice(0, k);
}

/** Refuses arguments in another order, and options that there are none of. */
function checkCall(model, outputs, k, options) {
  const kindOf = (value) => value?.constructor?.name ?? String(value);
  const fail = (problem) => {
    throw new TypeError(`topK: ${problem}`);
  };
  if (!model?.meta?.outputs) fail(`expected (model, outputs), first what load() resolves to, got ${kindOf(model)} first`);
  if (!Object.keys(outputs ?? {}).length) fail(`expected outputs, what run() resolves to, got ${kindOf(outputs)}`);
  if (typeof k !== "number" || !(k >= 0))
    fail(`expected k, how many classes, before the options, got ${typeof k === "number" ? k : kindOf(k)}`);
  const unknown = Object.keys(options).find((key) => !["output", "row"].includes(key));
  if (unknown) fail(`unknown option ${unknown}; there are output, row`);
}
