// Pictures as the tensors that the model's image inputs take, by the rules that the model declares (meta.images).
// exporter/preprocessing.py is the twin: the same pixels give the same numbers, to the last bit.

const CHANNELS = { grey: 1, rgb: 3, bgr: 3, rgba: 4 };
const PLAIN = { channels: undefined, size: undefined, range: undefined, mean: [0], std: [1], resize: "bilinear" };
const RULES = { ...PLAIN, shorter_side: undefined, background: [255, 255, 255] };
const RESIZES = ["bilinear", "bicubic", "nearest"];
const LARGEST = 32768; // pixels along a side that can be asked for
const SOURCES =
  "an ImageData or {data, width, height} of RGBA bytes, a Blob, an img, canvas or video element, an OffscreenCanvas, " +
  "ImageBitmap or VideoFrame, or a list of them";

/** What a value is called in messages. */
const kindOf = (value) => value?.constructor?.name ?? String(value);

/** An option in messages. */
function shownOf(value) {
  if (Array.isArray(value)) return `[${value.map(shownOf).join(", ")}]`;
  if (typeof value === "string") return JSON.stringify(value);
  return value && typeof value === "object" ? kindOf(value) : String(value);
}

/** Resampling filters: how far they reach, and what a pixel weighs at a distance. */
const FILTERS = {
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  bicubic: [
    2,
    (t) => {
      const x = Math.abs(t);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  ],
};

/**
 * The tensor of a picture, or of several as one batch.
 * @param model    a loaded model
 * @param source   see SOURCES; anything with {data, width, height} of RGBA bytes will do, also in Node
 * @param options  input: its name, where several inputs are images; the others say what the model does not declare, or
 *                 something else than it does: size [height, width], range, mean, std, channels, resize, shorter_side,
 *                 background
 * @returns        {data, shape} for `run`
 */
export async function fromImage(model, source, options = {}) {
  if (!model?.meta?.inputs)
    throw new TypeError(`fromImage: expected (model, picture), first what load() resolves to, got ${kindOf(model)} first`);
  const [spec, rules] = rulesOf(model.meta, options);
  const pictures = [];
  for (const each of Array.isArray(source) ? source : [source]) {
    const bands = bandsOf(await pixelsOf(each), rules);
    if (pictures.length && `${bands[0].height}x${bands[0].width}` !== `${pictures[0][0].height}x${pictures[0][0].width}`)
      throw new TypeError("fromImage: pictures of one batch have to be of one size: pass size: [height, width]");
    pictures.push(bands);
  }
  if (!pictures.length) throw new TypeError(`fromImage: expected ${SOURCES}, got an empty list`);
  return tensorOfBands(spec, rules, pictures);
}

/** The input that is meant, and the rules for it: those declared, then the options. */
function rulesOf({ inputs, images = {} }, { input, ...options }) {
  const names = Object.keys(images);
  const name = input ?? (names.length === 1 ? names[0] : undefined);
  if (!names.length) {
    const listed = inputs.map((each) => `${each.name} ${each.dtype}[${each.shape}]`).join(", ");
    throw new TypeError(
      `fromImage: the model takes no pictures: its inputs are ${listed}; in Python preprocessing= declares which holds one`,
    );
  }
  if (!names.includes(name))
    throw new TypeError(`fromImage: expected options.input to be one of ${names.join(", ")}, got ${name}`);
  const unknown = Object.keys(options).find((key) => !Object.keys(RULES).includes(key));
  if (unknown) throw new TypeError(`fromImage: unknown option ${unknown}; there are ${Object.keys(RULES).join(", ")}`);
  const spec = inputs.find((each) => each.name === name);
  const { layout, count, ...declared } = images[name];
  const sizes = ["H", "W"].map((axis) => (spec.shape.length > 2 ? spec.shape[layout.indexOf(axis)] : undefined));
  const fixed = sizes.every((size) => typeof size === "number") ? sizes : undefined;
  const rules = { ...RULES, layout, channels: { 1: "grey", 3: "rgb", 4: "rgba" }[count], size: fixed, ...declared };
  for (const [key, value] of Object.entries(options)) if (value !== undefined) rules[key] = value;
  if (!rules.range && spec.dtype !== "float32" && !spec.quantization) rules.range = [0, 255];
  return [spec, checkedRules(rules, name, count, fixed)];
}

/** The rules; what tp.Preprocessing refuses is refused in its words, and so is what does not fit the input. */
function checkedRules(rules, name, count, fixed) {
  const fail = (problem) => {
    throw new TypeError(`fromImage: input "${name}"${problem}`);
  };
  const wrong = (key, expected) => fail(`: ${key} has to be ${expected}, got ${shownOf(rules[key])}`);
  const listed = (key, expected, fits, ...counts) => {
    const values = Array.isArray(rules[key]) ? rules[key] : [rules[key]];
    if (!counts.includes(values.length) || !values.every(fits)) wrong(key, expected);
    return values;
  };
  const numbers = (key, ...counts) => {
    const often = [...new Set(counts)].join(" or ");
    return listed(key, `${often} finite number${often === "1" ? "" : "s"}`, Number.isFinite, ...counts);
  };
  const whole = (key, times, least, most) => {
    const what = times === 1 ? "a whole number" : `${times} whole numbers`;
    const fits = (value) => Number.isInteger(value) && value >= least && value <= most;
    return listed(key, `${what} of ${least} to ${most}`, fits, times);
  };
  if (!rules.range) fail(" declares no range: pass range: [0, 1], what pixels of 0 and 255 become in this model");
  const orders = Object.keys(CHANNELS);
  if (!orders.includes(rules.channels)) wrong("channels", `one of ${orders.join(", ")}`);
  if (CHANNELS[rules.channels] !== count) fail(` has ${count} channels, got channels: ${rules.channels}`);
  if (!RESIZES.includes(rules.resize)) wrong("resize", `one of ${RESIZES.join(", ")}`);
  const [low, high] = numbers("range", 2);
  if (low === high) wrong("range", "what pixels of 0 and 255 become, two different numbers");
  const mean = numbers("mean", 1, count), std = numbers("std", 1, count);
  if (std.includes(0)) wrong("std", "numbers other than 0");
  whole("background", 3, 0, 255);
  if (fixed && `${fixed}` !== `${rules.size}`) fail(` is of ${fixed.join("x")} pixels, got size: [${rules.size}]`);
  const size = fixed ?? (rules.size ? whole("size", 2, 1, LARGEST) : undefined);
  const [side] = [undefined, null].includes(rules.shorter_side) ? [] : whole("shorter_side", 1, 1, LARGEST);
  if (side) {
    if (!size) fail(": size has to be given, for shorter_side to cut it out: pass size: [height, width]");
    if (side < Math.max(...size)) wrong("shorter_side", "at least as large as what is cut out");
  }
  return { ...rules, mean, std, size, shorter_side: side };
}

// -- pixels -------------------------------------------------------------------------------------------------------

/** RGBA bytes of a source at its own size: {data, width, height}. */
async function pixelsOf(source) {
  const is = (name) => typeof globalThis[name] === "function" && source instanceof globalThis[name];
  const fail = (problem) => {
    throw new TypeError(`fromImage: ${problem}`);
  };
  if (ArrayBuffer.isView(source?.data)) {
    const { data, width, height } = source;
    const bytes = data instanceof Uint8ClampedArray || data instanceof Uint8Array;
    if (!bytes || !(width > 0 && height > 0) || data.length !== 4 * width * height)
      fail(`expected RGBA bytes of ${width}x${height} pixels, got ${data.constructor.name}(${data.length})`);
    return source;
  }
  if (is("Blob") || is("HTMLImageElement")) {
    if (is("HTMLImageElement")) {
      if (source.loading === "lazy") source.loading = "eager"; // else decode() waits until it comes into sight
      await source.decode().catch(() => fail(`the picture ${source.src} cannot be loaded`));
    }
    if (typeof createImageBitmap === "undefined")
      fail("there is no createImageBitmap here that reads a Blob: decode it, and pass {data, width, height} of RGBA bytes");
    const plain = { premultiplyAlpha: "none", colorSpaceConversion: "none" };
    const bitmap = await createImageBitmap(source, plain).catch((error) => fail(`no picture: ${error.message}`));
    const pixels = drawn(bitmap, bitmap.width, bitmap.height, fail);
    bitmap.close();
    return pixels;
  }
  if (is("HTMLVideoElement")) return drawn(source, source.videoWidth, source.videoHeight, fail);
  if (is("VideoFrame")) return drawn(source, source.displayWidth, source.displayHeight, fail);
  if (["HTMLCanvasElement", "OffscreenCanvas", "ImageBitmap"].some(is))
    return drawn(source, source.width, source.height, fail);
  return fail(`expected ${SOURCES}, got ${kindOf(source)}`);
}

/** Drawn at its own size, so that no pixel is mixed with another. */
function drawn(source, width, height, fail) {
  if (!width || !height) fail(`${source.constructor.name} has no pixels yet, or has been closed`);
  const canvas =
    typeof OffscreenCanvas === "function"
      ? new OffscreenCanvas(width, height)
      : Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, width, height);
  try {
    return context.getImageData(0, 0, width, height);
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
    return fail('the picture is another site\'s: serve it with CORS and load it with crossOrigin = "anonymous"');
  }
}

