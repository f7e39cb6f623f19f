// Sockets that break, fall silent or reload: one row for each stay, and it tells the truth.
import { after, before, beforeEach, afterEach, test } from "node:test";
import assert from "node:assert/strict";
import { assertClean, happened, Journey, moves, roomName, subscribedTracks } from "./lib/journey.mjs";
import { TcpProxy } from "./lib/tcp-proxy.mjs";
import { until } from "./lib/until.mjs";

/** The SDK and the server notice a silent socket after three heartbeats of at most 5 s. */
const SILENCE_MS = 25_000;
/** A session that does not come back ends after 30 s. */
const SESSION_MS = 45_000;

let journey;
let browser;
let proxy;
let room;
let roomSid;
let walker;
let witness;

before(async () => {
  journey = await Journey.start("reconnect");
  browser = await journey.chromium();
});
after(() => journey?.end());

beforeEach(async () => {
  proxy = await TcpProxy.start(journey.server.http);
  room = roomName("reconnect");
  witness = await browser.person("witness", journey.pages.url());
  walker = await browser.person("walker", journey.pages.url());
  roomSid = (await witness.join(journey.server, room, { video: { width: 320, height: 240 } })).roomSid;
  await join();
});
afterEach(async () => {
  await walker.page.context().close();
  await witness.page.context().close();
  proxy.close();
});

const join = () => walker.join(journey.server, room, { wsServer: proxy.signaling, video: { width: 320, height: 240 } });
const rows = async () => (await journey.server.rows(roomSid)).filter((row) => row.identity === "walker");
const statuses = async () => (await rows()).map((row) => row.status);

async function sameRow(sid) {
  const all = await rows();
  assert.equal(all.length, 1, JSON.stringify(all));
  assert.equal(all[0].sid, sid);
  return all[0];
}

test("a socket cut by force comes back as the same participant, and the picture never stopped", async () => {
  const { video } = await subscribedTracks(witness, "walker");
  await witness.h("watch", video.sid);
  await moves(witness, video.sid);
  proxy.cut({ refuse: true });
  await happened(walker, "reconnecting");
  await happened(witness, "participantReconnecting", { participant: walker.sid });
  await until("the list says reconnecting", async () => (await statuses()).join() === "reconnecting");
  await moves(witness, video.sid);
  proxy.heal();
  await happened(walker, "reconnected");
  await happened(witness, "participantReconnected", { participant: walker.sid });
  await until("the list says connected", async () => (await statuses()).join() === "connected");
  const row = await sameRow(walker.sid);
  assert.equal(row.end_time, null);
  await moves(witness, video.sid);
  // The room works on: a change after the resume reaches the others.
  await walker.h("setEnabled", "audio", false);
  await happened(witness, "trackDisabled", { participant: walker.sid, kind: "audio" });
  await assertClean(walker, witness);
});

test("a change made while the socket is away reaches the others afterwards", async () => {
  proxy.cut({ refuse: true });
  await happened(walker, "reconnecting");
  await walker.h("setEnabled", "audio", false);
  await walker.h("unpublish", "video");
  proxy.heal();
  await happened(walker, "reconnected");
  await happened(witness, "trackDisabled", { participant: walker.sid, kind: "audio" });
  await happened(witness, "trackUnpublished", { participant: walker.sid, kind: "video" });
  await sameRow(walker.sid);
});

test("a socket that goes silent is noticed and comes back as the same participant", async () => {
  proxy.silence();
  await happened(walker, "reconnecting", {}, { timeoutMs: SILENCE_MS });
  await happened(walker, "reconnected");
  await until("the list says connected", async () => (await statuses()).join() === "connected");
  await sameRow(walker.sid);
  const { tracks } = await witness.sees("walker");
  assert.ok(tracks.every((track) => track.subscribed));
});

test("leaving ends the row at once, also when the media's goodbye comes before the signaling's", async () => {
  proxy.delayMs = 200;
  const at = await walker.h("leave");
  await happened(witness, "participantDisconnected", { participant: walker.sid }, { timeoutMs: 15_000 });
  const row = await sameRow(walker.sid);
  assert.equal(row.status, "disconnected");
  assert.ok(Date.parse(row.end_time) <= at + 2000, row.end_time);
});

test("a page reload ends one stay and begins another", async () => {
  const first = walker.sid;
  await walker.page.reload();
  await join();
  assert.notEqual(walker.sid, first);
  await happened(witness, "participantDisconnected", { participant: first });
  const all = await rows();
  assert.deepEqual(all.map(({ sid, status }) => [sid, status]), [[first, "disconnected"], [walker.sid, "connected"]]);
  assert.notEqual(all[0].end_time, null);
  const { video } = await subscribedTracks(witness, "walker");
  await witness.h("watch", video.sid);
  await moves(witness, video.sid);
});

test("a reload while reconnecting ends the stay that was waiting", async () => {
  const first = walker.sid;
  proxy.cut({ refuse: true });
  await happened(witness, "participantReconnecting", { participant: first });
  await walker.page.reload();
  proxy.heal();
  await join();
  assert.notEqual(walker.sid, first);
  await happened(witness, "participantDisconnected", { participant: first });
  assert.deepEqual((await rows()).map(({ sid, status }) => [sid, status]), [[first, "disconnected"], [walker.sid, "connected"]]);
});

test("a tab that closes for good leaves a row with an end", async () => {
  const first = walker.sid;
  const closedAt = Date.now();
  await walker.page.goto("about:blank");
  const row = await until("the row has ended", async () => (await rows()).find((one) => one.sid === first && one.status === "disconnected"), { timeoutMs: SESSION_MS, everyMs: 500 });
  await happened(witness, "participantDisconnected", { participant: first });
  const end = Date.parse(row.end_time);
  assert.ok(end >= closedAt - 1000 && end <= Date.now() + 1000, `${row.end_time} is a moment between the closing and now`);
  assert.ok(row.duration >= 0 && row.duration <= (end - Date.parse(row.start_time)) / 1000 + 1);
});
