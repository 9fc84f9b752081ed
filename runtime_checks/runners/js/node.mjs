// Runs a bundle in Node: messages come on stdin and leave on stdout, one answer each.

import { createHost } from "./host.mjs";

console.log = console.error; // stdout carries messages and nothing else

function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const handle = createHost((url) => import(url), cpuSeconds);

let pending = Buffer.alloc(0);

/** The next whole message at the front of ``pending`` as an ArrayBuffer, or null. */
function takeMessage() {
  if (pending.length < 4) return null;
  const headerEnd = 4 + pending.readUInt32LE(0);
  if (pending.length < headerEnd) return null;
  const end = headerEnd + JSON.parse(pending.toString("utf8", 4, headerEnd)).payload;
  if (pending.length < end) return null;
  const message = new Uint8Array(pending.subarray(0, end)).buffer;
  pending = pending.subarray(end);
  return message;
}

let chunks = [];
for await (const chunk of process.stdin) {
  chunks.push(chunk);
  pending = Buffer.concat([pending, ...chunks]);
  chunks = [];
  for (let message = takeMessage(); message; message = takeMessage()) {
    const answer = await handle(message);
    await new Promise((resolve) => process.stdout.write(answer, resolve));
  }
}
