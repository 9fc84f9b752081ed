// Types of worker.js, written by triport.
import type { Inputs, LoadOptions, Model, Outputs, RunOptions } from "./index.js";

export interface WorkerLoadOptions extends LoadOptions {
  /** The kind of worker. Default: a module, and where the browser has no such workers a classic script. */
  type?: "module" | "classic";
}

export interface WorkerRunOptions extends RunOptions {
  /** true: the inputs' buffers are moved into the worker, not copied, and are empty afterwards. */
  transfer?: boolean;
}

export interface WorkerModel extends Omit<Model, "run" | "runSync"> {
  /**
   * Runs the model once in the worker, after the runs that were called before. Aborted by its signal, it rejects at once;
   * a run that has started ends unseen.
   */
  run(inputs: Inputs, options?: WorkerRunOptions): Promise<Outputs>;
  /** Ends the worker; runs that wait, and the one under way, are rejected. */
  dispose(): void;
}

/** Loads the model in a Worker; in Node, in a thread. `options` may be the folder of the files alone. */
export function loadInWorker(options?: WorkerLoadOptions | string | URL): Promise<WorkerModel>;
