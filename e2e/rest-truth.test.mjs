// The REST API's word during and after a call, through the npm and PyPI helper libraries.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { assertClean, happened, Journey, roomName } from "./lib/journey.mjs";
import { until } from "./lib/until.mjs";

const run = promisify(execFile);
const PYTHON = path.join(import.meta.dirname, ".venv", "bin", "python");
const SCRIPT = path.join(import.meta.dirname, "helper.py");
const NAMES = ["ana", "ben", "cleo"];
const room = roomName("truth");
const people = {};
const joinedAt = {};
const leftAt = {};
let journey;
let roomSid;
let node;

before(async () => {
  journey = await Journey.start("rest-truth");
  node = journey.server.helper();
  const browser = await journey.chromium();
  for (const name of NAMES) people[name] = await browser.person(name, journey.pages.url("2.36.0"));
});
after(() => journey?.end());

/** One step of the Python helper library against the same server. */
async function python(step, ...args) {
  const { http, account_sid, api_key_sid, api_key_secret } = journey.server;
  const { stdout } = await run(PYTHON, [SCRIPT, step, ...args], {
    env: { ROTUNDA_URL: http, ACCOUNT_SID: account_sid, API_KEY_SID: api_key_sid, API_KEY_SECRET: api_key_secret },
  });
  return JSON.parse(stdout);
}

/** Displayed times are whole seconds. */
function sameSecond(date, atMs, what) {
  const off = Math.abs(date.getTime() - atMs);
  assert.ok(off <= 1500, `${what}: ${date.toISOString()} against ${new Date(atMs).toISOString()}`);
}

test("a room made with the npm library is joined by three", async () => {
  const created = await node.video.v1.rooms.create({ uniqueName: room, emptyRoomTimeout: 1 });
  roomSid = created.sid;
  assert.equal(created.status, "in-progress");
  for (const name of NAMES) {
    const joined = await people[name].join(journey.server, room, { video: false });
    joinedAt[name] = joined.at;
    assert.equal(joined.roomSid, roomSid);
    // The row is there before the page knows that it is connected.
    const row = await node.video.v1.rooms(room).participants(name).fetch();
    assert.equal(row.sid, joined.sid);
    assert.equal(row.status, "connected");
    assert.equal(row.endTime, null);
    assert.equal(row.duration, null);
    sameSecond(row.startTime, joined.at, `start of ${name}`);
  }
});

test("both libraries list, page and fetch them, newest first", async () => {
  const all = await node.video.v1.rooms(room).participants.list();
  assert.deepEqual(all.map((row) => row.identity), ["cleo", "ben", "ana"]);
  const onePerPage = await node.video.v1.rooms(room).participants.list({ pageSize: 1 });
  assert.deepEqual(onePerPage.map((row) => row.sid), all.map((row) => row.sid));
  const limited = await node.video.v1.rooms(room).participants.list({ limit: 2 });
  assert.deepEqual(limited.map((row) => row.identity), ["cleo", "ben"]);
  const firstPage = await node.video.v1.rooms(room).participants.page({ pageSize: 2 });
  const secondPage = await firstPage.nextPage();
  assert.deepEqual(secondPage.instances.map((row) => row.identity), ["ana"]);
  const back = await secondPage.previousPage();
  assert.deepEqual(back.instances.map((row) => row.identity), ["cleo", "ben"]);
  const byIdentity = await node.video.v1.rooms(room).participants.list({ identity: "ben" });
  assert.deepEqual(byIdentity.map((row) => row.sid), [people.ben.sid]);

  assert.deepEqual((await python("list", room, "50")).map((row) => row.sid), all.map((row) => row.sid));
  assert.deepEqual((await python("list", room, "1")).map((row) => row.sid), all.map((row) => row.sid));
  const fetched = await python("fetch", room, people.ana.sid);
  assert.deepEqual(fetched, { sid: people.ana.sid, room_sid: roomSid, identity: "ana", status: "connected", ended: false, duration: null });
});

