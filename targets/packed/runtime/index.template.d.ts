export interface SelfTest {
  passed: boolean;
  samples: { passed: boolean; ms: number; outputs: Record<keyof Outputs, Comparison> }[];
}

export interface LoadOptions {
  /** Where the folder's other files stand, when not beside index.js. */
  baseUrl?: string | URL;
  /** Where the runtime's own .wasm files are served, when it does not find them itself. */
  runtimeUrl?: string | URL;
$own  /** Ends the downloads of the folder's files: load() rejects with the signal's reason. */
  signal?: AbortSignal;
  /** true: refuse inputs that hold a NaN. */
  checkNaN?: boolean;
}

export interface RunOptions {
  /** Aborted before its turn, the run never starts and rejects with the signal's reason. */
  signal?: AbortSignal;
  /** true: refuse inputs that hold a NaN. Default: what load() was given. */
  checkNaN?: boolean;
}

/** What load() rejects with when a file of the folder cannot be used. */
export interface LoadError extends Error {
  name: "LoadError";
  /** The file, such as "meta.json". */
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
  /** Runs the samples recorded from the original model and compares. */
  selfTest(): Promise<SelfTest>;
  /** Lets go of the memory once the calls under way have ended; the model cannot run afterwards. */
  dispose(): Promise<void>;
}

/** `options` may be the folder of the files alone: a text or URL. */
export function load(options?: LoadOptions | string | URL): Promise<Model>;
