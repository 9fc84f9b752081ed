// A model that another runtime runs, behind the interface of our own bundles: feeds are checked alike, calls wait for
// each other, and the recorded samples can be run.
import { runSamples } from "../../web/runtime/golden.js";
import { bindInputs } from "../../web/runtime/tensors.js";

const publicSpec = ({ name, dtype, shape, quantization }) => ({ name, dtype, shape, ...(quantization && { quantization }) });

export class Packed {
  #facts;
  #engine;
  #golden;
  #last = Promise.resolve();

  /**
   * @param facts   meta.json
   * @param engine  {run(tensors): Promise<{name: {data, shape}}>, close()}: tensors in the order of facts.inputs
   * @param golden  () => Promise<ArrayBuffer>, golden.bin
   */
  constructor(facts, engine, golden) {
    this.#facts = facts;
    this.#engine = engine;
    this.#golden = golden;
    this.meta = { ...facts.meta, inputs: facts.inputs.map(publicSpec), outputs: facts.outputs.map(publicSpec) };
  }

  /**
   * Runs the model once, after the calls before.
   * @param feeds  {name: typed array} or {name: {data, shape}}
   * @returns      {name: {data, shape}}
   */
  async run(feeds) {
    const { tensors } = bindInputs(this.#facts.inputs, feeds, this.meta);
    const answer = this.#last.then(() => {
      if (!this.#engine) throw new Error("run() after dispose()");
      return this.#engine.run(tensors);
    });
    this.#last = answer.then(
      () => {},
      () => {},
    );
    return answer;
  }

  /** Runs the samples that were recorded from the original model and compares. */
  async selfTest() {
    return runSamples((feeds) => this.run(feeds), await this.#golden());
  }

  /** Lets go of the memory once the calls under way have ended; the model cannot run afterwards. */
  async dispose() {
    const engine = this.#engine;
    this.#engine = undefined;
    await this.#last;
    await engine?.close();
  }
}
