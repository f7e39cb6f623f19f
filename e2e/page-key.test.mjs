// The page and its key: from the printed link, from what a person pastes, and on a host without https.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { launchChromium } from "./lib/browsers.mjs";
import { ARTIFACTS, startServe } from "./lib/server.mjs";
import { until } from "./lib/until.mjs";

const ADDRESS = process.env.ROTUNDA_E2E_ADDRESS;
let dataDir;
let server;
let browser;

before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), "rotunda-e2e-"));
  server = await startServe("page-key", dataDir, { httpAddr: ADDRESS ? "0.0.0.0:0" : "127.0.0.1:0" });
  browser = await launchChromium("page-key");
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const local = (url) => url.replace("0.0.0.0", "127.0.0.1");

async function join(person, identity, room) {
  await person.page.getByLabel("Room").fill(room);
  await person.page.getByLabel("Your name").fill(identity);
  await person.page.getByRole("button", { name: "Join", exact: true }).click();
  await person.page.locator(`[data-identity="${identity}"]`).waitFor();
  await until(`${identity} in the answer`, async () => (await person.page.locator("#answer-body").innerText()).includes(`"${identity}"`));
}

test("the printed link opens the page, and the key is gone from the address bar", async () => {
  assert.match(server.page, /#account=AC[0-9a-f]{32}&key=SK[0-9a-f]{32}:\S+$/);
  const person = await browser.person("ada", local(server.page));
  await person.page.getByRole("heading", { name: "Join a room" }).waitFor();
  assert.ok(!person.page.url().includes(server.api_key_secret), person.page.url());
  await person.page.reload();
  await join(person, "ada", "linked");
  assert.ok(!person.page.url().includes("key"), person.page.url());
  await person.page.reload();
  await person.page.getByRole("button", { name: "Forget this server's key" }).click();
  await person.page.getByRole("heading", { name: "Open this page with its key" }).waitFor();
  await person.page.reload();
  await person.page.getByRole("heading", { name: "Open this page with its key" }).waitFor();
  assert.deepEqual(person.pageErrors, []);
});

test("without a key it asks for one, says what is missing, and takes what is pasted", async () => {
  const person = await browser.person("ben", new URL(local(server.page)).origin);
  const { page } = person;
  await page.getByRole("heading", { name: "Open this page with its key" }).waitFor();
  await page.screenshot({ path: path.join(ARTIFACTS, "sign-in.png") });
  await page.getByLabel("Link or credentials").fill(server.account_sid);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("That is not complete").waitFor();
  const printed = `TWILIO_ACCOUNT_SID=${server.account_sid}\nTWILIO_API_KEY_SID=${server.api_key_sid}\nTWILIO_API_KEY_SECRET=${server.api_key_secret}\n`;
  await page.getByLabel("Link or credentials").fill(printed);
  await page.getByRole("button", { name: "Continue" }).click();
  await join(person, "ben", "pasted");
  assert.deepEqual(person.pageErrors, []);
});

test("a key of another server is refused in words, with a way to sign in again", async () => {
  const wrong = local(server.page).replace(server.api_key_secret, "f".repeat(32));
  const { page } = await browser.person("eve", wrong);
  await page.getByLabel("Room").fill("vault");
  await page.getByLabel("Your name").fill("eve");
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.getByText("The server does not accept this key").waitFor();
  await page.getByRole("button", { name: "Sign in again" }).click();
  await page.getByRole("heading", { name: "Open this page with its key" }).waitFor();
});

test(`on plain http of another host it explains TLS, and one can still watch${ADDRESS ? "" : " (skipped: no address besides loopback)"}`, { skip: !ADDRESS }, async () => {
  const person = await browser.person("lan", local(server.page).replace("127.0.0.1", ADDRESS));
  await person.page.getByText("is plain http").waitFor();
  assert.equal(await person.page.evaluate(() => globalThis.isSecureContext), false);
  await person.page.screenshot({ path: path.join(ARTIFACTS, "insecure.png") });
  await join(person, "lan", "linked");
  assert.deepEqual(person.pageErrors, []);
});
