// How a kernel call is divided into calls that write different cells of its result. Each cell is computed by the same
// sums in the same order as in the whole call, so that the results are equal bit for bit. Kernels without a rule here
// are not divided.

const ALIGN = 64;
const LEAST_WORK = 1 << 16; // multiplications, about, that are worth a part of their own
const MOST_PARTS = 254; // of a call: a ticket has 8 bits for them (threads.js)
const LEAST_RUN = 1 << 22; // and those of all divided calls that are worth waking threads

/**
 * `count` as [start, size] of at most `most` pieces that begin at multiples of `grain` and are no shorter than it.
 */
function pieces(count, most, grain) {
  const number = Math.max(1, Math.min(most, Math.floor(count / grain)));
  const start = (i) => (i < number ? Math.floor((count * i) / number / grain) * grain : count);
  return Array.from({ length: number }, (_, i) => [start(i), start(i + 1) - start(i)]);
}

export const align = (bytes) => Math.ceil(bytes / ALIGN) * ALIGN;

/** The axes of a table from entry `from` on, `step` entries each: [entry, size]. */
function axes(table, from, step) {
  const found = [];
  for (let entry = from; entry < table.length; entry += step) found.push([entry, table[entry]]);
  return found;
}

const product = (found) => found.reduce((count, [, size]) => count * size, 1);

/** The entry of the outermost axis that has more than one index, and the product of those behind it. */
function outermost(table, from, step) {
  const found = axes(table, from, step);
  const i = found.findIndex(([, size]) => size > 1);
  return i < 0 ? [] : [found[i][0], product(found.slice(i + 1))];
}

/** The entry of the outermost axis that has enough for all threads, or else of the largest, and the product of the others. */
function widest(table, from, step) {
  const found = axes(table, from, step);
  if (!found.length) return [];
  const largest = found.reduce((one, other) => (other[1] > one[1] ? other : one));
  const [entry, size] = found.find(([, size]) => size >= 16) ?? largest;
  return [entry, product(found) / size];
}

// Rules. A call's arguments are numbers, and arrays for tables. A rule gives
//   at     where the number stands that is divided: [argument], or [argument, entry of a table]
//   moves  {argument: bytes} by which addresses move for each one of it
//   grain  pieces begin at multiples of this
//   work   multiplications for each one of it, about
//   scratch  arguments that are memory of a call's own
// Those of images have table, sizes, bytes, scratch and transposed instead (below).

const cells = (y, x) => () => ({ at: [2], moves: { 0: y, 1: x }, grain: 64, work: y });

/** [outer, n, inner] from the third argument on; the result has `n` or one of them */
const runs = (bytes, whole, ...scratch) => ([, , , n, inner]) => ({
  at: [2],
  moves: { 0: (whole ? n : 1) * inner * bytes, 1: n * inner * bytes },
  work: 2 * n * inner,
  scratch,
});

const broadcast = (bytes) => ([, , , table]) => {
  const [, inner, a, b] = table;
  const [entry, others] = outermost(table, 4, 3);
  if (!entry) return { at: [3, 1], moves: { 0: bytes, 1: a * bytes, 2: b * bytes }, grain: 64, work: 1 };
  const run = inner * others;
  return { at: [3, entry], moves: { 0: run * bytes, 1: table[entry + 1] * bytes, 2: table[entry + 2] * bytes }, work: run };
};

/** Chains that an export wrote: the table behind the operands has for each axis its size and the bytes from one index to the next. */
const chain = (args) => {
  const last = args.length - 1, table = args[last];
  const [entry, others] = outermost(table, 0, last);
  if (entry === undefined) return undefined;
  const moves = Object.fromEntries(args.slice(0, last).map((_, i) => [i, i ? table[entry + i] : 4 * others]));
  return { at: [last, entry], moves, grain: entry + last < table.length ? 1 : 64, work: 8 * others };
};

const copy = (bytes) => ([y, x, table]) => {
  const [entry, others] = widest(table, 3, 3);
  const moves = { 0: table[entry + 2] * bytes, 1: table[entry + 1] * bytes };
  return y !== x && { at: [2, entry], moves, work: others };
};

const matrix = ([, , , , rows, columns, depth]) =>
  rows > 1
    ? { at: [4], moves: { 0: 4 * columns, 1: 4 * depth }, grain: 4, work: columns * depth }
    : { at: [5], moves: { 0: 4, 2: 4 * depth, 3: 4 }, grain: 32, work: depth };

const codeMatrix = ([, , , , , , [rows, columns, depth]]) =>
  rows > 1
    ? { at: [6, 0], moves: { 0: columns, 1: depth }, grain: 4, work: columns * depth, scratch: [5] }
    : { at: [6, 1], moves: { 0: 1, 2: 2 * Math.ceil(depth / 2), 3: 4, 4: 4 }, grain: 64, work: depth, scratch: [5] };

