// Many restarts in a row under a call of three: `node restarts.mjs [count]`, half of them by SIGKILL, every tenth with
// the server away for 10 s and the others for 2 s. Prints a line for each and a summary; fails if anything was lost.
import { LastingCall } from "./lib/lasting-call.mjs";
import { median } from "./lib/until.mjs";

/** Seconds from the server being ready to all media back, by how long it was away. */
const WANTED_S = { 2: 3, 10: 12 };
/** People in the call. */
const PEOPLE = 3;
const count = Number(process.argv[2] ?? 100);
const measured = { 2: [], 10: [] };
const started = Date.now();
const call = await LastingCall.start("restarts");
try {
  for (let number = 1; number <= count; number++) {
    const signal = number % 2 ? "SIGTERM" : "SIGKILL";
    // Both signals get their share of long absences.
    const awayS = number % 10 === (number % 20 < 10 ? 5 : 0) ? 10 : 2;
    const { backMs, endMs, allMs } = await call.restart(signal, awayS * 1000);
    measured[awayS].push(backMs);
    console.log(`${number}/${count} ${signal}, ended after ${endMs} ms, away ${awayS} s: pictures back ${backMs} ms after ready, everything checked after ${allMs} ms`);
  }
  await call.leave();
} finally {
  await call.end();
}
/**
 * In how many of a hundred absences the SDK itself waits longer than this after the server is there again, for one of
 * all at least: each try waits up to 80 ms, times 1.5 for each one before, 10 s at the most, and no server can tell it
 * to come sooner.
 */
function lateByBackoff(awayMs, overMs, rounds = 100_000) {
  const longer = () => {
    let at = 0;
    for (let tries = 0; at < awayMs; tries++) at += Math.random() * Math.min(10_000, 80 * 1.5 ** tries);
    return at - awayMs > overMs;
  };
  let late = 0;
  for (let round = 0; round < rounds; round++) {
    late += Array.from({ length: PEOPLE }, longer).some(Boolean);
  }
  return (100 * late) / rounds;
}

console.log(`\n${count} restarts in ${Math.round((Date.now() - started) / 1000)} s: 0 participants lost, 0 rows wrong`);
let late = 0;
for (const [awayS, times] of Object.entries(measured)) {
  if (!times.length) continue;
  const sorted = [...times].sort((a, b) => a - b);
  const over = times.filter((time) => time > WANTED_S[awayS] * 1000).length;
  late += over;
  const at = (share) => sorted[Math.ceil(sorted.length * share) - 1];
  console.log(`away ${awayS} s, ${times.length} times: pictures back after ${median(times)} ms (median), ${at(0.9)} ms (p90), ${sorted.at(-1)} ms (longest); ${over} over ${WANTED_S[awayS]} s`);
  const expected = [0, 500].map((restMs) => lateByBackoff(awayS * 1000, WANTED_S[awayS] * 1000 - restMs).toFixed(1));
  console.log(`  the SDK's own waiting alone makes ${expected[0]} of 100 late, ${expected[1]} with 0.5 s for media`);
}
process.exitCode = late ? 1 : 0;
