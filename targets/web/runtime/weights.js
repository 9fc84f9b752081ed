// Weights as the calls read them, from a file that holds some in fewer bits: float16, or codes and steps.

/** The float32 of every float16, by its bits. */
function halves() {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const mantissa = bits & 1023;
    const size = exponent === 31 ? Infinity : exponent ? 2 ** (exponent - 25) * (1024 + mantissa) : 2 ** -24 * mantissa;
    table[bits] = bits >> 15 ? -size : size;
  }
  return table;
}

/**
 * @param weights  plan.json's, with copied and stored parts
 * @param file     weights.bin
 * @param buffer   the memory, which has room for them at byte `at`
 */
export function expandWeights(weights, file, buffer, at) {
  let table;
  for (const [to, from, bytes] of weights.copied)
    new Uint8Array(buffer, at + to, bytes).set(new Uint8Array(file, from, bytes));
  for (const [to, bits, view, from, stepsFrom] of weights.stored) {
    const [outer, shared, columns, inner] = view;
    const cells = new Float32Array(buffer, at + to, outer * shared * columns * inner);
    if (bits === 16) {
      table ??= halves();
      new Uint16Array(file, from, cells.length).forEach((half, i) => (cells[i] = table[half]));
      continue;
    }
    const steps = new Float32Array(file, stepsFrom, outer * columns);
    const codes = bits === 8 ? new Int8Array(file, from, cells.length) : new Uint8Array(file, from);
    let i = 0;
    for (let a = 0; a < outer; a++)
      for (let b = 0; b < shared; b++)
        for (let c = a * columns; c < (a + 1) * columns; c++) {
          const step = steps[c];
          for (const end = i + inner; i < end; i++)
            cells[i] = step * (bits === 8 ? codes[i] : (((codes[i >> 1] >> (4 * (i & 1))) & 15) ^ 8) - 8);
        }
  }
}