/** The channels in the model's order, resized and cut: {data, width, height} each, one byte a pixel. */
function bandsOf({ data, width, height }, { channels, background, size, resize, shorter_side: side }) {
  let bands = [0, 1, 2].map((channel) => laid(data, channel, channels === "rgba" ? undefined : background[channel]));
  if (channels === "rgba") bands.push(laid(data, 3));
  if (channels === "grey") bands = [greyOf(bands)];
  if (channels === "bgr") bands.reverse();
  bands = bands.map((bytes) => ({ data: bytes, width, height }));
  if (!size) return bands;
  if (!side) return bands.map((each) => resized(each, size, resize));
  const short = Math.min(height, width);
  const whole = [height, width].map((pixels) => (pixels === short ? side : Math.trunc((side * pixels) / short)));
  return bands.map((each) => middle(resized(each, whole, resize), size));
}

/** One channel of RGBA bytes, laid on a background where one is given. */
function laid(data, channel, background) {
  const out = new Uint8Array(data.length / 4);
  for (let i = 0; i < out.length; i++) {
    const value = data[4 * i + channel], alpha = data[4 * i + 3];
    const mixes = alpha !== 255 && background !== undefined;
    out[i] = mixes ? Math.floor((value * alpha + background * (255 - alpha) + 127) / 255) : value;
  }
  return out;
}

