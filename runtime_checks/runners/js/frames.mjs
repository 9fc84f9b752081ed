// Messages between triport and a JavaScript host: a JSON header and raw arrays behind it. ../frames.py is the other half.

const ALIGNMENT = 8;

const VIEWS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
};

/** The header and {name: {data, shape, dtype}} of one message, an ArrayBuffer. */
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const { name, dtype, shape, offset, bytes } of header.arrays ?? []) {
    const start = 4 + length + offset; // not aligned, so the bytes are copied out
    arrays[name] = { data: new VIEWS[dtype](buffer.slice(start, start + bytes)), shape, dtype };
  }
  return { header, arrays };
}

/** One message, a Uint8Array; ``arrays`` is {name: {data, shape, dtype}}. */
export function encode(header, arrays = {}) {
  const table = [];
  const parts = [];
  let offset = 0;
  for (const [name, { data, shape, dtype }] of Object.entries(arrays)) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    table.push({ name, dtype, shape: Array.from(shape), offset, bytes: bytes.length });
    parts.push([offset, bytes]);
    offset += bytes.length + ((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT);
  }
  const text = new TextEncoder().encode(JSON.stringify({ ...header, arrays: table, payload: offset }));
  const message = new Uint8Array(4 + text.length + offset);
  new DataView(message.buffer).setUint32(0, text.length, true);
  message.set(text, 4);
  for (const [start, bytes] of parts) message.set(bytes, 4 + text.length + start);
  return message;
}
