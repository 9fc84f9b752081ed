// Loads a browser bundle and answers triport's messages; node.mjs and page.mjs carry them.

import { decode, encode } from "./frames.mjs";

const WARM_UP_SECONDS = 0.05; // engines compile wasm again while it runs
const MIN_BLOCK_SECONDS = 0.005; // clocks in browsers tick in steps of 0.1 ms

/**
 * handle(message) → answer, both bytes.
 * importBundle(url)   imports index.js
 * seconds()           a clock: CPU seconds where the engine has them
 */
export function createHost(importBundle, seconds) {
  let model = null;
  const commands = {
    async load({ url }) {
      const bundle = await importBundle(url);
      model = await bundle.load();
      return [{ meta: { inputs: model.meta.inputs, outputs: model.meta.outputs } }, {}];
    },
    async run(_header, arrays) {
      return [{}, withDtypes(await model.run(arrays))];
    },
    async timed({ repeats }, arrays) {
      return [{ seconds: await measure(() => model.run(arrays), repeats, seconds) }, {}];
    },
  };

  function withDtypes(outputs) {
    const dtypes = new Map(model.meta.outputs.map((output) => [output.name, output.dtype]));
    const typed = Object.entries(outputs).map(([name, tensor]) => [name, { ...tensor, dtype: dtypes.get(name) }]);
    return Object.fromEntries(typed);
  }

  return async function handle(message) {
    try {
      const { header, arrays } = decode(message);
      const [answer, outputs] = await commands[header.command](header, arrays);
      return encode({ ok: true, ...answer }, outputs);
    } catch (error) {
      return encode({ ok: false, error: String(error?.message ?? error), stack: String(error?.stack ?? "") });
    }
  };
}

/** Seconds a call takes, ``repeats`` times, each the mean over a block long enough for the clock. */
async function measure(call, repeats, seconds) {
  let start = seconds();
  let calls = 0;
  do {
    await call();
    calls += 1;
  } while (seconds() - start < WARM_UP_SECONDS);
  const one = (seconds() - start) / calls;
  const block = Math.max(1, Math.ceil(MIN_BLOCK_SECONDS / one));
  const measured = [];
  for (let i = 0; i < repeats; i += 1) {
    start = seconds();
    let passed = 0;
    let done = 0;
    do {
      // The warm-up may have been slower than this: a block shorter than a tick of the clock goes on.
      for (let j = 0; j < block; j += 1) await call();
      done += block;
      passed = seconds() - start;
    } while (passed < MIN_BLOCK_SECONDS);
    measured.push(passed / done);
  }
  return measured;
}
