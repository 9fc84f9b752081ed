// Answers triport's messages in Node: they come on stdin and leave on stdout, one answer each.

console.log = console.error; // stdout carries messages and nothing else
console.info = console.error;

/** CPU seconds of this process. */
export function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

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

/** Answers until stdin ends; handle(message) → answer, both bytes. */
export async function serve(handle) {
  for await (const chunk of process.stdin) {
    pending = Buffer.concat([pending, chunk]);
    for (let message = takeMessage(); message; message = takeMessage()) {
      const answer = await handle(message);
      await new Promise((resolve) => process.stdout.write(answer, resolve));
    }
  }
}