const greyOf = ([red, green, blue]) =>
  red.map((value, i) => (19595 * value + 38470 * green[i] + 7471 * blue[i] + 32768) >> 16);

/** Half, and from there to the even neighbour, as Python's round(x / 2) has it. */
const evenHalf = (x) => Math.floor(x / 2) + (x % 4 === 3 ? 1 : 0);

function middle({ data, width, height: rows }, [tall, wide]) {
  const top = evenHalf(rows - tall), left = evenHalf(width - wide);
  const cut = new Uint8Array(tall * wide);
  for (let y = 0; y < tall; y++) {
    const start = (top + y) * width + left;
    cut.set(data.subarray(start, start + wide), y * wide);
  }
  return { data: cut, width: wide, height: tall };
}

/** As Pillow's Image.resize does on 8 bits: first along the rows, then down the columns. */
function resized(band, [tall, wide], resize) {
  const across = band.width === wide ? band : { ...band, data: alongRows(band, wide, resize), width: wide };
  if (across.height === tall) return across;
  const turned = { data: transposed(across.data, across.height, wide), width: across.height, height: wide };
  return { data: transposed(alongRows(turned, tall, resize), wide, tall), width: wide, height: tall };
}

function transposed(data, rows, columns) {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) out[x * rows + y] = data[y * columns + x];
  return out;
}

