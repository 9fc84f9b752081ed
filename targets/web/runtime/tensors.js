// What goes in and what comes out: names, dtypes, shapes, and the sizes of the free dims that the shapes settle.
import { ARRAYS, elements } from "./arrays.js";
import { namesIn, parseDim, showShape, stepsOf } from "./dims.js";

const describe = (value) =>
  ArrayBuffer.isView(value) || Array.isArray(value) ? `${value.constructor.name}(${value.length})` : String(value);

function fail(spec, expected, got) {
  throw new TypeError(`input "${spec.name}": expected ${expected}, got ${got}`);
}

/** A feed as `{data, shape}`; shape is undefined for a bare typed array. */
function tensorOf(spec, feed) {
  const tensor = feed && !ArrayBuffer.isView(feed) && feed.data !== undefined ? feed : { data: feed };
  const wanted = ARRAYS[spec.dtype];
  if (!(tensor.data instanceof wanted))
    fail(spec, `${wanted.name} for ${showShape(spec.shape)}`, describe(tensor.data));
  return { data: tensor.data, shape: tensor.shape && Array.from(tensor.shape) };
}

function checkNames(specs, feeds) {
  const known = specs.map((spec) => spec.name);
  const missing = known.filter((name) => feeds?.[name] === undefined);
  const unknown = Object.keys(feeds ?? {}).filter((name) => !known.includes(name));
  const problems = [];
  if (missing.length) problems.push(`missing ${missing.join(", ")}`);
  if (unknown.length) problems.push(`unknown ${unknown.join(", ")}`);
  const wanted = specs.map(({ name, dtype, shape }) => `${name} ${dtype}${showShape(shape)}`);
  if (problems.length)
    throw new TypeError(`inputs do not match: ${problems.join("; ")} (the inputs are: ${wanted.join(", ")})`);
}

/** Reads the free names that stand alone in `spec.shape`, or are counted in steps, off a given shape. */
function readShape(spec, shape, sizes) {
  if (shape.length !== spec.shape.length) fail(spec, `shape ${showShape(spec.shape)}`, showShape(shape));
  spec.shape.forEach((dim, axis) => {
    const [name, step, rest] = stepsOf(dim) ?? [];
    if (!name) return;
    const more = rest ? `${rest} and ` : "";
    if ((shape[axis] - rest) % step) fail(spec, `${more}a multiple of ${step} along axis ${axis}`, showShape(shape));
    sizes[name] ??= (shape[axis] - rest) / step;
  });
}

/** Settles the one name that is still open in `spec.shape` from the length of a bare array. */
function readLength(spec, length, sizes) {
  const open = spec.shape.filter((dim) => namesIn(dim).some((name) => sizes[name] === undefined));
  if (open.length === 0) return;
  const [name, step, rest] = stepsOf(open[0]) ?? [];
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
  for (const dim of specs.flatMap((spec) => spec.shape)) {
    const [name, step, rest] = stepsOf(dim) ?? [];
    const [least, most] = limits?.[name] ?? [1];
    if (!name || (sizes[name] >= least && sizes[name] <= (most ?? Infinity))) continue;
    const whole = (count) => count * step + rest;
    const range = `${whole(least)} ${most ? `to ${whole(most)}` : "at least"}`;
    throw new TypeError(`"${dim}" is ${whole(sizes[name])}, and the model takes ${range}`);
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
  const sizes = {};
  const tensors = specs.map((spec) => tensorOf(spec, feeds[spec.name]));
  specs.forEach((spec, i) => tensors[i].shape && readShape(spec, tensors[i].shape, sizes));
  specs.forEach((spec, i) => tensors[i].shape || readLength(spec, tensors[i].data.length, sizes));
  checkLimits(specs, limits, sizes);
  specs.forEach((spec, i) => {
    const { data, shape: given } = tensors[i];
    const shape = spec.shape.map((dim) => parseDim(dim)(sizes));
    const least = (axis) => (spec.shape[axis] === 0 ? 0 : 1);
    if (given?.some((size, axis) => size !== shape[axis]) || shape.some((size, axis) => !(size >= least(axis))))
      fail(spec, `shape ${showShape(spec.shape)}`, showShape(given ?? shape));
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
