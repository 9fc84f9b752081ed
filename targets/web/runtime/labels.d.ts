// Types of labels.js, written by triport.
import type { Model, Outputs } from "./index.js";

export interface Scored {
  /** The name that the model carries for the class, else its number. */
  label: string;
  index: number;
  score: number;
}

export interface TopOptions {
  /** The output, where there are several. */
  output?: keyof Outputs;
  /**
   * Which sample of the batch. Where a sample has several rows of classes, such as one a pixel: which of all, counted in
   * the order of the other axes; it has to be given then.
   */
  row?: number;
  /** Along which the classes lie, -1 being the last. Default: the one that has as many as there are labels, else the last. */
  axis?: number;
}

/** The k largest scores of one row of an output, the best first. */
export function topK(
  model: Pick<Model, "meta">,
  outputs: Outputs,
  k?: number,
  options?: TopOptions,
): Scored[];
