// What goes in and what comes out: names, dtypes, shapes, and the sizes of the free dims that the shapes settle.
import { elements, multipleOf, namesIn, parseDim, showShape } from "./dims.js";

export const ARRAYS = {
  float32: Float32Array,
  int32: Int32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
};

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

/** Reads the free names that stand alone in `spec.shape`, or times a number, off a given shape. */
function readShape(spec, shape, sizes) {
  if (shape.length !== spec.shape.length) fail(spec, `shape ${showShape(spec.shape)}`, showShape(shape));
  spec.shape.forEach((dim, axis) => {
    const [name, factor] = multipleOf(dim) ?? [];
    if (!name) return;
    if (shape[axis] % factor) fail(spec, `a multiple of ${factor} along axis ${axis}`, showShape(shape));
    sizes[name] ??= shape[axis] / factor;
  });
}

/** Settles the one name that is still open in `spec.shape` from the length of a bare array. */
function readLength(spec, length, sizes) {
  const open = spec.shape.filter((dim) => namesIn(dim).some((name) => sizes[name] === undefined));
  if (open.length === 0) return;
  const [name, factor] = multipleOf(open[0]) ?? [];
  if (open.length > 1 || !name)
    fail(spec, `{data, shape}, because a length does not settle ${showShape(spec.shape)}`, `an array of ${length}`);
  const rest = elements(spec.shape.filter((dim) => dim !== open[0]).map((dim) => parseDim(dim)(sizes)));
  const size = length / rest / factor;
  if (!Number.isInteger(size) || size < 1) {
    const one = showShape(spec.shape.map((dim) => (dim === open[0] ? factor : parseDim(dim)(sizes))));
    const array = ARRAYS[spec.dtype].name;
    fail(spec, `${array}(${rest * factor}) for ${one}, or a multiple of it`, `${array}(${length})`);
  }
  sizes[name] = size;
}

/** Refuses sizes below 1 and beyond the model's limits. */
function checkLimits(specs, limits, sizes) {
  for (const dim of specs.flatMap((spec) => spec.shape)) {
    const [name, step] = multipleOf(dim) ?? [];
    const [least, most] = limits?.[name] ?? [1];
    if (!name || (sizes[name] >= least && sizes[name] <= (most ?? Infinity))) continue;
    const range = `${least * step} ${most ? `to ${most * step}` : "at least"}`;
    throw new TypeError(`"${dim}" is ${sizes[name] * step}, and the model takes ${range}`);
  }
}

/**
 * Checks the feeds of one call.
 * @param limits `{name: [least, most]}` of the free names that have them
 * @returns {{tensors: {data, shape}[], sizes: Record<string, number>}} tensors in the order of `specs`
 */
export function bindInputs(specs, feeds, limits) {
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
  return { tensors, sizes };
}
