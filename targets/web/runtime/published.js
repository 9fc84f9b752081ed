// How classic scripts give a page their functions.

/** Makes them triport["name"] on the global object. */
export function publish(name, functions) {
  const scripts = (globalThis.triport ??= {});
  const own = `triport[${JSON.stringify(name)}]`;
  if (scripts[name]?.load) console.warn(`${own} was there and is replaced: triport describe --name gives a model another name`);
  scripts[name] = functions;
}