test("both libraries read tracks and replace subscribe rules", async () => {
  const one = (name) => node.video.v1.rooms(room).participants(name);
  const [published] = await one("ana").publishedTracks.list();
  assert.deepEqual([published.name, published.kind, published.enabled], ["microphone", "audio", true]);
  assert.equal(published.participantSid, people.ana.sid);
  assert.ok(published.dateCreated instanceof Date && published.dateUpdated === null);
  for (const key of [published.sid, "microphone"]) assert.equal((await one("ana").publishedTracks(key).fetch()).sid, published.sid);
  const shown = { sid: published.sid, name: "microphone", kind: "audio", enabled: true };
  assert.deepEqual(await python("published", room, "ana"), [shown]);
  assert.deepEqual(await python("published-one", room, people.ana.sid, "microphone"), shown);

  const received = await one("ben").subscribedTracks.list({ pageSize: 1 });
  assert.deepEqual(received.map((track) => track.publisherSid), [people.cleo.sid, people.ana.sid]);
  assert.equal((await one("ben").subscribedTracks(published.sid).fetch()).publisherSid, people.ana.sid);
  assert.deepEqual((await python("subscribed", room, "ben")).map((track) => track.publisher_sid), [people.cleo.sid, people.ana.sid]);

  const before = await one("ben").subscribeRules.fetch();
  const everything = { type: "include", all: true, publisher: null, track: null, kind: null, priority: null };
  assert.deepEqual(before.rules, [everything]);
  sameSecond(before.dateCreated, joinedAt.ben, "rules of ben");
  const replaced = await one("ben").subscribeRules.update({ rules: [{ type: "include", publisher: "ana" }] });
  assert.equal(replaced.rules[0].publisher, "ana");
  assert.deepEqual((await one("ben").subscribedTracks.list()).map((track) => track.publisherSid), [people.ana.sid]);
  const seen = await python("rules", room, "ben");
  assert.deepEqual([seen.participant_sid, seen.rules, seen.created], [people.ben.sid, replaced.rules, true]);
  // What was answered can be sent back.
  assert.deepEqual((await python("replace-rules", room, "ben", JSON.stringify(before.rules))).rules, [everything]);
  await assert.rejects(one("ben").subscribeRules.update({ rules: [{ type: "include" }] }), { status: 400, code: 53215, message: "Invalid Subscribe Rule(s)" });
  assert.equal((await one("ben").subscribedTracks.list()).length, 2);
});

test("one who leaves has a row with its end, and is not among the connected", async () => {
  leftAt.ana = await people.ana.h("leave");
  const row = await until("ana's row has ended", async () => {
    const found = await node.video.v1.rooms(room).participants(people.ana.sid).fetch();
    return found.status === "disconnected" && found;
  });
  sameSecond(row.endTime, leftAt.ana, "end of ana");
  assert.ok(Math.abs(row.duration - (leftAt.ana - joinedAt.ana) / 1000) <= 1.5, `duration ${row.duration}`);
  assert.deepEqual((await node.video.v1.rooms(room).participants.list()).map((one) => one.identity), ["cleo", "ben"]);
  await assert.rejects(node.video.v1.rooms(room).participants("ana").fetch(), { status: 404, code: 20404 });
});

test("one disconnected through the npm library leaves without an error", async () => {
  const at = Date.now();
  const row = await node.video.v1.rooms(room).participants("ben").update({ status: "disconnected" });
  assert.equal(row.status, "disconnected");
  sameSecond(row.endTime, at, "end of ben");
  const { error } = await happened(people.ben, "disconnected");
  assert.equal(error, null);
  await happened(people.cleo, "participantDisconnected", { identity: "ben" });
});

test("the removed one may come back, as a new participant, and Python removes them again", async () => {
  const before = people.ben.sid;
  const joined = await people.ben.join(journey.server, room, { video: false });
  assert.notEqual(joined.sid, before);
  const removed = await python("disconnect", room, "ben");
  assert.equal(removed.status, "disconnected");
  assert.equal(removed.sid, joined.sid);
  await until("ben's page is out", async () => (await people.ben.h("me")).state === "disconnected");
  const rows = await node.video.v1.rooms(room).participants.list({ identity: "ben", status: "disconnected" });
  assert.deepEqual(rows.map((row) => row.sid), [joined.sid, before]);
});

test("a room completed through Python ends for the page with 53118", async () => {
  const at = Date.now();
  const completed = await python("complete", room);
  assert.equal(completed.status, "completed");
  const { error } = await happened(people.cleo, "disconnected");
  assert.deepEqual([error.code, error.class], [53118, "RoomCompletedError"]);
  const after = await node.video.v1.rooms(roomSid).fetch();
  assert.equal(after.status, "completed");
  sameSecond(after.endTime, at, "end of the room");
  await assert.rejects(node.video.v1.rooms(room).fetch(), { status: 404, code: 20404 });
});

test("afterwards the list of the completed room has everyone who ever was", async () => {
  const rows = await node.video.v1.rooms(roomSid).participants.list();
  assert.deepEqual(rows.map((row) => row.identity), ["ben", "cleo", "ben", "ana"]);
  assert.ok(rows.every((row) => row.status === "disconnected" && row.endTime >= row.startTime && row.duration >= 0));
  assert.deepEqual(await node.video.v1.rooms(roomSid).participants.list({ status: "connected" }), []);
  assert.deepEqual((await python("list", roomSid, "1")).map((row) => row.sid), rows.map((row) => row.sid));
  const refused = await people.cleo.tryJoin(journey.server, roomSid, { token: journey.server.token("cleo", roomSid), video: false });
  assert.equal(refused.ok, false);
  await assertClean(...Object.values(people));
});
