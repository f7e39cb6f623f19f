// Chromium and Firefox with cameras and microphones of our making, and the people in their tabs.
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { ARTIFACTS } from "./server.mjs";

const MEDIA = path.resolve(import.meta.dirname, "..", "media");
const CHROMIUM = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
const FIREFOX = process.env.FIREFOX_BIN ?? "/usr/bin/firefox-esr";

/** A page driven by tests: `h` calls the client in it, `faults` is what must stay empty. */
export class Person {
  requests = [];
  pageErrors = [];

  constructor(page, identity) {
    this.page = page;
    this.identity = identity;
  }

  /** Calls a function of the client in the page. */
  h(method, ...args) {
    return this.page.evaluate(([name, values]) => window.h[name](...values), [method, args]);
  }

  /** Joins and fails with the SDK's error where it does not. */
  async join(server, room, { token, wsServer, ...rest } = {}) {
    const answer = await this.tryJoin(server, room, { token, wsServer, ...rest });
    if (!answer.ok) throw new Error(`${this.identity} could not join: ${JSON.stringify(answer.error)}`);
    this.sid = answer.sid;
    return answer;
  }

  /** Joins; a refusal is part of the answer. */
  tryJoin(server, room, { token, wsServer, ...rest } = {}) {
    return this.h("join", { token: token ?? server.token(this.identity, room), wsServer: wsServer ?? server.signaling, name: room, ...rest });
  }

  /** This page's view of another person, once it is there. */
  async sees(identity) {
    const view = await this.h("view");
    return view?.participants.find((participant) => participant.identity === identity) ?? null;
  }

  /** Everything that went wrong in the page without anybody catching it. */
  async faults() {
    return [...this.pageErrors, ...(await this.h("faults").catch(() => []))];
  }
}

/** Chromium with one person's camera and microphone files; `media: null` takes the built-in ones. */
export async function launchChromium(label, { camera, microphone } = {}) {
  const netLog = path.join(ARTIFACTS, `${label}.netlog.json`);
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
      "--allow-loopback-in-peer-connection",
      // Pages in the background are people too.
      "--disable-backgrounding-occluded-windows",
      "--disable-renderer-backgrounding",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE 10.77.0.1",
      `--log-net-log=${netLog}`,
      ...(camera ? [`--use-file-for-fake-video-capture=${path.join(MEDIA, camera)}`] : []),
      ...(microphone ? [`--use-file-for-fake-audio-capture=${path.join(MEDIA, microphone)}`] : []),
    ],
  });
  return {
    browser,
    netLog: () => readFile(netLog, "utf8"),
    /** A new isolated page with the client in it. */
    async person(identity, url, contextOptions = {}) {
      const context = await browser.newContext(contextOptions);
      const person = new Person(await context.newPage(), identity);
      person.page.on("pageerror", (error) => person.pageErrors.push(`${error.name}: ${error.message}`));
      person.page.on("request", (request) => person.requests.push(request.url()));
      person.page.on("websocket", (socket) => person.requests.push(socket.url()));
      await person.page.goto(url);
      return person;
    },
    close: () => browser.close(),
  };
}

/** Chromium playing one of the three people: `alice`, `bob` or `carol`. */
export function launchAs(label, name) {
  return launchChromium(`${label}-${name}`, { camera: `${name}.y4m`, microphone: `${name}.wav` });
}

/** Why Firefox cannot take part here, or null where it can. */
export function whyNoFirefox() {
  return process.env.ROTUNDA_E2E_ADDRESS ? null : "no address besides loopback, on which Firefox makes no candidates";
}

/** Firefox ESR with its built-in fake devices. */
export async function launchFirefox() {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.autoplay.default": 0,
      "media.autoplay.blocking_policy": 0,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
      "media.gmp-manager.updateEnabled": false,
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
    },
  });
  return {
    browser,
    async person(identity, url) {
      const person = new Person(await browser.newPage(), identity);
      person.page.on("pageerror", (error) => person.pageErrors.push(`${error.name}: ${error.message}`));
      person.page.on("request", (request) => person.requests.push(request.url()));
      await person.page.goto(url);
      return person;
    },
    close: () => browser.close(),
  };
}

/** The people of the three-party call: what each looks and sounds like. */
export const LOOKS = {
  alice: { colour: [0xd0, 0x28, 0x28], size: [320, 240], hertz: 440 },
  bob: { colour: [0x28, 0xa0, 0x48], size: [240, 180], hertz: 660 },
  carol: { colour: [0x28, 0x48, 0xd0], size: [160, 120], hertz: 880 },
};

/** Whether a seen colour is the named person's and nobody else's. */
export function isColourOf(name, seen) {
  if (!seen) return false;
  const distance = (colour) => Math.hypot(...colour.map((value, i) => value - seen[i]));
  const others = Object.entries(LOOKS).filter(([other]) => other !== name);
  return distance(LOOKS[name].colour) < 50 && others.every(([, look]) => distance(look.colour) > 100);
}
