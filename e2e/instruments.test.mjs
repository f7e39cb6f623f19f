// The instruments measured on themselves: a page that sends its camera to itself, without any server.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { isColourOf, launchAs, LOOKS } from "./lib/browsers.mjs";
import { lipSync } from "./lib/lip-sync.mjs";
import { startPages } from "./lib/page-server.mjs";
import { until } from "./lib/until.mjs";

let pages;
let browser;

before(async () => {
  pages = await startPages();
  browser = await launchAs("instruments", "bob");
});
after(async () => {
  await browser?.close();
  pages?.close();
});

test("colour, size, pitch, flash and beep of a known camera are read off a peer connection", async () => {
  const bob = await browser.person("bob", `${pages.origin}/loopback.html`);
  await bob.page.evaluate(() => window.loopback.start());
  const read = (name) => bob.page.evaluate((which) => window.loopback.read(which), name);
  const received = await until("eight flashes and beeps", async () => {
    const seen = await read("received");
    return seen.flashes.length >= 8 && seen.beeps.length >= 8 && seen;
  });
  assert.ok(isColourOf("bob", received.colour), `colour ${received.colour}`);
  assert.ok(!isColourOf("alice", received.colour));
  assert.deepEqual(received.size, LOOKS.bob.size);
  assert.ok(Math.abs(received.hertz - LOOKS.bob.hertz) < 12, `${received.hertz} Hz`);
  // The browser's own lip sync takes some seconds to settle.
  const { picture } = await until(
    "flash and beep within 80 ms of each other",
    async () => {
      const measured = lipSync(await read("sent"), await read("received"));
      return measured && Math.abs(measured.skew) < 80 && measured;
    },
    { timeoutMs: 120_000, everyMs: 500 },
  );
  assert.ok(picture >= -50 && picture < 400, `picture took ${picture} ms`);
});

test("a name that is looked up shows in the browser's network log", async () => {
  const page = await browser.person("nobody", `${pages.origin}/loopback.html`);
  await page.page.evaluate(() => fetch("http://control.invalid/").catch(() => {}));
  await browser.close();
  const log = await browser.netLog();
  assert.match(log, /control\.invalid/);
  assert.match(log, new RegExp(pages.origin.replace("http://", "")));
  browser = null;
});
