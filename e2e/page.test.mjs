// The page that the server ships, as a person uses it: join in two tabs, look at the list, mute, leave.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import { launchChromium } from "./lib/browsers.mjs";
import { assertNoVendorName, Journey } from "./lib/journey.mjs";
import { ARTIFACTS } from "./lib/server.mjs";
import { until } from "./lib/until.mjs";

const DESKTOP = { viewport: { width: 1280, height: 800 }, colorScheme: "light" };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
let journey;
let dawn;
let grove;
let ada;
let grace;

before(async () => {
  journey = await Journey.start("page");
  dawn = journey.keep(await launchChromium("page-dawn", { camera: "dawn.mjpeg" }));
  grove = journey.keep(await launchChromium("page-grove", { camera: "grove.mjpeg" }));
});
after(() => journey?.end());

const picture = (person, name) => person.page.screenshot({ path: path.join(ARTIFACTS, name) });
const tile = (person, identity) => person.page.locator(`[data-identity="${identity}"]`);
const answer = (person) => person.page.locator("#answer-body").innerText();

async function open(browser, identity, options, query = "") {
  const person = await browser.person(identity, journey.server.page + query, options);
  await person.page.getByLabel("Your name").fill(identity);
  return person;
}

/** Whether a tile's video really shows frames. */
const plays = (person, identity) =>
  until(`${identity}'s picture plays at ${person.identity}`, () =>
    tile(person, identity).locator("video").evaluate((video) => video.videoWidth > 0 && video.currentTime > 0.5),
  );

test("the join form says what is missing, then joins", async () => {
  ada = await open(dawn, "Ada", DESKTOP);
  await ada.page.getByRole("button", { name: "Join" }).click();
  await ada.page.getByText("Name the room").waitFor();
  await ada.page.getByLabel("Room").fill("daily");
  await until("the camera's preview plays", () => ada.page.locator(".preview video").evaluate((video) => video.currentTime > 0.3));
  await picture(ada, "join-desktop.png");
  await ada.page.getByRole("button", { name: "Join" }).click();
  await tile(ada, "Ada").waitFor();
  assert.equal(new URL(ada.page.url()).search, "?room=daily");
  await ada.page.getByText("Only you").waitFor();
});

test("a second person on a phone opens the room's link, and both see each other", async () => {
  grace = await open(grove, "Grace", PHONE, "?room=daily");
  assert.equal(await grace.page.getByLabel("Room").inputValue(), "daily");
  await picture(grace, "join-phone.png");
  await grace.page.getByRole("button", { name: "Join" }).tap();
  await plays(ada, "Grace");
  await plays(grace, "Ada");
  await plays(ada, "Ada");
  await picture(grace, "call-phone.png");
});

test("the live answer beside the call shows both, and the curl to ask for it", async () => {
  const shown = await until("both in the answer", async () => {
    const text = await answer(ada);
    return /"identity": "Ada"/.test(text) && /"identity": "Grace"/.test(text) && text;
  });
  const { body } = await journey.server.rest("GET", "/v1/Rooms/daily/Participants");
  assert.deepEqual(JSON.parse(shown), body);
  const curl = await ada.page.locator(".curl-text").innerText();
  assert.match(curl, /curl -u "\$ROTUNDA_API_KEY_SID:\$ROTUNDA_API_KEY_SECRET"/);
  assert.ok(curl.includes(`${new URL(journey.server.page).origin}/v1/Rooms/daily/Participants`));
  assert.ok(!curl.includes(journey.server.api_key_secret));
  await grace.page.getByRole("button", { name: "Live answer", exact: true }).tap();
  await until("the sheet on the phone", async () => /"identity": "Ada"/.test(await answer(grace)));
  await picture(grace, "answer-phone.png");
  await grace.page.getByRole("button", { name: "Close the live answer" }).tap();
});

