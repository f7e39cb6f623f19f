// The basics with an older SDK, 2.32.0, in one room with the newest.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { isColourOf, launchAs, LOOKS } from "./lib/browsers.mjs";
import { assertClean, assertNoVendorName, happened, Journey, moves, roomName, subscribedTracks } from "./lib/journey.mjs";
import { until } from "./lib/until.mjs";

const room = roomName("older");
const browsers = {};
const people = {};
let journey;

before(async () => {
  journey = await Journey.start("older-sdk");
  for (const [name, sdk] of Object.entries({ alice: "2.32.0.min", bob: "2.36.0.min" })) {
    browsers[name] = journey.keep(await launchAs("older-sdk", name));
    people[name] = await browsers[name].person(name, journey.pages.url(sdk));
  }
});
after(() => journey?.end());

test("2.32.0 and 2.36.0 see and hear each other", async () => {
  for (const name of ["alice", "bob"]) {
    const [width, height] = LOOKS[name].size;
    await people[name].join(journey.server, room, { data: true, video: { width, height } });
  }
  assert.equal(await people.alice.page.evaluate(() => Twilio.Video.version), "2.32.0");
  for (const [subscriber, publisher] of [["alice", "bob"], ["bob", "alice"]]) {
    const { audio, video } = await subscribedTracks(people[subscriber], publisher, ["audio", "video", "data"]);
    await people[subscriber].h("watch", video.sid);
    await people[subscriber].h("watch", audio.sid);
    await moves(people[subscriber], video.sid);
    await until(`${subscriber} sees and hears ${publisher}`, async () => {
      const { colour } = await people[subscriber].h("read", video.sid);
      const { hertz, decibels } = await people[subscriber].h("read", audio.sid);
      return isColourOf(publisher, colour) && decibels > -60 && Math.abs(hertz - LOOKS[publisher].hertz) < 12;
    });
  }
});

test("mute, unpublish, republish and data work from the older one", async () => {
  const { audio, video } = await subscribedTracks(people.bob, "alice");
  await people.alice.h("setEnabled", "audio", false);
  await happened(people.bob, "trackDisabled", { track: audio.sid });
  await people.alice.h("unpublish", "video");
  await happened(people.bob, "trackUnsubscribed", { track: video.sid });
  const again = await people.alice.h("publish", "video");
  await happened(people.bob, "trackSubscribed", { track: again });
  await people.bob.h("watch", again);
  await moves(people.bob, again);
  await people.alice.h("send", "from the older one");
  await until("the message", async () => (await people.bob.page.evaluate(() => window.h.data)).some((one) => one.text === "from the older one"));
});

test("it leaves, without an error in any page or a look-up of the vendor's name", async () => {
  await people.alice.h("leave");
  await happened(people.bob, "participantDisconnected", { identity: "alice" });
  await assertClean(people.alice, people.bob);
  for (const browser of Object.values(browsers)) {
    await browser.close();
    await assertNoVendorName(browser);
  }
});
