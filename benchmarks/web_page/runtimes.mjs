// The runtimes that the browser benchmark compares, each behind the same two calls: open(runtime, net) loads a network,
// and what it returns runs the network once and gives the first output.
//
// net: {folder, name, shape, nchw}: where the files are, the only input, and its shape where images are channels first

const NPM = "/npm";

const input = async (folder, file = "input.bin") =>
  new Float32Array(await (await fetch(`${folder}/${file}`)).arrayBuffer());

async function ours({ folder }, bundle, options, checked) {
  const coming = input(folder);
  const { load } = await import(`${folder}/${bundle}/index.js`);
  const model = await load(options);
  if (checked && !(await model.selfTest()).passed) throw new Error("its self-test fails");
  const data = await coming;
  const [{ name }] = model.meta.inputs, [output] = model.meta.outputs;
  return async () => (await model.run({ [name]: data }))[output.name].data;
}

async function onnxruntime({ folder, name, nchw }) {
  const coming = input(folder, "input.nchw.bin");
  const ort = await import(`${NPM}/onnxruntime-web/dist/ort.wasm.min.mjs`);
  ort.env.wasm.wasmPaths = `${NPM}/onnxruntime-web/dist/`;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(`${folder}/model.onnx`, { executionProviders: ["wasm"] });
  const data = await coming;
  return async () => {
    const outputs = await session.run({ [name]: new ort.Tensor("float32", data, nchw) });
    return outputs[session.outputNames[0]].data;
  };
}

async function litert({ folder, shape }) {
  const coming = input(folder);
  const { loadAndCompile, loadLiteRt, Tensor } = await import(`${NPM}/@litertjs/core/dist/index.js`);
  await loadLiteRt(`${NPM}/@litertjs/core/wasm/`);
  const model = await loadAndCompile(`${folder}/model.tflite`, { accelerator: "wasm" });
  const data = await coming;
  return async () => {
    const tensor = new Tensor(data, shape);
    const outputs = await model.run([tensor]);
    const answer = outputs[0].toTypedArray().slice();
    for (const used of [tensor, ...outputs]) used.delete();
    return answer;
  };
}

/** A classic script, as the pages of TF.js load it: fetched beside the others, run after those before it. */
const script = (src) =>
  new Promise((onload, onerror) => {
    document.head.append(Object.assign(document.createElement("script"), { src, async: false, onload, onerror }));
  });

async function tfjs({ folder, name, shape }) {
  const coming = input(folder);
  const files = ["core/dist/tf-core", "converter/dist/tf-converter", "backend-wasm/dist/tf-backend-wasm"];
  await Promise.all(files.map((file) => script(`${NPM}/@tensorflow/tfjs-${file}.min.js`)));
  const { tf } = globalThis;
  tf.wasm.setWasmPaths(`${NPM}/@tensorflow/tfjs-backend-wasm/dist/`);
  tf.wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  const model = await tf.loadGraphModel(`${folder}/tfjs/model.json`);
  const data = await coming;
  return async () => {
    const tensor = tf.tensor(data, shape);
    const output = model.execute({ [name]: tensor });
    const answer = await (Array.isArray(output) ? output[0] : output).data();
    tf.dispose([tensor, output]);
    return answer;
  };
}

const RUNTIMES = {
  triport: (net) => ours(net, "web", {}),
  "triport, plain SIMD": (net) => ours(net, "web", { relaxed: false }),
  "triport, int8": (net) => ours(net, "web-int8", {}, true),
  "onnxruntime-web": onnxruntime,
  "LiteRT.js": litert,
  "TF.js wasm": tfjs,
  "no runtime": async ({ folder }) => input.bind(null, folder),
};

export const open = (runtime, net) => RUNTIMES[runtime](net);
