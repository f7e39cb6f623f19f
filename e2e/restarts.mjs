// Many restarts in a row under a call of three: `node restarts.mjs [count] [held]`, half of them by SIGKILL, every tenth with
// the server away for 10 s and the others for 2 s; with `held` its port stays open meanwhile. Prints for each how the time
// divides, and a summary; fails if anything was lost or late.
import { LastingCall } from "./lib/lasting-call.mjs";
import { median } from "./lib/until.mjs";

/** Seconds from the server being ready to all media back, by how long it was away. */
const WANTED_S = { 2: 3, 10: 12 };
/** People in the call. */
const PEOPLE = 3;
const count = Number(process.argv[2] ?? 100);
/** What was measured, by how long the server was away: pictures back, and what of it came after the last try of the SDK. */
const measured = { 2: [], 10: [] };
const started = Date.now();
const call = await LastingCall.start("restarts", { isHeld: process.argv[3] === "held" });
try {
  for (let number = 1; number <= count; number++) {
    const signal = number % 2 ? "SIGTERM" : "SIGKILL";
    // Both signals get their share of long absences.
    const awayS = number % 10 === (number % 20 < 10 ? 5 : 0) ? 10 : 2;
    const { backMs, endMs, allMs, steps } = await call.restart(signal, awayS * 1000);
    // A try before the server is ready waits at its door.
    measured[awayS].push({ backMs, afterTryMs: backMs - Math.max(0, steps.tried) });
    const late = backMs > WANTED_S[awayS] * 1000 ? " LATE" : "";
    console.log(`${number}/${count} ${signal}, ended after ${endMs} ms, away ${awayS} s: pictures back ${backMs} ms after ready${late}, everything checked after ${allMs} ms`);
    console.log(`  the last of three had ${Object.entries(steps).map(([step, at]) => `${step} ${at}`).join(", ")}`);
  }
  await call.leave();
} finally {
  await call.end();
}
/** How long the SDK waits after a number of tries that failed, as its Backoff does: about 80 ms, times 1.5 for each, and by chance up to twice that. */
function backoffMs(tries) {
  const dice = Math.random();
  const middle = 80 * 1.5 ** tries;
  return Math.min(10_000, Math.floor(dice * 10) % 2 ? middle * (1 + dice) : middle * (1 - dice));
}

/**
 * In how many of a hundred absences the SDK itself waits longer than this after the server is there again, for one of
 * all at least; no server can tell it to come sooner.
 */
function lateByBackoff(awayMs, overMs, rounds = 100_000) {
  const longer = () => {
    let at = 0;
    for (let tries = 0; at < awayMs; tries++) at += backoffMs(tries);
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
  const over = times.filter(({ backMs }) => backMs > WANTED_S[awayS] * 1000).length;
  late += over;
  console.log(`away ${awayS} s, ${times.length} times: pictures back after ${spread(times.map(({ backMs }) => backMs))}; ${over} over ${WANTED_S[awayS]} s`);
  const rest = times.map(({ afterTryMs }) => afterTryMs);
  console.log(`  after the last client's last try: ${spread(rest)}`);
  const expected = [0, median(rest)].map((restMs) => lateByBackoff(awayS * 1000, WANTED_S[awayS] * 1000 - restMs).toFixed(1));
  console.log(`  the SDK's own waiting alone makes ${expected[0]} of 100 late, ${expected[1]} with ${median(rest)} ms for the rest`);
}
process.exitCode = late ? 1 : 0;

function spread(times) {
  const sorted = [...times].sort((a, b) => a - b);
  return `${median(times)} ms (median), ${sorted[Math.ceil(sorted.length * 0.9) - 1]} ms (p90), ${sorted.at(-1)} ms (longest)`;
}
