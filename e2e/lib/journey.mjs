// One journey's stage: a server, the pages, and people who leave nothing behind.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { startDev } from "./server.mjs";
import { startPages } from "./page-server.mjs";
import { launchChromium, launchFirefox } from "./browsers.mjs";
import { until } from "./until.mjs";

/** What a test file shares: started in `before`, ended in `after`. */
export class Journey {
  closers = [];

  static async start(label, options) {
    const journey = new Journey();
    journey.label = label;
    journey.server = await startDev(label, options);
    journey.closers.push(() => journey.server.stop());
    journey.pages = await startPages();
    journey.closers.push(() => journey.pages.close());
    return journey;
  }

  /** Keeps a browser, relay or proxy to be closed with the journey, last come first gone. */
  keep(closable) {
    this.closers.push(() => closable.close());
    return closable;
  }

  async chromium(options) {
    return this.keep(await launchChromium(this.label, options));
  }

  async firefox() {
    return this.keep(await launchFirefox());
  }

  async end() {
    const errors = [];
    for (const close of this.closers.reverse()) await Promise.resolve(close()).catch((error) => errors.push(error));
    if (errors.length) throw errors[0];
  }
}

/** A room name nobody else uses. */
export function roomName(word) {
  return `${word}-${randomUUID().slice(0, 8)}`;
}

/** The tracks of `identity` as `person` sees them once all of the kinds are subscribed, by kind. */
export function subscribedTracks(person, identity, kinds = ["audio", "video"]) {
  return until(`${person.identity} is subscribed to ${kinds} of ${identity}`, async () => {
    const tracks = (await person.sees(identity))?.tracks ?? [];
    const byKind = Object.fromEntries(tracks.filter((track) => track.subscribed).map((track) => [track.kind, track]));
    return kinds.every((kind) => byKind[kind]) && byKind;
  });
}

/** Waits until a watched picture moves on by some frames. */
export async function moves(person, sid, { frames = 5, timeoutMs = 10_000 } = {}) {
  const from = (await person.h("read", sid))?.lastFrame ?? 0;
  return until(
    `${frames} more frames of ${sid} at ${person.identity}`,
    async () => (await person.h("framesSince", sid, from + 1)).length >= frames,
    { timeoutMs },
  );
}

/** Waits for an event in a person's page and returns it. */
export function happened(person, event, fields = {}, options) {
  return until(
    `${person.identity} sees ${event} ${JSON.stringify(fields)}`,
    async () => {
      const events = await person.page.evaluate(() => window.h.events);
      return events.find((one) => one.event === event && Object.entries(fields).every(([name, value]) => one[name] === value));
    },
    options,
  );
}

/** Fails if a page had an error, or asked for anything but this machine. */
export async function assertClean(...people) {
  for (const person of people) {
    assert.deepEqual(await person.faults(), [], `faults in the page of ${person.identity}`);
    const foreign = person.requests.filter((url) => !/^(https?|wss?):\/\/(127\.0\.0\.1|10\.77\.0\.1):|^(data|blob):/.test(url));
    assert.deepEqual(foreign, [], `requests of ${person.identity} to elsewhere`);
  }
}

/** Fails if a browser's network log names the vendor. Close the browser before, so that the log is whole. */
export async function assertNoVendorName(browser) {
  const log = await browser.netLog();
  assert.match(log, /127\.0\.0\.1/, "the network log is there");
  const named = log.match(/[\w.-]*twilio[\w.-]*\.(com|net|org|io)/gi) ?? [];
  assert.deepEqual([...new Set(named)], [], "vendor's names in the network log");
}
