// The runtimes that the browser benchmark compares, each behind the same two calls: open(runtime, net, library, data)
// loads a network, and what it returns runs the network once and gives the first output.
//
// net      {folder, name, shape, input}: where the files are; of the only input name, shape (as the runtime takes it), file
// library  the runtime's module, as web_runtimes.py has it
// data     the input, a Float32Array

const NPM = "/npm";

async function ours(net, { load }, data, options, checked) {
  const model = await load(options);
  if (checked && !(await model.selfTest()).passed) throw new Error("its self-test fails");
  const [{ name }] = model.meta.inputs, [output] = model.meta.outputs;
  return async () => (await model.run({ [name]: data }))[output.name].data;
}

async function onnxruntime({ folder, name, shape }, ort, data) {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(`${folder}/model.onnx`, { executionProviders: ["wasm"] });
  return async () => {
    const outputs = await session.run({ [name]: new ort.Tensor("float32", data, shape) });
    return outputs[session.outputNames[0]].data;
  };
}

async function litert({ folder, shape }, { loadAndCompile, loadLiteRt, Tensor }, data) {
  await loadLiteRt(`${NPM}/@litertjs/core/wasm/`);
  const model = await loadAndCompile(`${folder}/model.tflite`, { accelerator: "wasm" });
  return async () => {
    const tensor = new Tensor(data, shape);
    const outputs = await model.run([tensor]);
    const answer = outputs[0].toTypedArray().slice();
    for (const used of [tensor, ...outputs]) used.delete();
    return answer;
  };
}

async function tfjs({ folder, name, shape }, library, data) {
  const { tf } = globalThis; // its scripts are classic ones
  tf.wasm.setWasmPaths(`${NPM}/@tensorflow/tfjs-backend-wasm/dist/`);
  tf.wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  const model = await tf.loadGraphModel(`${folder}/tfjs/model.json`);
  return async () => {
    const tensor = tf.tensor(data, shape);
    const output = model.execute({ [name]: tensor });
    const answer = await (Array.isArray(output) ? output[0] : output).data();
    tf.dispose([tensor, output]);
    return answer;
  };
}

const RUNTIMES = {
  triport: (net, library, data) => ours(net, library, data, {}),
  "triport, plain SIMD": (net, library, data) => ours(net, library, data, { relaxed: false }),
  "triport, int8": (net, library, data) => ours(net, library, data, {}, true),
  "onnxruntime-web": onnxruntime,
  "LiteRT.js": litert,
  "TF.js wasm": tfjs,
  "no runtime": async (net, library, data) => async () => data,
};

export const open = (runtime, net, library, data) => RUNTIMES[runtime](net, library, data);