function alongRows({ data, width, height }, wide, resize) {
  const out = new Uint8ClampedArray(wide * height);
  const taps = resize === "nearest" ? nearestTaps(width, wide) : tapsOf(width, wide, ...FILTERS[resize]);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < wide; x++, at++) {
      const { first, weights } = taps[x];
      const start = y * width + first;
      let sum = 1 << 21;
      for (let i = 0; i < weights.length; i++) sum += data[start + i] * weights[i];
      out[at] = sum >> 22;
    }
  return out;
}

/** For each pixel of the result the pixels that make it: the first, and what each weighs in 2**-22. */
function tapsOf(width, wide, reach, weigh) {
  const scale = width / wide, wider = Math.max(scale, 1), support = reach * wider;
  return Array.from({ length: wide }, (_, x) => {
    const centre = (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(width, Math.trunc(centre + support + 0.5)) - first;
    const shares = Array.from({ length: count }, (_, i) => weigh((i + first - centre + 0.5) * (1 / wider)));
    const total = shares.reduce((sum, share) => sum + share, 0);
    const weight = (share) => Math.trunc((share / total) * 4194304 + (share < 0 ? -0.5 : 0.5));
    return { first, weights: Int32Array.from(shares, weight) };
  });
}

function nearestTaps(width, wide) {
  const scale = width / wide, weights = Int32Array.of(1 << 22);
  const taps = [];
  for (let x = 0, at = scale / 2; x < wide; x++, at += scale) taps.push({ first: Math.floor(at), weights });
  return taps;
}

// -- numbers ------------------------------------------------------------------------------------------------------

const ROUNDED = {
  uint8: [Uint8Array, 0, 255],
  int8: [Int8Array, -128, 127],
  int32: [Int32Array, -(2 ** 31), 2 ** 31 - 1],
};

/** To the nearest whole number, halves to the even one. */
function roundEven(x) {
  const low = Math.floor(x), rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

/** What each pixel value becomes in channel c. */
function tableOf({ range: [low, high], mean, std }, c, { dtype, quantization: codes }) {
  const number = (p) => (low + (p * (high - low)) / 255 - mean[c % mean.length]) / std[c % std.length];
  if (dtype === "float32") return Float32Array.from({ length: 256 }, (_, p) => number(p));
  const [type, least, most] = ROUNDED[dtype];
  const coded = (x) => (codes ? Math.fround(Math.fround(x) / Math.fround(codes.scale)) : x);
  const code = (p) => roundEven(coded(number(p))) + (codes ? codes.zero_point : 0);
  return type.from({ length: 256 }, (_, p) => Math.min(most, Math.max(least, code(p))));
}

function tensorOfBands(spec, rules, pictures) {
  const [{ width, height }] = pictures[0];
  const count = pictures[0].length, cells = width * height;
  const tables = pictures[0].map((_, c) => tableOf(rules, c, spec));
  const data = new tables[0].constructor(pictures.length * count * cells);
  const [step, apart] = rules.layout === "NCHW" ? [1, cells] : [count, 1];
  pictures.forEach((bands, n) =>
    bands.forEach((band, c) => {
      const start = n * count * cells + c * apart;
      for (let i = 0; i < cells; i++) data[start + i * step] = tables[c][band.data[i]];
    }),
  );
  const sizes = { N: pictures.length, H: height, W: width, C: count };
  const shape = spec.shape.length === 2 ? [pictures.length, count * cells] : [...rules.layout].map((axis) => sizes[axis]);
  return { data, shape };
}
