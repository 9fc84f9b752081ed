// The best classes of an output, with the names that the model carries.

/**
 * The k largest scores of one row, the best first.
 * @param model    a loaded model
 * @param outputs  what `run` gave
 * @param k        how many at most
 * @param options  output: its name, where there are several; row: which sample of the batch, or which place of all, in the
 *                 order of the other axes, where a sample has several; axis: along which the classes lie, by default the
 *                 one that has as many as there are labels, else the last
 * @returns        [{label, index, score}]; a class without a name is called by its number
 */
export function topK(model, outputs, k = 5, options = {}) {
  checkCall(model, outputs, k, options);
  const names = Object.keys(outputs);
  const labelled = names.filter((name) => model.meta.labels?.[name]);
  const name = options.output ?? (names.length === 1 ? names : labelled)[0];
  const spec = model.meta.outputs.find((each) => each.name === name);
  if (!spec || !outputs[name]) throw new TypeError(`topK: expected output to be one of ${names.join(", ")}, got ${name}`);
  const { data, shape } = outputs[name], labels = model.meta.labels?.[name] ?? [];
  const axis = axisOf(spec, labels, options.axis);
  const classes = shape[axis] ?? 1, apart = shape.slice(axis + 1).reduce((a, b) => a * b, 1); // from a class to the next
  const row = rowOf(name, shape, axis, data.length / classes, options.row);
  const first = Math.floor(row / apart) * apart * classes + (row % apart);
  const codes = spec.quantization;
  const cells = Array.from({ length: classes }, (_, i) => Number(data[first + i * apart]));
  const scored = cells.map((cell, index) => ({
    label: labels[index] ?? String(index),
    index,
    score: codes ? (cell - codes.zero_point) * codes.scale : cell,
  }));
  const last = (score) => (Number.isNaN(score) ? -Infinity : score);
  return scored.sort((a, b) => last(b.score) - last(a.score) || a.index - b.index).slice(0, k);
}

/** The axis of the classes: what is asked for, else the one of as many as there are labels, axis 1 or the last. */
function axisOf({ name, shape }, { length: count }, axis) {
  const rank = shape.length;
  if (axis === undefined) {
    const second = rank > 2 && count > 0 && shape[1] === count;
    if (second && shape[rank - 1] === count)
      throw new TypeError(`topK: "${name}" [${shape}] has ${count} classes along axis 1 or the last: pass axis: 1 or axis: -1`);
    return second ? 1 : rank - 1;
  }
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new RangeError(`topK: "${name}" [${shape}] has ${rank} axes, got axis ${axis}`);
  return axis < 0 ? axis + rank : axis;
}

/** The row that is asked for; the first may be left out where each sample has one. */
function rowOf(name, shape, axis, rows, asked) {
  const others = shape.filter((_, i) => i !== axis);
  if (asked === undefined && others.slice(1).some((size) => size > 1))
    throw new TypeError(
      `topK: "${name}" [${shape}] has its classes along axis ${axis}, so ${rows} rows, the places of [${others}] in ` +
        `order: pass row, 0 to ${rows - 1}, or axis where the classes lie along another`,
    );
  const row = asked ?? 0;
  if (!Number.isInteger(row) || !(row >= 0 && row < rows))
    throw new RangeError(`topK: "${name}" has ${rows} rows, got row ${row}`);
  return row;
}

/** Refuses arguments in another order, and options that there are none of. */
function checkCall(model, outputs, k, options) {
  const kindOf = (value) => value?.constructor?.name ?? String(value);
  const fail = (problem) => {
    throw new TypeError(`topK: ${problem}`);
  };
  if (!model?.meta?.outputs) fail(`expected (model, outputs), first what load() resolves to, got ${kindOf(model)} first`);
  if (!Object.keys(outputs ?? {}).length) fail(`expected outputs, what run() resolves to, got ${kindOf(outputs)}`);
  if (typeof k !== "number" || !(k >= 0) || Math.floor(k) !== k)
    fail(`expected k, a whole number of classes, before the options, got ${typeof k === "number" ? k : kindOf(k)}`);
  const unknown = Object.keys(options).find((key) => !["output", "row", "axis"].includes(key));
  if (unknown) fail(`unknown option ${unknown}; there are output, row, axis`);
}
