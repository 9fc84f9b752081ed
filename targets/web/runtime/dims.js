// Sizes as the plan spells them: numbers, or expressions of the free names such as "batch*49+1".

/** @typedef {(sizes: Record<string, number>) => number} Size */

/**
 * Parses `sum := term (+|- term)*`, `term := factor (*|//|% factor)*` into a function of the free names' values.
 * @param {number | string} dim
 * @returns {Size}
 */
export function parseDim(dim) {
  if (typeof dim === "number") return () => dim;
  const tokens = dim.match(/\/\/|[-+*%()]|\d+|\w+/g);
  const operators = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "//": (a, b) => Math.floor(a / b),
    "%": (a, b) => a - b * Math.floor(a / b),
  };
  const chain = (operand, accepted) => {
    let left = operand();
    while (accepted.includes(tokens[0])) {
      const before = left, apply = operators[tokens.shift()], after = operand();
      left = (sizes) => apply(before(sizes), after(sizes));
    }
    return left;
  };
  const sum = () => {
    if (tokens[0] === "-") tokens.unshift(0); // 0 - term …
    return chain(term, "+-");
  };
  const term = () => chain(factor, "*//%");
  const factor = () => {
    const token = tokens.shift();
    if (token === "(") {
      const inner = sum();
      tokens.shift();
      return inner;
    }
    return /^\d/.test(token) ? () => +token : (sizes) => sizes[token];
  };
  return sum();
}

/** The free names a size is made of: `["batch"]` for "batch*49". */
export function namesIn(dim) {
  return String(dim).match(/[A-Za-z_]\w*/g) ?? [];
}

/** `["height", 4, 1]` for "height*4+1", `["height", 1, 0]` for "height": what a size says of a name; else that is undefined. */
export function stepsOf(dim) {
  const [, name, step, rest] = /^([A-Za-z_]\w*)(?:\*(\d+))?([+-]\d+)?$/.exec(dim) ?? [];
  return [name, +(step ?? 1), +(rest ?? 0)];
}

export const showShape = (shape) => `[${shape.join(",")}]`;
