// What goes in and what comes out: names, dtypes, shapes, and the sizes of the free dims that the shapes settle.
import { ARRAYS, elements } from "./arrays.js";
import { namesIn, parseDim, showShape, stepsOf } from "./dims.js";

const describe = (value) =>
  ArrayBuffer.isView(value) || Array.isArray(value) ? `${value.constructor.name}(${value.length})` : String(value).slice(0, 40);

function fail(spec, expected, got) {
  throw new TypeError(`input "${spec.name}": expected ${expected}, got ${got}`);
}

/** A feed as `{data, shape}`; shape is undefined for a bare typed array. */
function tensorOf(spec, feed) {
  const tensor = feed && !ArrayBuffer.isView(feed) && feed.data !== undefined ? feed : { data: feed };
  const wanted = ARRAYS[spec.dtype];
  if (tensor.data?.[Symbol.toStringTag] !== wanted.name) // those of another window, too
    fail(spec, `${wanted.name} for ${showShape(spec.shape)}`, describe(tensor.data));
  const shape = tensor.shape ?? tensor.dims; // onnxruntime-web's tensors have dims
  return { data: tensor.data, shape: shape && Array.from(shape, Number) };
}

/** Refuses feeds that are no object of the inputs' names; of many wrong names it tells some. */
function checkNames(specs, feeds) {
  const known = specs.map((spec) => spec.name);
  const wanted = specs.map(({ name, dtype, shape }) => `${name}: ${dtype}${showShape(shape)}`);
  const given = feeds ?? {};
  const missing = known.filter((name) => given[name] === undefined);
  const unknown = ArrayBuffer.isView(given)
    ? [describe(given)]
    : Object.keys(given).filter((name) => !known.includes(name));
  const list = (what, names) => (names.length ? `, ${what} ${names.fill("...", 9).slice(0, 10).join(", ")}` : "");
  const problem = list("missing", missing) + list("got", unknown);
  if (problem) throw new TypeError(`inputs: expected {${wanted.join(", ")}}${problem}`);
}

/** Reads the free names that stand alone in `spec.shape`, or are counted in steps, off a given shape. */
function readShape(spec, shape, sizes) {
  if (shape.length !== spec.shape.length) fail(spec, `shape ${showShape(spec.shape)}`, showShape(shape));
  spec.shape.forEach((dim, axis) => {
    const [name, step, rest] = stepsOf(dim);
    if (!name) return;
    const more = rest ? `${rest} and ` : "";
    if ((shape[axis] - rest) % step) fail(spec, `${more}a multiple of ${step} along axis ${axis}`, showShape(shape));
    sizes[name] ??= (shape[axis] - rest) / step;
  });
}

/** Settles the one name that is still open in `spec.shape` from the length of a bare array. */
function readLength(spec, length, sizes) {
  const open = spec.shape.filter((dim) => namesIn(dim).some((name) => sizes[name] === undefined));
  if (!open.length) return;
  const [name, step, rest] = stepsOf(open[0]);
  if (open.length > 1 || !name)
    fail(spec, `{data, shape}, because a length does not settle ${showShape(spec.shape)}`, `an array of ${length}`);
  const others = elements(spec.shape.filter((dim) => dim !== open[0]).map((dim) => parseDim(dim)(sizes)));
  const size = (length / others - rest) / step;
  if (!Number.isInteger(size) || size < 1) {
    const one = showShape(spec.shape.map((dim) => (dim === open[0] ? step + rest : parseDim(dim)(sizes))));
    const array = ARRAYS[spec.dtype].name;
    const larger = rest ? "one of more steps" : "a multiple of it";
    fail(spec, `${array}(${others * (step + rest)}) for ${one}, or ${larger}`, `${array}(${length})`);
  }
  sizes[name] = size;
}

/** Refuses sizes below 1 and beyond the model's limits. */
function checkLimits(specs, limits, sizes) {
  for (const dim of specs.flatMap(({ shape }) => shape)) {
    const [name, step, rest] = stepsOf(dim);
    const [least, most] = limits?.[name] ?? [1];
    if (!name || (sizes[name] >= least && sizes[name] <= (most ?? Infinity))) continue;
    const whole = (count) => count * step + rest;
    const range = most ? `to ${whole(most)}` : "at least";
    throw new TypeError(`"${dim}" is ${whole(sizes[name])}, and the model takes ${whole(least)} ${range}`);
  }
}

/** Whether `left relation right` holds, by how much more left is than right. */
const holds = (relation, more) =>
  more ? relation[0] === "!" || relation[0] === "<>"[+(more > 0)] : /[=<>]=/.test(relation);

function checkConditions(conditions, sizes) {
  for (const [left, relation, right, words] of conditions ?? [])
    if (!holds(relation, parseDim(left)(sizes) - parseDim(right)(sizes)))
      throw new TypeError(`the model takes sizes for which ${words}; these are ${JSON.stringify(sizes)}`);
}

/**
 * Checks the feeds of one call.
 * @param limits `{name: [least, most]}` of the free names that have them
 * @param conditions `[[left, relation, right, words]]` on the free names
 * @returns {{tensors: {data, shape}[], sizes: Record<string, number>}} tensors in the order of `specs`
 */
export function bindInputs(specs, feeds, { limits, conditions }) {
  checkNames(specs, feeds);
  const sizes = Object.create(null); // a dim may be called "constructor"
  const tensors = specs.map((spec) => tensorOf(spec, feeds[spec.name]));
  specs.forEach((spec, i) => tensors[i].shape && readShape(spec, tensors[i].shape, sizes));
  specs.forEach((spec, i) => tensors[i].shape || readLength(spec, tensors[i].data.length, sizes));
  checkLimits(specs, limits, sizes);
  specs.forEach((spec, i) => {
    const { data, shape: given } = tensors[i];
    const shape = spec.shape.map((dim) => parseDim(dim)(sizes));
    if (given?.some((size, axis) => size !== shape[axis])) fail(spec, `shape ${showShape(shape)}`, showShape(given));
    if (shape.some((size, axis) => !(size >= (spec.shape[axis] && 1))))
      fail(spec, `shape ${showShape(spec.shape)}`, showShape(shape));
    if (data.length !== elements(shape))
      fail(spec, `${ARRAYS[spec.dtype].name}(${elements(shape)}) for ${showShape(shape)}`, describe(data));
    tensors[i].shape = shape;
  });
  checkConditions(conditions, sizes);
  return { tensors, sizes };
}

/** Refuses feeds with a NaN in them: {tensors} of `bindInputs`. */
export function checkNumbers(specs, { tensors }) {
  specs.forEach((spec, i) => {
    const at = tensors[i].data.findIndex(Number.isNaN);
    if (at >= 0) fail(spec, "numbers", `NaN at index ${at}`);
  });
}
