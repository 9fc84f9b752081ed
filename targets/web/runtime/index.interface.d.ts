export interface SelfTest {
  passed: boolean;
  samples: { passed: boolean; ms: number; inputs: Inputs; outputs: Record<keyof Outputs, Comparison> }[];
}

/** How much of weights.bin is there, in bytes. */
export interface Progress {
  loaded: number;
  total: number;
}

export interface LoadOptions {
  /** Where weights.bin, golden.bin and kernels.wasm of the same export stand, when not beside index.js. */
  baseUrl?: string | URL;
  /** false: kernels whose float results are the same on every machine, a little slower. Default: what the engine has. */
  relaxed?: boolean;
  /** Threads, this one among them; "auto": a processor each, 4 at most. One alone where the page is not cross-origin isolated. */
  threads?: number | "auto";
  /** Ends the downloads: load() rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called as the weights come in. */
  onProgress?: (progress: Progress) => void;
  /**
   * true, or a name: hold the files in the browser's Cache API, in the cache "triport" or of that name, and download them
   * again only when they are another export's. Without effect where there is no such API.
   */
  cache?: boolean | string;
  /** true: refuse inputs that hold a NaN. */
  checkNaN?: boolean;
}

export interface RunOptions {
  /** Aborted before its turn, the run never starts and rejects with the signal's reason. */
  signal?: AbortSignal;
  /** true: refuse inputs that hold a NaN. Default: what load() was given. */
  checkNaN?: boolean;
}

/** What load() rejects with when a file of the bundle cannot be used. */
export interface LoadError extends Error {
  name: "LoadError";
  /** The file, such as "weights.bin". */
  file: string;
  cause?: unknown;
}

export interface Model {
  readonly meta: Meta;
  /**
   * Runs the model once, after the runs that were called before; the arrays are read when the turn comes. Rejects with
   * a TypeError for a wrong name, dtype, length or shape.
   */
  run(inputs: Inputs, options?: RunOptions): Promise<Outputs>;
  /** `run` without a promise. */
  runSync(inputs: Inputs, options?: Pick<RunOptions, "checkNaN">): Outputs;
  /** Runs the samples recorded from the original model and compares. */
  selfTest(): Promise<SelfTest>;
  /** Bytes of WebAssembly memory at present: weights and buffers. It grows with the sizes that run() sees. */
  readonly memory: number;
  /** How many threads compute. */
  readonly threads: number;
  /** Lets go of the memory; the model cannot run afterwards. */
  dispose(): void;
}

/** `options` may be the folder of the files alone: a text or URL. */
export function load(options?: LoadOptions | string | URL): Promise<Model>;
