// One run at a time: what is called while another runs waits, in the order of the calls.

/** Throws the reason of a signal that was aborted. */
export function stopIfAborted(signal) {
  if (signal?.aborted) throw signal.reason ?? new DOMException("aborted", "AbortError");
}

/**
 * A function that starts a job when those before it have ended, at once where there are none.
 * @returns {<T>(job: () => T | Promise<T>, signal?: AbortSignal) => Promise<T>}  a job whose signal is aborted before
 *          its turn is never started
 */
export function makeQueue() {
  let last;
  return async (job, signal) => {
    const before = last;
    let leave;
    const mine = (last = new Promise((resolve) => (leave = resolve)));
    try {
      if (before) await before;
      stopIfAborted(signal);
      const result = job();
      // Without an await what runs at once leaves the queue at once.
      return result instanceof Promise ? await result : result;
    } finally {
      leave();
      if (last === mine) last = undefined;
    }
  };
}
