// Waiting for what will be true soon, instead of sleeping.
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Asks until the answer is truthy and returns it. Fails with `what` and the last answer or error
 * after `timeoutMs`.
 */
export async function until(what, ask, { timeoutMs = 30_000, everyMs = 100 } = {}) {
  const deadline = performance.now() + timeoutMs;
  let last;
  for (;;) {
    try {
      last = await ask();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      const seen = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`not within ${timeoutMs} ms: ${what} (last: ${seen})`);
    }
    await sleep(everyMs);
  }
}

/** The middle value. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export { sleep };
