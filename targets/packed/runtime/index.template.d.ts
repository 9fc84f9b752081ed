// Types of this model, written by triport.

/** Cells in row-major order, and their shape. */
export interface Tensor<A, S extends readonly number[] = readonly number[]> {
  data: A;
  shape: S;
}

/** What an input takes: a tensor, or a bare typed array where its length settles the free dims. */
export type Feed<A, S extends readonly number[] = readonly number[]> = A | Tensor<A, S>;

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

export interface SelfTest {
  passed: boolean;
  samples: { passed: boolean; ms: number; outputs: Record<keyof Outputs, Comparison> }[];
}

export interface LoadOptions {
  /** Where the folder's other files stand, when not beside index.js. */
  baseUrl?: string | URL;
  /** Where the runtime's own .wasm files are served, when it does not find them itself. */
  runtimeUrl?: string | URL;
  /** Threads of onnxruntime-web; more than one needs a page that is crossOriginIsolated. Default: 1. */
  threads?: number;
}

export interface Model {
  readonly meta: Meta;
  /** Runs the model once, after the calls before. Rejects with TypeError for a wrong name, dtype, length or shape. */
  run(inputs: Inputs): Promise<Outputs>;
  /** Runs the samples recorded from the original model and compares. */
  selfTest(): Promise<SelfTest>;
  /** Lets go of the memory once the calls under way have ended; the model cannot run afterwards. */
  dispose(): Promise<void>;
}

/** `options` may be the folder of the files alone: a text or URL. */
export function load(options?: LoadOptions | string | URL): Promise<Model>;