/** Matrices one after the other: `table` has [axes, rows, columns, depth, …], and the axes from entry `from` on. */
const matrices = (where, from, bytes, ...scratch) => (args) => {
  const table = args[where];
  const [, rows, columns, depth] = table;
  const [entry, others] = outermost(table, from, 3);
  const work = columns * depth;
  if (!entry) return { at: [where, 1], moves: { 0: columns * bytes, 1: depth * bytes }, grain: 4, work, scratch };
  const each = rows * columns * others;
  const moves = { 0: each * bytes, 1: table[entry + 1] * bytes, 2: table[entry + 2] * bytes };
  return { at: [where, entry], moves, work: each * depth, scratch };
};

/** Heads, or where there is one, queries, of which one knows its place if it sees only the keys before it (masked: 4). */
const attention = ([, , , , , , table]) => {
  const [, queries, keys, depth, width, masked, , , , query, , , result, mask] = table;
  const [entry, others] = widest(table, 15, 6);
  const maskBytes = masked === 1 ? 4 : 1;
  const work = keys * (depth + width);
  if (table[entry] > 1) {
    const [q, k, v, y, m] = table.slice(entry + 1, entry + 6);
    const moves = { 0: 4 * y, 1: 4 * q, 2: 4 * k, 3: 4 * v, 4: maskBytes * m };
    return { at: [6, entry], moves, work: others * queries * work, scratch: [5] };
  }
  const moves = { 0: 4 * result, 1: 4 * query, 4: maskBytes * mask };
  return masked === 4 ? undefined : { at: [6, 1], moves, grain: 8, work, scratch: [5] };
};

// Images: where the struct in argument `table` has its sizes, behind batch, height, width and channels of x; and the
// multiplications for a cell of the result. Winograd's computes two lines at once.
const CONV = { height: 4, width: 5, depth: 6, stride: 9, top: 13, grain: 1, work: (g) => (g[7] * g[8] * g[3]) / g[15] };
const POOL = { height: 4, width: 5, depth: 3, stride: 8, top: 12, grain: 1, work: (g) => g[6] * g[7] };
const WINOGRAD = { height: 4, width: 5, depth: 6, top: 7, grain: 2, work: (g) => 4 * g[3] };
const images = (table, sizes, bytes, scratch, transposed) => () => ({ table, sizes, bytes, scratch, transposed });

const each = (names, rule) => Object.fromEntries(names.split(" ").map((name) => [name, rule]));

export const RULES = {
  gemm: matrix,
  matmul: matrices(4, 6, 4, 3),
  q_gemm: codeMatrix,
  q_matmul: matrices(6, 10, 1, 3, 4, 5),
  attention,
  conv2d: images(4, CONV, 4, [5]),
  conv_transpose2d: images(4, CONV, 4, [5], true),
  winograd: images(4, WINOGRAD, 4, [5]),
  depthwise2d: images(4, POOL, 4),
  max_pool2d: images(2, POOL, 4),
  avg_pool2d: images(2, POOL, 4),
  max_pool2d_i8: images(2, POOL, 1),
  q_conv2d: images(6, CONV, 1, [5]),
  q_winograd: images(5, WINOGRAD, 1, [6, 7, 8]),
  q_depthwise2d: images(7, CONV, 1, [5, 6]),
  q_sum2d: images(4, CONV, 1),
  layer_norm: ([, , , , , n]) => ({ at: [4], moves: { 0: 4 * n, 1: 4 * n }, work: 4 * n }),
  add_layer_norm: ([, , , , , , , n]) => ({ at: [6], moves: { 0: 4 * n, 1: 4 * n, 2: 4 * n, 3: 4 * n }, work: 5 * n }),
  copy_4: copy(4),
  copy_1: copy(1),
  quantize: cells(1, 4),
  dequantize: cells(4, 1),
  lookup: cells(1, 1),
  lookup_f32: cells(4, 1),
  q_softmax: runs(1, true, 6),
  ...each("softmax log_softmax", runs(4, true)),
  ...each("reduce_sum reduce_mean reduce_max reduce_min", runs(4, false)),
  ...each("q_add q_mul", broadcast(1)),
  ...each("add sub mul div maximum minimum prelu", broadcast(4)),
  ...each("clamp_to sigmoid tanh exp expm1 log log1p sqrt rsqrt reciprocal neg abs square cube floor ceil", cells(4, 4)),
  ...each("round trunc sign erf gelu gelu_tanh silu hard_swish hard_sigmoid elu selu softplus softsign mish", cells(4, 4)),
  ...each("leaky_relu sin cos", cells(4, 4)),
};

