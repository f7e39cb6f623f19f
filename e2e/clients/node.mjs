// A walk over the REST API with the npm helper library; see clients.test.mjs.
import twilio from "twilio";
import { createInterface } from "node:readline/promises";

const { ROTUNDA_URL, ACCOUNT_SID, API_KEY_SID, API_KEY_SECRET } = process.env;

// docs/clients.md
const client = twilio(API_KEY_SID, API_KEY_SECRET, { accountSid: ACCOUNT_SID });
client.video.baseUrl = ROTUNDA_URL;
// end

const name = process.argv[2];
const seen = {};

/** What a step gives, or the code of its error. */
async function step(what, call) {
  try {
    seen[what] = await call();
  } catch (error) {
    if (!error.code) throw error;
    seen[what] = error.code;
  }
}

const { rooms } = client.video.v1;
const { sid } = await rooms.create({ uniqueName: name, emptyRoomTimeout: 1, videoCodecs: ["VP8"] });
console.log(sid);
await createInterface({ input: process.stdin }).question("");

const ana = rooms(name).participants("ana");
const identities = (rows) => rows.map((row) => row.identity);
await step("fetched", async () => (await rooms(name).fetch()).sid === sid);
await step("listed", async () => (await rooms.list({ uniqueName: name })).length);
await step("paged", async () => identities(await rooms(name).participants.list({ pageSize: 1 })));
await step("participant", async () => (await ana.fetch()).status);
await step("published", async () => (await ana.publishedTracks.list({ pageSize: 1 })).map((track) => track.kind));
await step("named", async () => (await ana.publishedTracks((await ana.publishedTracks.list())[0].name).fetch()).kind);
await step("subscribed", async () => (await ana.subscribedTracks.list({ pageSize: 1 })).map((track) => track.kind));
await step("rules", async () => (await ana.subscribeRules.fetch()).rules.map((rule) => rule.type));
await step("replaced", async () =>
  (await ana.subscribeRules.update({ rules: [{ type: "exclude", all: true }] })).rules.map((rule) => rule.type));
const ben = (await rooms(name).participants("ben").fetch()).sid;
await step("disconnected", async () => (await rooms(name).participants("ben").update({ status: "disconnected" })).status);
await step("anonymized", async () => (await rooms(name).participants(ben).anonymize().update()).identity === ben);
await step("completed", async () => (await rooms(name).update({ status: "completed" })).status);
await step("afterwards", async () => (await rooms(sid).participants.list({ pageSize: 1 })).length);
await step("gone", async () => (await rooms(name).fetch()).sid);
console.log(JSON.stringify(seen));
process.exit();
