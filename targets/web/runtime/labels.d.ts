// Types of labels.js, written by triport.
import type { Model, Outputs } from "./index.js";

export interface Scored {
  /** The name that the model carries for the class, else its number. */
  label: string;
  index: number;
  score: number;
}

/** The k largest scores of one row of an output, the best first. */
export function topK(
  model: Pick<Model, "meta">,
  outputs: Outputs,
  k?: number,
  options?: { output?: keyof Outputs; row?: number },
): Scored[];
