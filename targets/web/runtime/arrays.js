// The typed array of each dtype, and how many cells a shape has.
export const ARRAYS = {
  float32: Float32Array,
  int32: Int32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
};

export const elements = (shape) => shape.reduce((count, size) => count * size, 1);
