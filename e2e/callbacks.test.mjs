// Status callbacks of a call, by POST and by GET: every field, and the signature by the helper libraries' own validators.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import path from "node:path";
import twilio from "twilio";
import { assertClean, Journey, roomName } from "./lib/journey.mjs";
import { until } from "./lib/until.mjs";

const PYTHON = path.join(import.meta.dirname, ".venv", "bin", "python");
const SCRIPT = path.join(import.meta.dirname, "helper.py");
const IDENTITY = "Ana Ñandú + Søn (50%)";
const ROOM_FIELDS = ["AccountSid", "RoomName", "RoomSid", "RoomStatus", "RoomType", "SequenceNumber", "StatusCallbackEvent", "Timestamp"];
const PARTICIPANT_FIELDS = ["ParticipantIdentity", "ParticipantSid", "ParticipantStatus"];
const FIELDS = {
  "room-created": ROOM_FIELDS,
  "room-ended": [...ROOM_FIELDS, "RoomDuration"],
  "participant-connected": [...ROOM_FIELDS, ...PARTICIPANT_FIELDS],
  "participant-disconnected": [...ROOM_FIELDS, ...PARTICIPANT_FIELDS, "ParticipantDuration"],
  "track-added": [...ROOM_FIELDS, ...PARTICIPANT_FIELDS, "TrackSid", "TrackKind"],
  "track-removed": [...ROOM_FIELDS, ...PARTICIPANT_FIELDS, "TrackSid", "TrackKind"],
};
const calls = [];
let journey;
let receiver;
let origin;
let ana;

before(async () => {
  receiver = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    calls.push({ method: request.method, url: origin + request.url, headers: request.headers, body });
    response.writeHead(204).end();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  origin = `http://127.0.0.1:${receiver.address().port}`;
  journey = await Journey.start("callbacks");
  const browser = await journey.chromium();
  ana = await browser.person(IDENTITY, journey.pages.url("2.36.0"));
});
after(async () => {
  await journey?.end();
  receiver?.close();
});

/** What the Python helper library says about each request. */
async function pythonValidates(requests) {
  const child = spawn(PYTHON, [SCRIPT, "validate", "-"], {
    env: { ROTUNDA_URL: journey.server.http, ACCOUNT_SID: journey.server.account_sid, AUTH_TOKEN: journey.server.auth_token, API_KEY_SID: journey.server.api_key_sid, API_KEY_SECRET: journey.server.api_key_secret },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(JSON.stringify(requests));
  let out = "";
  for await (const chunk of child.stdout) out += chunk;
  return JSON.parse(out);
}

for (const method of ["POST", "GET"]) {
  test(`a call is told by ${method}, in order, with every field, and signed`, async () => {
    const room = roomName(`told by ${method}`);
    const node = journey.server.helper();
    const statusCallback = `${origin}/${method}/hook?tenant=7&name=a%20b`;
    const created = await node.video.v1.rooms.create({ uniqueName: room, statusCallback, statusCallbackMethod: method });
    const joined = await ana.join(journey.server, room, { video: true });
    const mine = () => calls.filter((call) => call.url.startsWith(`${origin}/${method}/`));
    const fieldsOf = (call) => Object.fromEntries(new URLSearchParams(method === "POST" ? call.body : new URL(call.url).search));
    const told = (event) => mine().filter((call) => fieldsOf(call).StatusCallbackEvent === event).length;
    await until("both tracks are told", () => told("track-added") === 2);
    await ana.h("leave");
    await until("the leave is told", () => told("participant-disconnected") === 1);
    await node.video.v1.rooms(created.sid).update({ status: "completed" });
    await until("the end is told", () => told("room-ended") === 1);

    const requests = mine();
    for (const [sequence, call] of requests.entries()) {
      const fields = fieldsOf(call);
      const event = fields.StatusCallbackEvent;
      const names = Object.keys(fields).filter((name) => method === "POST" || !["tenant", "name"].includes(name));
      assert.deepEqual(names.sort(), [...FIELDS[event]].sort(), event);
      assert.equal(call.method, method);
      assert.equal(fields.SequenceNumber, String(sequence));
      assert.equal(fields.AccountSid, journey.server.account_sid);
      assert.deepEqual([fields.RoomSid, fields.RoomName, fields.RoomType], [created.sid, room, "group"]);
      assert.equal(fields.RoomStatus, event === "room-ended" ? "completed" : "in-progress");
      assert.match(fields.Timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      if (fields.ParticipantSid) {
        assert.deepEqual([fields.ParticipantSid, fields.ParticipantIdentity], [joined.sid, IDENTITY]);
        assert.equal(fields.ParticipantStatus, event === "participant-disconnected" ? "disconnected" : "connected");
      }
      if (fields.TrackSid) {
        assert.match(fields.TrackSid, /^MT[0-9a-f]{32}$/);
        assert.match(fields.TrackKind, /^(audio|video)$/);
      }
      for (const name of ["RoomDuration", "ParticipantDuration"]) if (name in fields) assert.match(fields[name], /^\d+$/);
      if (method === "POST") assert.equal(call.headers["content-type"], "application/x-www-form-urlencoded");
      assert.ok(call.url.startsWith(statusCallback), call.url);
    }
    assert.equal(fieldsOf(requests[0]).StatusCallbackEvent, "room-created");
    assert.equal(fieldsOf(requests.at(-1)).StatusCallbackEvent, "room-ended");

    const signed = requests.map((call) => ({
      url: call.url,
      fields: method === "POST" ? fieldsOf(call) : {},
      signature: call.headers["x-twilio-signature"],
    }));
    const token = journey.server.auth_token;
    for (const { url, fields, signature } of signed) {
      assert.equal(twilio.validateRequest(token, signature, url, fields), true, url);
      assert.equal(twilio.validateRequest(`${token}x`, signature, url, fields), false, url);
      assert.equal(twilio.validateRequest(token, signature, `${url}&more=1`, fields), false, url);
    }
    assert.deepEqual(await pythonValidates(signed), signed.map(() => [true, false]));
    await assertClean(ana);
  });
}
