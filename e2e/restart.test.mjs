// The server ends, by request and by force, in the middle of a call of three: nobody is lost.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { happened } from "./lib/journey.mjs";
import { LastingCall } from "./lib/lasting-call.mjs";
import { until } from "./lib/until.mjs";

let call;
before(async () => {
  call = await LastingCall.start("restart");
});
after(() => call?.end());

for (const [signal, awayMs] of [["SIGTERM", 500], ["SIGKILL", 2000], ["SIGTERM", 0], ["SIGKILL", 0]]) {
  test(`everyone comes back as who they were after ${signal} and ${awayMs} ms without a server`, async (t) => {
    const { backMs } = await call.restart(signal, awayMs);
    t.diagnostic(`media of all six pairs ${backMs} ms after the server was ready`);
  });
}

test("leaving afterwards ends each row once", () => call.leave());

test("where the port is held open, nobody is refused while the server is away, and everyone comes back with it", async (t) => {
  const held = await LastingCall.start("restart-held", { isHeld: true });
  try {
    for (const signal of ["SIGTERM", "SIGKILL"]) {
      const asked = Date.now();
      const { backMs } = await held.restart(signal, 2000);
      for (const person of held.people) {
        const tries = (await person.h("moments", asked)).filter(({ what }) => what === "tried");
        assert.equal(tries.length, 1, `${person.identity} tried once after ${signal}`);
      }
      t.diagnostic(`media of all six pairs ${backMs} ms after the server was ready`);
    }
  } finally {
    await held.end();
  }
});

test("a server that is away for longer than the session timeout: the SDK says so, and each row gets its end", async () => {
  const brief = await LastingCall.start("restart-late", { args: ["--session-timeout-s", "5"] });
  try {
    const { ready } = await brief.replace("SIGKILL", 8000);
    for (const person of brief.people) {
      const { error } = await happened(person, "disconnected");
      assert.deepEqual([error.code, error.name], [53001, "TwilioError"]);
    }
    const rows = await until("all rows have ended", async () => {
      const all = await brief.server.rows(brief.people[0].roomSid);
      return all.every(({ status }) => status === "disconnected") && all;
    });
    assert.deepEqual(rows.map(({ sid }) => sid).sort(), brief.people.map(({ sid }) => sid).sort());
    // The time to come back begins with the server that one can come back to.
    for (const row of rows) assert.ok(Date.parse(row.end_time) >= ready - 1000, `${row.end_time} is after the start`);
  } finally {
    await brief.end();
  }
});
