// Loads the model, runs the recorded samples, shows what came out.
const element = (id) => document.getElementById(id);
try {
  const { load } = await import("./index.js");
  const model = await load();
  const { passed, samples } = await model.selfTest();
  samples.forEach((sample, i) => {
    for (const [name, { difference, tolerance }] of Object.entries(sample.outputs)) {
      const line = document.createElement("tr");
      const cells = [i + 1, name, difference.toExponential(1), tolerance.toExponential(1), `${sample.ms.toFixed(1)} ms`];
      for (const text of cells) line.append(Object.assign(document.createElement("td"), { textContent: text }));
      element("samples").append(line);
    }
  });
  element("state").textContent = passed
    ? `Passed: ${samples.length} of ${samples.length} samples answer as the original model did.`
    : `Failed: ${samples.filter((sample) => !sample.passed).length} of ${samples.length} samples differ.`;
  element("state").className = passed ? "pass" : "fail";
} catch (error) {
  element("state").textContent = `Could not run: ${error.message}. Was "npm install" run in this folder?`;
  element("state").className = "fail";
}
