// A model that another runtime runs, behind the interface of our own bundles: feeds are checked alike, calls wait for
// each other, and the recorded samples can be run.
import { runSamples } from "../../web/runtime/golden.js";
import { makeQueue } from "../../web/runtime/queue.js";
import { bindInputs, checkNumbers } from "../../web/runtime/tensors.js";

const publicSpec = ({ name, dtype, shape, quantization }) => ({ name, dtype, shape, ...(quantization && { quantization }) });

/** Refuses options that there are none of. */
export function checkOptions(call, given, known) {
  const unknown = Object.keys(given).find((key) => given[key] !== undefined && !known.includes(key));
  if (unknown) throw new TypeError(`${call}: unknown option ${unknown}; there are ${known.join(", ")}`);
}

export class Packed {
  #facts;
  #engine;
  #golden;
  #checkNaN;
  #enter = makeQueue();

  /**
   * @param facts     meta.json
   * @param engine    {run(tensors): Promise<{name: {data, shape}}>, close()}: tensors in the order of facts.inputs
   * @param golden    () => Promise<ArrayBuffer>, golden.bin
   * @param checkNaN  what runs do that are not told
   */
  constructor(facts, engine, golden, checkNaN) {
    this.#facts = facts;
    this.#engine = engine;
    this.#golden = golden;
    this.#checkNaN = checkNaN;
    this.meta = { ...facts.meta, inputs: facts.inputs.map(publicSpec), outputs: facts.outputs.map(publicSpec) };
  }

  /**
   * Runs the model once, after the calls before.
   * @param feeds    {name: typed array} or {name: {data, shape}}, read when the turn comes
   * @param options  RunOptions of index.d.ts
   * @returns        {name: {data, shape}}
   */
  async run(feeds, options) {
    const given = options ?? {};
    checkOptions("run", given, ["signal", "checkNaN"]);
    const { signal, checkNaN = this.#checkNaN } = given;
    return this.#enter(() => {
      if (!this.#engine) throw new Error("run() after dispose()");
      const bound = bindInputs(this.#facts.inputs, feeds, this.meta);
      if (checkNaN) checkNumbers(this.#facts.inputs, bound);
      return this.#engine.run(bound.tensors);
    }, signal);
  }

  /** Runs the samples that were recorded from the original model and compares. */
  async selfTest() {
    return runSamples((feeds) => this.run(feeds), await this.#golden());
  }

  /** Lets go of the memory once the calls under way have ended; the model cannot run afterwards. */
  async dispose() {
    const engine = this.#engine;
    this.#engine = undefined;
    await this.#enter(() => engine?.close());
  }
}
