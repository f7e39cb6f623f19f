// Picture and sound of one person stay together on their way through the server.
import { after, before, test } from "node:test";
import { launchAs, LOOKS } from "./lib/browsers.mjs";
import { assertClean, Journey, roomName, subscribedTracks } from "./lib/journey.mjs";
import { lipSync } from "./lib/lip-sync.mjs";
import { until } from "./lib/until.mjs";

/** How far a beep may be from its flash. */
const TOGETHER_MS = 80;
/** Chromium's own lip sync takes some seconds to settle, more on a loaded machine. */
const SETTLED_MS = 150_000;
const NAMES = ["bob", "carol"];
const room = roomName("lip-sync");
const people = {};
const sids = {};
let journey;

before(async () => {
  journey = await Journey.start("lip-sync");
  for (const name of NAMES) {
    const browser = journey.keep(await launchAs("lip-sync", name));
    const [width, height] = LOOKS[name].size;
    people[name] = await browser.person(name, journey.pages.url("2.36.0.min"));
    await people[name].join(journey.server, room, { video: { width, height } });
  }
  for (const [watcher, publisher] of [NAMES, [...NAMES].reverse()]) {
    const tracks = await subscribedTracks(people[watcher], publisher);
    sids[publisher] = { video: tracks.video.sid, audio: tracks.audio.sid };
  }
  for (const watcher of NAMES) {
    for (const publisher of NAMES) {
      for (const sid of Object.values(sids[publisher])) await people[watcher].h("watch", sid);
    }
  }
});
after(() => journey?.end());

async function events(watcher, publisher) {
  const { flashes } = await people[watcher].h("read", sids[publisher].video);
  const { beeps } = await people[watcher].h("read", sids[publisher].audio);
  return { flashes, beeps };
}

const way = async (publisher, subscriber) => lipSync(await events(publisher, publisher), await events(subscriber, publisher));

// Each page's instruments have a lag of their own between picture and sound (the clock of its audio output
// against the moment that frames are drawn). It is the same for what the page sends and for what it gets, so it
// has one sign one way and the other sign back: the mean of both ways is free of it. That the server keeps the
// publisher's clocks is a test of the crate `sfu`, without a browser's delays.
test("flash and beep stay within 80 ms of each other on the way", async (t) => {
  const [one, other] = NAMES;
  let ways;
  await until(
    `flash and beep between ${one} and ${other} within ${TOGETHER_MS} ms`,
    async () => {
      ways = [await way(one, other), await way(other, one)];
      return ways.every(Boolean) && Math.abs(ways[0].skew + ways[1].skew) / 2 < TOGETHER_MS;
    },
    { timeoutMs: SETTLED_MS, everyMs: 500 },
  ).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(ways)}`);
  });
  t.diagnostic(`${one} to ${other} ${JSON.stringify(ways[0])}, back ${JSON.stringify(ways[1])}`);
  await assertClean(...Object.values(people));
});