/** The call for `size` of what is divided, from `start` on. */
function part(args, { at: [argument, entry], moves }, start, size) {
  const own = args.map((arg, i) => (i in moves ? arg + start * moves[i] : arg));
  if (entry === undefined) own[argument] = size;
  else (own[argument] = [...args[argument]])[entry] = size;
  return own;
}

/** The call for `size` lines of an image's result: its x begins further down, where the window of the first one does. */
function lines(args, { table, sizes, bytes, transposed }, image, start, size) {
  const own = [...args];
  const g = (own[table] = [...args[table]]);
  const [, height, width, channels] = g;
  const first = start * (g[sizes.stride] ?? 1) - g[sizes.top];
  const down = transposed ? 0 : Math.max(0, Math.min(first, height - 1));
  own[0] += (image * g[sizes.height] + start) * g[sizes.width] * g[sizes.depth] * bytes;
  own[1] += (image * height + down) * width * channels * bytes;
  g[0] = 1;
  g[1] -= down;
  g[sizes.height] = size;
  g[sizes.top] = transposed ? g[sizes.top] + start : down - first;
  return own;
}

function imageWork(args, { table, sizes }) {
  const g = args[table];
  return g[0] * g[sizes.height] * g[sizes.width] * g[sizes.depth] * sizes.work(g);
}

function divideImages(args, rule, number) {
  const { table, sizes, transposed } = rule;
  const g = args[table];
  const grain = transposed ? g[sizes.stride] : sizes.grain;
  // Whole images, several a part, where there are more of them than parts.
  if (number > 1 && g[0] >= number)
    return pieces(g[0], number, 1).map(([image, count]) => {
      const own = [...args];
      own[0] += image * g[sizes.height] * g[sizes.width] * g[sizes.depth] * rule.bytes;
      own[1] += image * g[1] * g[2] * g[3] * rule.bytes;
      own[table] = [count, ...g.slice(1)];
      return own;
    });
  const own = [];
  for (let image = 0; number > 1 && image < g[0]; image++)
    for (const [start, size] of pieces(g[sizes.height], Math.ceil(number / g[0]), grain))
      own.push(lines(args, rule, image, start, size));
  return own;
}

/** A call as several that write different cells, the work there is, and which arguments each needs memory of its own for. */
function split(name, args, most, least) {
  const rule = (RULES[name] ?? (name.startsWith("chain") ? chain : undefined))?.(args);
  if (!rule) return undefined;
  const { at, grain = 1, work, scratch = [] } = rule;
  const count = rule.table ? 0 : at.length === 1 ? args[at[0]] : args[at[0]][at[1]];
  const all = rule.table ? imageWork(args, rule) : count * work;
  const worth = Math.floor(all / least);
  const number = worth >= most ? most : worth >= most / 2 ? most / 2 : worth;
  const parts = rule.table
    ? divideImages(args, rule, number)
    : pieces(count, number, grain).map(([start, size]) => part(args, rule, start, size));
  return parts.length > 1 && parts.length <= MOST_PARTS ? { parts, scratch, work: all } : undefined;
}

/**
 * Divides what is worth it. The schedule gets `parts`, for each call a list of argument lists, or undefined; `own`, the
 * tables that they need, which stand behind what it took before, as do the parts' scratch buffers; and `divided`:
 * whether all of that is worth waking threads.
 * @param schedule  schedule.js's
 * @param plan      plan.json
 * @param most      about how many parts of a call: twice what there are threads
 * @param least     multiplications that are worth a part of their own
 */
export function divide(schedule, plan, most, least = LEAST_WORK) {
  const { tables, tablesAt, size, calls } = schedule;
  const found = calls.map(({ name, args }, i) => {
    const read = (arg, spelled) => {
      const from = (arg - tablesAt) / 4;
      return Array.isArray(spelled) ? [...tables.subarray(from, from + spelled.length)] : arg;
    };
    return split(name, args.map((arg, j) => read(arg, plan.ops[i][j + 1])), most, least);
  });
  const own = [];
  const at = align(schedule.bytes);
  const placed = (arg) => {
    if (!Array.isArray(arg)) return arg;
    own.push(...arg);
    return at + 4 * (own.length - arg.length);
  };
  schedule.parts = found.map((call) => call?.parts.map((args) => args.map(placed)));
  schedule.own = { at, table: Int32Array.from(own) };
  schedule.divided = found.reduce((work, call) => work + (call?.work ?? 0), 0) >= LEAST_RUN;
  const scratchAt = (schedule.bytes = align(at + 4 * own.length));
  found.forEach((call, i) => {
    let free = scratchAt;
    schedule.parts[i]?.slice(1).forEach((args) => {
      for (const argument of call.scratch) {
        args[argument] = free;
        free += align(size(plan.buffers[plan.ops[i][argument + 1].slice(1)][0]) + ALIGN);
      }
    });
    schedule.bytes = Math.max(schedule.bytes, free);
  });
}
