// Runs graph models with TensorFlow.js in Node: tfjs.mjs <folder that holds node_modules> <backend>

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createHost } from "./host.mjs";
import { cpuSeconds, serve } from "./stdio.mjs";

const [, , folder, backend] = process.argv;
const require = createRequire(`${folder}/`);
const tf = require("@tensorflow/tfjs-core");
const { GraphModel } = require("@tensorflow/tfjs-converter");
require(`@tensorflow/tfjs-backend-${backend}`);
await tf.setBackend(backend);

const CARRIERS = { uint8: "int32", int8: "int32" };
const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };

async function artefacts(url) {
  const document = JSON.parse(await readFile(new URL("model.json", url), "utf8"));
  const [{ paths, weights }] = document.weightsManifest;
  const shards = await Promise.all(paths.map((path) => readFile(new URL(path, url))));
  const weightData = new Uint8Array(Buffer.concat(shards)).buffer;
  return { ...document, weightSpecs: weights, weightData };
}

let loaded = null;

/** What a bundle's index.js exports, for the graph model in the folder at ``url``. */
async function openModel(url) {
  loaded?.dispose();
  const model = new GraphModel({ load: () => artefacts(url) });
  await model.load();
  loaded = model;
  const meta = model.artifacts.userDefinedMetadata.triport;
  return { load: () => ({ meta, run: (inputs) => run(model, meta, inputs) }) };
}

async function run(model, meta, inputs) {
  const fed = {};
  for (const { name, dtype } of meta.inputs) {
    const { data, shape } = inputs[name];
    fed[name] = tf.tensor(dtype in CARRIERS ? Int32Array.from(data) : data, shape, CARRIERS[dtype] ?? dtype);
  }
  const found = [model.execute(fed, meta.outputs.map((output) => output.name))].flat(); // one alone is no array
  const results = {};
  for (const [i, { name, dtype }] of meta.outputs.entries()) {
    // What the cpu backend cast to float32 is still an Int32Array.
    results[name] = { data: ARRAYS[dtype].from(found[i].dataSync()), shape: found[i].shape };
  }
  tf.dispose([fed, found]);
  return results;
}

await serve(createHost(openModel, cpuSeconds));
