// Types of this model, written by triport.

/** Cells in row-major order, and their shape. */
export interface Tensor<A, S extends readonly number[] = readonly number[]> {
  data: A;
  shape: S;
}

/** What an input takes: a tensor (also one with dims, as onnxruntime-web has), or a bare array whose length settles the free dims. */
export type Feed<A, S extends readonly number[] = readonly number[]> = A | Tensor<A, S> | { data: A; dims: S };

export interface Inputs {
$inputs
}

export interface Outputs {
$outputs
}

/** A size is a number, or an expression of free names such as "batch*49". */
export interface TensorSpec {
  name: string;
  dtype: "float32" | "int32" | "uint8" | "int8" | "bool";
  shape: (number | string)[];
  /** What int8 codes stand for: real = (code - zero_point) * scale. */
  quantization?: { scale: number; zero_point: number };
}

export interface Meta {
  name: string;
  inputs: TensorSpec[];
  outputs: TensorSpec[];
  /** What the classes of an output are called. */
  labels?: Partial<Record<keyof Outputs, string[]>>;
  /** What is declared of the inputs that hold images; image.js goes by it. */
  images?: Partial<Record<keyof Inputs, { layout: string; count: number; [key: string]: unknown }>>;
  [key: string]: unknown;
}

/** One output of one sample: the largest difference from what the original model gave, and what is accepted. */
export interface Comparison {
  passed: boolean;
  difference: number;
  tolerance: number;
  got: Tensor<ArrayLike<number>>;
  expected: Tensor<ArrayLike<number>>;
}

