// A call of three that outlives its server: ends the process, starts the next, and looks whether anything was lost.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { launchChromium } from "./browsers.mjs";
import { roomName, subscribedTracks } from "./journey.mjs";
import { startPages } from "./page-server.mjs";
import { HeldPort, startServe } from "./server.mjs";
import { sleep, until } from "./until.mjs";

const NAMES = ["alice", "bob", "carol"];
const CAMERA = { width: 160, height: 120, frameRate: 10 };
/** A busy machine may take this long; what is measured is told, not asserted. */
const PATIENCE = { timeoutMs: 60_000, everyMs: 100 };

/** Three people in Chromium with the unmodified SDK, each publishing audio, video and data. */
export class LastingCall {
  closers = [];
  people = [];

  /** `args` are further options of the server; with `isHeld` its HTTP port stays open while it is away. */
  static async start(label, { args = [], isHeld = false } = {}) {
    const call = new LastingCall();
    Object.assign(call, { label, args, isHeld });
    try {
      await call.begin();
    } catch (error) {
      await call.end();
      throw error;
    }
    return call;
  }

  async begin() {
    this.dataDir = await mkdtemp(path.join(os.tmpdir(), "rotunda-e2e-"));
    this.closers.push(() => rm(this.dataDir, { recursive: true, force: true }));
    const held = this.isHeld ? new HeldPort() : undefined;
    this.closers.push(() => held?.close());
    this.server = await startServe(this.label, this.dataDir, { args: this.args, held });
    this.closers.push(() => this.server.child.kill("SIGKILL"));
    this.addresses = { httpAddr: new URL(this.server.http).host, mediaAddr: this.server.media, held };
    const pages = await startPages();
    this.closers.push(() => pages.close());
    const browser = await launchChromium(this.label);
    this.closers.push(() => browser.close());
    this.room = roomName("lasting");
    for (const name of NAMES) {
      const person = await browser.person(name, pages.url());
      const joined = await person.join(this.server, this.room, { video: CAMERA, data: true });
      Object.assign(person, { roomSid: joined.roomSid, tracks: joined.tracks });
      this.people.push(person);
    }
    for (const { person, other } of this.pairs()) await subscribedTracks(person, other.identity, ["audio", "video", "data"]);
    for (const person of this.people) await person.h("watchPictures");
    await this.flows(Date.now());
  }

  async end() {
    for (const close of this.closers.reverse()) await Promise.resolve(close()).catch(() => {});
  }

  /** Each person with each other one. */
  pairs() {
    return this.people.flatMap((person) => this.people.filter((other) => other !== person).map((other) => ({ person, other })));
  }

  /**
   * Ends the server by `signal`, starts the next `awayMs` after its end, and waits until everyone is
   * back and all media flows. Fails if anything of the call was lost. In milliseconds: `endMs` from the signal to the
   * end of the process, `backMs` from the server being ready to the last of the six pictures, `allMs` to the end of
   * all checks, sound and data included. `steps` has when the last of the people had taken each step, by its name, in
   * milliseconds after the server was ready.
   */
  async restart(signal, awayMs) {
    const { asked, ended, ready } = await this.replace(signal, awayMs);
    for (const person of this.people) {
      await this.sawOnce(person, "reconnecting", asked);
      await this.sawOnce(person, "reconnected", asked);
    }
    const backMs = Math.round((await this.flows(ready)) - ready);
    const steps = { ...(await this.steps(asked, ready)), pictures: backMs };
    await this.isWhole(asked);
    return { endMs: ended - asked, backMs, allMs: Date.now() - ready, steps };
  }

  /** When the last had taken each step of the resume; the SDK's own waiting ends with `tried`. */
  async steps(since, ready) {
    const last = {};
    for (const person of this.people) {
      const own = {};
      for (const { what, at } of await person.h("moments", since)) {
        // A socket that was opened answers the try before it, those that failed came to nothing.
        if (what !== "tried" || own.open === undefined) own[what] = Math.round(at - ready);
      }
      for (const [what, at] of Object.entries(own)) last[what] = Math.max(last[what] ?? -Infinity, at);
    }
    return last;
  }