test("mute and camera off show on the other's tile, and come back", async () => {
  await grace.page.getByRole("button", { name: "Mute" }).tap();
  await ada.page.locator('[aria-label="Grace, muted"]').waitFor();
  await grace.page.getByRole("button", { name: "Turn camera off" }).tap();
  await ada.page.locator('[aria-label="Grace, muted, camera off"]').waitFor();
  await picture(ada, "call-desktop-camera-off.png");
  await grace.page.getByRole("button", { name: "Turn camera on" }).tap();
  await grace.page.getByRole("button", { name: "Unmute" }).tap();
  await ada.page.locator('[aria-label="Grace"]').waitFor();
  await plays(ada, "Grace");
  // The keys do the same.
  await ada.page.locator("body").press("m");
  await grace.page.locator('[aria-label="Ada, muted"]').waitFor();
  await ada.page.locator("body").press("m");
  await grace.page.locator('[aria-label="Ada"]').waitFor();
});

test("the pictures of the page are taken", async () => {
  const linus = await open(grove, "Linus", DESKTOP, "?room=daily");
  await linus.page.getByRole("button", { name: "Mute" }).click();
  await linus.page.getByRole("button", { name: "Turn camera off" }).click();
  await linus.page.getByRole("button", { name: "Join" }).click();
  await tile(ada, "Linus").waitFor();
  await until("Linus in the answer", async () => /"identity": "Linus"/.test(await answer(ada)));
  await ada.page.waitForFunction(() => document.getAnimations().every((animation) => animation.animationName !== "flash"));
  await picture(ada, "call-desktop.png");
  await ada.page.emulateMedia({ colorScheme: "dark" });
  await picture(ada, "call-desktop-dark.png");
  await ada.page.emulateMedia({ colorScheme: "light" });
  await linus.page.getByRole("button", { name: "Leave" }).click();
  await linus.page.getByRole("heading", { name: "You left the room" }).waitFor();
  await until("Linus among the disconnected", async () => /"identity": "Linus"/.test(await answer(linus)));
  assert.deepEqual(await linus.faults(), []);
});

test("one who leaves is gone from the other's tiles and list, and may join again", async () => {
  await grace.page.getByRole("button", { name: "Leave" }).tap();
  await grace.page.getByRole("heading", { name: "You left the room" }).waitFor();
  await tile(ada, "Grace").waitFor({ state: "detached" });
  await until("the answer without Grace", async () => !/Grace/.test(await answer(ada)));
  await ada.page.getByRole("tab", { name: "disconnected" }).click();
  await until("Grace among the disconnected", async () => /"identity": "Grace"/.test(await answer(ada)));
  await picture(grace, "left-phone.png");
  await grace.page.getByRole("button", { name: "Join again" }).tap();
  await grace.page.getByRole("button", { name: "Join", exact: true }).tap();
  await plays(ada, "Grace");
});

test("a removal and the end of a room are said in words", async () => {
  await journey.server.rest("POST", "/v1/Rooms/daily/Participants/Grace", { Status: "disconnected" });
  await grace.page.getByRole("heading", { name: "You were removed from the room" }).waitFor();
  await journey.server.rest("POST", "/v1/Rooms/daily", { Status: "completed" });
  await ada.page.getByRole("heading", { name: "The room has ended" }).waitFor();
  await picture(ada, "ended-desktop.png");
});

test("a full room is said on the join form", async () => {
  await journey.server.rest("POST", "/v1/Rooms", { UniqueName: "tiny", MaxParticipants: 1 });
  await ada.page.goto(`${journey.server.page}?room=tiny`);
  await ada.page.getByRole("button", { name: "Join", exact: true }).click();
  await tile(ada, "Ada").waitFor();
  await grace.page.goto(`${journey.server.page}?room=tiny`);
  await grace.page.getByRole("button", { name: "Join", exact: true }).tap();
  await grace.page.getByText("The room is full").waitFor();
});

test("neither page had an error or asked anybody else for anything", async () => {
  const { origin } = new URL(journey.server.page);
  for (const person of [ada, grace]) {
    assert.deepEqual(await person.pageErrors, []);
    const foreign = person.requests.filter((url) => new URL(url).host !== new URL(origin).host);
    assert.deepEqual(foreign, []);
  }
  for (const browser of [dawn, grove]) {
    await browser.close();
    await assertNoVendorName(browser);
  }
});
