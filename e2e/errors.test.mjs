// Refusals: each fault of a token or a room reaches the application as the SDK's own error for it.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { happened, Journey, roomName } from "./lib/journey.mjs";
import { makeToken } from "./lib/server.mjs";
import { until } from "./lib/until.mjs";

const AN_HOUR_S = 3600;
let journey;
let browser;

before(async () => {
  journey = await Journey.start("errors");
  browser = await journey.chromium();
});
after(() => journey?.end());

/** A person with the SDK whose classes have readable names. */
const person = (identity) => browser.person(identity, journey.pages.url("2.36.0"));

/** Signs any header and payload, for tokens that no helper library would make. */
function sign(header, payload, secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part(header)}.${part(payload)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

function claims(changes = {}) {
  const { api_key_sid, account_sid } = journey.server;
  const exp = Math.floor(Date.now() / 1000) + AN_HOUR_S;
  return { jti: `${api_key_sid}-1`, iss: api_key_sid, sub: account_sid, exp, grants: { identity: "eve", video: { room: "vault" } }, ...changes };
}
const HEADER = { alg: "HS256", typ: "JWT", cty: "twilio-fpa;v=1" };
const signed = (changes, header = {}) => sign({ ...HEADER, ...header }, claims(changes), journey.server.api_key_secret);
const nowS = () => Math.floor(Date.now() / 1000);

const REFUSED = [
  ["expired", 20104, "AccessTokenExpiredError", () => signed({ exp: nowS() - AN_HOUR_S })],
  ["without an end", 20104, "AccessTokenExpiredError", () => signed({ exp: undefined })],
  ["valid for longer than a day", 20104, "AccessTokenExpiredError", () => signed({ exp: nowS() + 25 * AN_HOUR_S })],
  ["not yet valid", 20105, "AccessTokenNotYetValidError", () => signed({ nbf: nowS() + AN_HOUR_S })],
  ["forged", 20107, "AccessTokenSignatureInvalidError", () => sign(HEADER, claims(), "not the secret")],
  ["of an unknown key", 20103, "AccessTokenIssuerInvalidError", () => signed({ iss: `SK${"0".repeat(32)}` })],
  ["of another account", 20103, "AccessTokenIssuerInvalidError", () => signed({ sub: `AC${"0".repeat(32)}` })],
  ["without a video grant", 20106, "AccessTokenGrantsInvalidError", () => makeToken(journey.server, "eve", "vault", { grant: null })],
  ["for another room", 20106, "AccessTokenGrantsInvalidError", () => makeToken(journey.server, "eve", "elsewhere")],
  ["unsigned", 20102, "AccessTokenHeaderInvalidError", () => signed({}, { alg: "none" })],
  ["of another kind of token", 20102, "AccessTokenHeaderInvalidError", () => signed({}, { cty: "other" })],
  ["that is no token", 20101, "AccessTokenInvalidError", () => "not a token"],
];

test("a token that is …", async (t) => {
  const eve = await person("eve");
  for (const [fault, code, className, token] of REFUSED) {
    await t.test(`${fault} is refused with ${code} ${className}`, async () => {
      const answer = await eve.tryJoin(journey.server, "vault", { token: token(), audio: false, video: false });
      assert.equal(answer.ok, false);
      assert.deepEqual([answer.error.code, answer.error.class], [code, className], answer.error.message);
    });
  }
  assert.deepEqual(await eve.faults(), []);
});

test("a token made for a room's SID, or for any room, opens it", async () => {
  const name = roomName("granted");
  const { body } = await journey.server.rest("POST", "/v1/Rooms", { UniqueName: name });
  const [anna, otto] = [await person("anna"), await person("otto")];
  const joined = await anna.join(journey.server, name, { token: makeToken(journey.server, "anna", body.sid), audio: false, video: false });
  assert.equal(joined.roomSid, body.sid);
  const anywhere = await otto.join(journey.server, name, { token: makeToken(journey.server, "otto", null, { grant: {} }), audio: false, video: false });
  assert.equal(anywhere.roomSid, body.sid);
  await anna.page.context().close();
  await otto.page.context().close();
});

test("a full room refuses with 53105 RoomMaxParticipantsExceededError", async () => {
  const name = roomName("full");
  await journey.server.rest("POST", "/v1/Rooms", { UniqueName: name, MaxParticipants: 1 });
  const [first, second] = [await person("first"), await person("second")];
  await first.join(journey.server, name, { video: false });
  const answer = await second.tryJoin(journey.server, name, { video: false });
  assert.deepEqual([answer.error?.code, answer.error?.class], [53105, "RoomMaxParticipantsExceededError"]);
  const rows = await journey.server.rows(name);
  assert.deepEqual(rows.map((row) => row.identity), ["first"], "who was refused has no row");
  await first.h("leave");
  await until("room for one more", async () => (await second.tryJoin(journey.server, name, { video: false })).ok);
  await first.page.context().close();
  await second.page.context().close();
});

test("of two with one identity the newer stays and the older ends with 53205 ParticipantDuplicateIdentityError", async () => {
  const name = roomName("double");
  const [older, newer, witness] = [await person("twin"), await person("twin"), await person("witness")];
  await witness.join(journey.server, name, { audio: false, video: false });
  const first = await older.join(journey.server, name, { video: false });
  await happened(witness, "participantConnected", { participant: first.sid });
  const second = await newer.join(journey.server, name, { video: false });
  assert.notEqual(second.sid, first.sid);
  const { error } = await happened(older, "disconnected");
  assert.deepEqual([error.code, error.class], [53205, "ParticipantDuplicateIdentityError"]);
  await happened(witness, "participantDisconnected", { participant: first.sid });
  await happened(witness, "participantConnected", { participant: second.sid });
  const rows = (await journey.server.rows(name)).filter((row) => row.identity === "twin");
  assert.deepEqual(rows.map(({ sid, status }) => [sid, status]), [[first.sid, "disconnected"], [second.sid, "connected"]]);
  assert.equal(rows[0].end_time, rows[0].date_updated);
  for (const one of [older, newer, witness]) assert.deepEqual(await one.faults(), []);
});
