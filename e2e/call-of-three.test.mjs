// Three people in a call: everyone gets exactly everyone else's picture and sound, and every change of them.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { isColourOf, launchAs, LOOKS } from "./lib/browsers.mjs";
import { assertClean, assertNoVendorName, happened, Journey, moves, roomName, subscribedTracks } from "./lib/journey.mjs";
import { until } from "./lib/until.mjs";

const NAMES = Object.keys(LOOKS);
const room = roomName("three");
const browsers = {};
const people = {};
const own = {};
let journey;

before(async () => {
  journey = await Journey.start("call-of-three");
  for (const name of NAMES) {
    browsers[name] = await launchAs("call-of-three", name);
    journey.keep(browsers[name]);
    people[name] = await browsers[name].person(name, journey.pages.url("2.36.0.min"));
  }
});
after(() => journey?.end());

const others = (name) => NAMES.filter((other) => other !== name);
const pairs = () => NAMES.flatMap((subscriber) => others(subscriber).map((publisher) => [subscriber, publisher]));
/** The SID of a person's published track of a kind. */
const sid = (name, kind) => own[name].find((track) => track.kind === kind).sid;

test("three people join with their cameras, microphones and a data track", async () => {
  for (const name of NAMES) {
    const [width, height] = LOOKS[name].size;
    const joined = await people[name].join(journey.server, room, { data: true, video: { width, height } });
    assert.match(joined.sid, /^PA[0-9a-f]{32}$/);
    assert.match(joined.roomSid, /^RM[0-9a-f]{32}$/);
    assert.equal(joined.roomName, room);
    assert.deepEqual(joined.tracks.map((track) => track.kind).sort(), ["audio", "data", "video"]);
    own[name] = joined.tracks;
  }
});

test("everyone is subscribed to everyone else's tracks, under the SIDs that their publishers know", async () => {
  for (const [subscriber, publisher] of pairs()) {
    const tracks = await subscribedTracks(people[subscriber], publisher, ["audio", "video", "data"]);
    for (const kind of ["audio", "video", "data"]) assert.equal(tracks[kind].sid, sid(publisher, kind));
    assert.deepEqual(new Set(Object.values(tracks).map((track) => track.name)), new Set(["microphone", "camera", "chat"]));
  }
});

test("on publisher X's video SID every subscriber finds X's colour at X's size, and frames go on", async () => {
  for (const [subscriber, publisher] of pairs()) await people[subscriber].h("watch", sid(publisher, "video"));
  for (const [subscriber, publisher] of pairs()) {
    const video = sid(publisher, "video");
    const [width, height] = LOOKS[publisher].size;
    await until(`${subscriber} sees the ${width}×${height} colour of ${publisher}`, async () => {
      const { colour, size } = await people[subscriber].h("read", video);
      return isColourOf(publisher, colour) && size?.[0] === width && size?.[1] === height;
    });
    const decoded = (await people[subscriber].h("inbound", video)).framesDecoded;
    await until("frames decoded rise", async () => (await people[subscriber].h("inbound", video)).framesDecoded > decoded + 5);
  }
});

test("on publisher X's audio SID every subscriber hears X's tone", async () => {
  for (const [subscriber, publisher] of pairs()) await people[subscriber].h("watch", sid(publisher, "audio"));
  for (const [subscriber, publisher] of pairs()) {
    await until(`${subscriber} hears the tone of ${publisher}`, async () => {
      const { hertz, decibels } = await people[subscriber].h("read", sid(publisher, "audio"));
      return decibels > -60 && Math.abs(hertz - LOOKS[publisher].hertz) < 12;
    });
  }
});

test("round trip and loss show in the SDK's own statistics", async () => {
  await until("a round trip time of alice's video", async () => {
    const [video] = (await people.alice.h("stats")).localVideoTrackStats;
    return video.trackSid === sid("alice", "video") && video.roundTripTime !== null && video.packetsLost !== null;
  });
  const report = await people.alice.h("stats");
  const heard = report.remoteAudioTrackStats.map((stats) => stats.trackSid).sort();
  assert.deepEqual(heard, [sid("bob", "audio"), sid("carol", "audio")].sort());
});

test("a muted microphone falls silent for the others and is shown as off, until it is on again", async () => {
  const audio = sid("alice", "audio");
  await people.alice.h("setEnabled", "audio", false);
  for (const listener of others("alice")) {
    await happened(people[listener], "trackDisabled", { track: audio });
    await until(`silence at ${listener}`, async () => (await people[listener].h("read", audio)).decibels < -80);
  }
  await people.alice.h("setEnabled", "audio", true);
  for (const listener of others("alice")) {
    await happened(people[listener], "trackEnabled", { track: audio });
    await until(`the tone again at ${listener}`, async () => {
      const { hertz, decibels } = await people[listener].h("read", audio);
      return decibels > -60 && Math.abs(hertz - LOOKS.alice.hertz) < 12;
    });
  }
});

test("an unpublished camera goes away, and published again it comes under a new SID", async () => {
  const before = sid("bob", "video");
  await people.bob.h("unpublish", "video");
  for (const watcher of others("bob")) {
    await happened(people[watcher], "trackUnsubscribed", { track: before });
    await happened(people[watcher], "trackUnpublished", { track: before });
    await people[watcher].h("unwatch", before);
  }
  const again = await people.bob.h("publish", "video");
  assert.match(again, /^MT[0-9a-f]{32}$/);
  assert.notEqual(again, before);
  for (const watcher of others("bob")) {
    const { video } = await subscribedTracks(people[watcher], "bob", ["audio", "video"]);
    assert.equal(video.sid, again);
    await people[watcher].h("watch", again);
    await moves(people[watcher], again);
    await until(`${watcher} sees bob's colour again`, async () => isColourOf("bob", (await people[watcher].h("read", again)).colour));
  }
  // Nobody else's picture was touched by it.
  await moves(people.carol, sid("alice", "video"));
  assert.ok(isColourOf("alice", (await people.carol.h("read", sid("alice", "video"))).colour));
});

test("data goes both ways, text as text and bytes as bytes", async () => {
  await people.alice.h("send", "hello from alice");
  await people.carol.h("sendBytes", [0, 1, 254, 255]);
  const messages = (name) => people[name].page.evaluate(() => window.h.data);
  for (const listener of others("alice")) {
    await until(`${listener} reads alice`, async () => (await messages(listener)).some((one) => one.from === "alice" && one.track === sid("alice", "data") && one.text === "hello from alice"));
  }
  for (const listener of others("carol")) {
    await until(`${listener} reads carol`, async () => (await messages(listener)).some((one) => one.from === "carol" && one.track === sid("carol", "data") && one.bytes?.join() === "0,1,254,255"));
  }
});

test("who leaves is gone for the others, and their pictures go on", async () => {
  await people.carol.h("leave");
  await happened(people.carol, "disconnected", {});
  for (const rest of ["alice", "bob"]) await happened(people[rest], "participantDisconnected", { identity: "carol" });
  await moves(people.bob, sid("alice", "video"));
  assert.equal(await people.bob.sees("carol"), null);
});

test("no page had an error, and no vendor's name was looked up", async () => {
  await assertClean(...Object.values(people));
  for (const name of NAMES) {
    await browsers[name].close();
    await assertNoVendorName(browsers[name]);
  }
});