  /** Ends the server and starts the next; the moments in milliseconds since the epoch. */
  async replace(signal, awayMs) {
    const asked = Date.now();
    await this.kill(signal);
    const ended = Date.now();
    await sleep(awayMs);
    const { account_sid, auth_token, api_key_sid, api_key_secret } = this.server;
    this.server = await startServe(`${this.label}-next`, this.dataDir, { ...this.addresses, args: this.args });
    Object.assign(this.server, { account_sid, auth_token, api_key_sid, api_key_secret });
    return { asked, ended, ready: Date.now() };
  }

  /** Everyone leaves; each row has its end then. */
  async leave() {
    for (const person of this.people) await person.h("leave");
    const statuses = async () => (await this.server.rows(this.people[0].roomSid)).map(({ sid, status }) => [sid, status]);
    await until("all rows have ended", async () => (await statuses()).every(([, status]) => status === "disconnected"), PATIENCE);
    assert.deepEqual((await statuses()).map(([sid]) => sid).sort(), this.people.map(({ sid }) => sid).sort());
  }

  async kill(signal) {
    const { child } = this.server;
    const exited = once(child, "exit");
    child.kill(signal);
    const [code] = await exited;
    if (signal === "SIGTERM") assert.equal(code, 0, "SIGTERM ends the server well");
  }

  async sawOnce(person, event, since) {
    const seen = async () => (await person.page.evaluate(() => window.h.events)).filter((one) => one.event === event && one.at >= since);
    await until(`${person.identity} sees ${event}`, async () => (await seen()).length > 0, PATIENCE);
    assert.equal((await seen()).length, 1, `${person.identity} sees ${event} once`);
  }

  /** Waits for every picture, sound and message of everyone at everyone; the moment of the last first frame. */
  async flows(since) {
    const firsts = [];
    for (const { person, other } of this.pairs()) {
      const { video, audio } = await subscribedTracks(person, other.identity, ["audio", "video", "data"]);
      const frames = await until(
        `frames of ${other.identity} at ${person.identity}`,
        async () => {
          const found = await person.h("framesSince", video.sid, since).catch(() => []);
          return found.length >= 3 && found;
        },
        PATIENCE,
      );
      firsts.push(frames[0]);
      const heard = (await person.h("inbound", audio.sid))?.packetsReceived ?? 0;
      await until(
        `sound of ${other.identity} at ${person.identity}`,
        async () => (await person.h("inbound", audio.sid))?.packetsReceived > heard,
        PATIENCE,
      );
    }
    for (const person of this.people) await this.message(person);
    return Math.max(...firsts);
  }

  /** A message of one that all others get; repeated until they do, since a channel may just be opening. */
  async message(person) {
    const text = `${person.identity} ${Date.now()}`;
    const others = this.people.filter((other) => other !== person);
    await until(
      `${text} arrives`,
      async () => {
        await person.h("send", text);
        await sleep(100);
        const got = await Promise.all(others.map((other) => other.page.evaluate((sent) => window.h.data.some((one) => one.text === sent), text)));
        return got.every(Boolean);
      },
      PATIENCE,
    );
  }

  /** The same participants with the same tracks, everywhere: in the pages, in the list, in what was told. */
  async isWhole(since) {
    for (const person of this.people) {
      const me = await person.h("me");
      assert.deepEqual([me.state, me.roomSid, me.sid], ["connected", person.roomSid, person.sid]);
      assert.deepEqual(me.tracks, person.tracks, `${person.identity}'s tracks are the same`);
      const view = await person.h("view");
      const others = this.people.filter((other) => other !== person);
      const seen = view.participants.map(({ sid, state, tracks }) => [sid, state, tracks.map((track) => track.sid).sort()]);
      assert.deepEqual(seen.sort(), others.map((other) => [other.sid, "connected", other.tracks.map((track) => track.sid).sort()]).sort());
      const events = (await person.page.evaluate(() => window.h.events)).filter((one) => one.at >= since);
      const wrong = events.filter(({ event }) => ["disconnected", "participantConnected", "participantDisconnected", "trackPublished", "trackUnpublished", "trackSubscriptionFailed"].includes(event));
      assert.deepEqual(wrong, [], `${person.identity} was told of no end and no beginning`);
      assert.deepEqual(await person.faults(), [], `faults in the page of ${person.identity}`);
    }
    const rows = await this.server.rows(this.people[0].roomSid);
    assert.deepEqual(
      rows.map(({ sid, identity, status, end_time }) => [sid, identity, status, end_time]),
      this.people.map(({ sid, identity }) => [sid, identity, "connected", null]),
      "one row each, none ended",
    );
  }
}
