// Measures joining: from the signaling socket's opening to the first decoded frame of somebody else's
// picture, in Chromium on this machine. Prints one JSON object; `node join-time.mjs [rounds]`.
import { Journey, moves, roomName, subscribedTracks } from "./lib/journey.mjs";
import { median, until } from "./lib/until.mjs";

const rounds = Number(process.argv[2] ?? 20);
const CAMERA = { width: 640, height: 480, frameRate: 20 };
const journey = await Journey.start("join-time");
try {
  const browser = await journey.chromium({ camera: "alice.y4m", microphone: "alice.wav" });
  const room = roomName("join-time");
  const publisher = await browser.person("publisher", journey.pages.url());
  await publisher.join(journey.server, room, { video: CAMERA });
  const times = [];
  for (let round = 0; round < rounds; round++) times.push(await joinOnce(browser, room, `joiner-${round}`));
  const sorted = [...times].sort((a, b) => a - b);
  console.log(JSON.stringify({ what: "socket open to first decoded frame", unit: "ms", rounds, median: median(times), min: sorted[0], p90: sorted[Math.floor(rounds * 0.9)], max: sorted.at(-1), times }));
} finally {
  await journey.end();
}

async function joinOnce(browser, room, identity) {
  const joiner = await browser.person(identity, journey.pages.url());
  // The first frame is taken as soon as the track is there, without a round trip to this script.
  await joiner.page.evaluate(() => {
    window.firstFrame = new Promise((resolve) => {
      const attach = h.attachRoom.bind(h);
      h.attachRoom = (joined) => {
        attach(joined);
        joined.on("trackSubscribed", (track) => {
          if (track.kind !== "video") return;
          const element = Object.assign(track.attach(), { muted: true });
          document.body.append(element);
          element.requestVideoFrameCallback(() => resolve(performance.timeOrigin + performance.now()));
        });
      };
    });
  });
  await joiner.join(journey.server, room, { audio: false, video: false });
  const firstFrame = await joiner.page.evaluate(() => window.firstFrame);
  const { at: opened } = (await joiner.h("moments")).find(({ what }) => what === "open");
  const { video } = await subscribedTracks(joiner, "publisher");
  await joiner.h("watch", video.sid);
  await moves(joiner, video.sid, { frames: 2 });
  await joiner.h("leave");
  await until(`${identity} has left`, async () => (await journey.server.rows(room)).find((row) => row.identity === identity)?.status === "disconnected");
  await joiner.page.context().close();
  return Math.round(firstFrame - opened);
}
