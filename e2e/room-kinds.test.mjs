// Rooms that take some codecs only, or sound only: what two browsers get there, and what the API says of it.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { isColourOf, launchAs } from "./lib/browsers.mjs";
import { assertClean, happened, Journey, moves, roomName, subscribedTracks } from "./lib/journey.mjs";
import { until } from "./lib/until.mjs";

const NAMES = ["alice", "bob"];
const browsers = {};
let journey;
let node;

before(async () => {
  journey = await Journey.start("room-kinds");
  node = journey.server.helper();
  for (const name of NAMES) browsers[name] = journey.keep(await launchAs("room-kinds", name));
});
after(() => journey?.end());

/** Both in a new room of these settings, with cameras and microphones. */
async function join(word, settings) {
  const room = roomName(word);
  await node.video.v1.rooms.create({ uniqueName: room, ...settings });
  const people = {};
  const own = {};
  for (const name of NAMES) {
    people[name] = await browsers[name].person(name, journey.pages.url("2.36.0"));
    own[name] = (await people[name].join(journey.server, room)).tracks;
  }
  return { room, people, own, sid: (name, kind) => own[name].find((track) => track.kind === kind).sid };
}

const pairs = [["alice", "bob"], ["bob", "alice"]];

for (const codec of ["H264", "VP8"]) {
  test(`in a room of ${codec} alone every picture is ${codec}, both ways`, async () => {
    const { room, people, sid } = await join(codec.toLowerCase(), { videoCodecs: [codec] });
    assert.deepEqual((await node.video.v1.rooms(room).fetch()).videoCodecs, [codec]);
    for (const [subscriber, publisher] of pairs) {
      await subscribedTracks(people[subscriber], publisher);
      const video = sid(publisher, "video");
      await people[subscriber].h("watch", video);
      await moves(people[subscriber], video);
      await until(`${subscriber} sees ${publisher}'s colour`, async () => isColourOf(publisher, (await people[subscriber].h("read", video)).colour));
      assert.equal((await people[subscriber].h("inbound", video)).codec, `video/${codec}`);
    }
    await assertClean(...Object.values(people));
    for (const name of NAMES) await people[name].page.context().close();
  });
}

test("in an audio-only room cameras are refused with 53125 and everybody is heard", async () => {
  const { room, people, own, sid } = await join("sound", { type: "group", audioOnly: true });
  const { audioOnly, videoCodecs } = await node.video.v1.rooms(room).fetch();
  assert.deepEqual([audioOnly, videoCodecs], [true, []]);
  for (const name of NAMES) {
    const { code, class: error } = await happened(people[name], "trackPublicationFailed", { kind: "video" });
    assert.deepEqual([code, error], [53125, "RoomTrackKindNotSupportedError"]);
    assert.ok(own[name].some((track) => track.kind === "audio"));
    const published = await node.video.v1.rooms(room).participants(name).publishedTracks.list();
    assert.deepEqual(published.map(({ kind, sid: published }) => [kind, published]), [["audio", sid(name, "audio")]]);
  }
  for (const [subscriber, publisher] of pairs) {
    await subscribedTracks(people[subscriber], publisher, ["audio"]);
    const audio = sid(publisher, "audio");
    await people[subscriber].h("watch", audio);
    await until(`${subscriber} hears ${publisher}`, async () => (await people[subscriber].h("inbound", audio))?.totalAudioEnergy > 0);
    const seen = await people[subscriber].sees(publisher);
    assert.deepEqual(seen.tracks.map((track) => track.kind), ["audio"]);
  }
  await assertClean(...Object.values(people));
});
