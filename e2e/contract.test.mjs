// Requests made up from our description of the API and from the public one: schemathesis against a real server
// with people in its rooms. No answer may be a server's fault, and each has to look as described.
// SCHEMATHESIS_SEED repeats a run, SCHEMATHESIS_EXAMPLES makes it longer.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import path from "node:path";
import { ARTIFACTS, binary, startDev } from "./lib/server.mjs";
import { until } from "./lib/until.mjs";

const ST = path.join(import.meta.dirname, ".venv", "bin", "st");
const PUBLIC = path.join(import.meta.dirname, "..", "..", "shared", "api", "twilio_video_v1.json");
const SEED = Number(process.env.SCHEMATHESIS_SEED ?? randomInt(1, 2 ** 31));
const EXAMPLES = Number(process.env.SCHEMATHESIS_EXAMPLES ?? 15);
const ROOMS = 3;
let server;
let load;
let description;

before(async () => {
  server = await startDev("contract");
  description = await (await fetch(`${server.http}/openapi.json`)).json();
});
after(async () => {
  await disperse();
  await server?.stop();
});

/** Lets people into new rooms, so that requests do not only meet what is not there; gives what there is. */
async function gather() {
  await disperse();
  load = spawn(binary(), ["load", "--url", server.http, "--rooms", `${ROOMS}`, "--participants", "2", "--codec", "none", "--duration", "10m"], {
    env: {
      ...process.env,
      TWILIO_ACCOUNT_SID: server.account_sid,
      TWILIO_AUTH_TOKEN: server.auth_token,
      TWILIO_API_KEY: server.api_key_sid,
      TWILIO_API_SECRET: server.api_key_secret,
    },
    stdio: "ignore",
  });
  return until("people are in new rooms", async () => {
    const { rooms } = (await server.rest("GET", `/v1/Rooms?PageSize=${ROOMS}`)).body;
    const people = (await Promise.all(rooms.map((room) => server.rows(room.sid)))).flat().filter((one) => one.status === "connected");
    return people.length === 2 * ROOMS && { rooms: rooms.flatMap((room) => [room.sid, room.unique_name]), people: people.map((one) => one.sid) };
  });
}

async function disperse() {
  if (load?.exitCode !== null || load.signalCode !== null) return;
  const exited = once(load, "exit");
  load.kill("SIGKILL");
  await exited;
}

/** The document with what is in a path chosen from what is there; operations that are not there left out. */
function narrowed(document, { rooms, people }) {
  const paths = {};
  for (const [route, item] of Object.entries(structuredClone(document.paths))) {
    if (!(route in description.paths)) continue;
    paths[route] = item;
    for (const operation of Object.values(item)) {
      for (const parameter of operation.parameters ?? []) {
        if (parameter.in !== "path" || parameter.schema.pattern) continue;
        const before = route.split("/").at(route.split("/").indexOf(`{${parameter.name}}`) - 1);
        const values = { Rooms: rooms, Participants: people }[before];
        if (values) parameter.schema = { type: "string", enum: [...values, "nobody"] };
      }
    }
  }
  return { ...document, paths };
}

async function schemathesis(name, document, checks) {
  const file = path.join(ARTIFACTS, `${name}.json`);
  writeFileSync(file, JSON.stringify(narrowed(document, await gather())));
  const args = ["run", file, "--url", server.http, "--auth", `${server.account_sid}:${server.auth_token}`, "--checks", checks];
  args.push("--max-examples", EXAMPLES, "--seed", SEED, "--phases", "examples,coverage,fuzzing,stateful", "--warnings", "off", "--continue-on-failure");
  const child = spawn(ST, args.map(String), { stdio: ["ignore", "pipe", "pipe"], cwd: ARTIFACTS, timeout: 220_000, env: { ...process.env, NO_COLOR: "1", PYTHONUNBUFFERED: "1" } });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
  const [code] = await once(child, "close");
  writeFileSync(path.join(ARTIFACTS, `${name}.schemathesis.log`), said);
  assert.equal(code, 0, `${said.slice(-8000)}\nrepeat it with SCHEMATHESIS_SEED=${SEED}`);
  return said;
}

const counts = (said) => /Test cases:\n([^]*?)\n\n/.exec(said)?.[1].trim().replace(/\s+/g, " ");

test("requests made up from our description find no fault", async (t) => {
  const checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,ignored_auth";
  t.diagnostic(`seed ${SEED}: ${counts(await schemathesis("ours", description, checks))}`);
});

test("requests made up from the public description find no fault", async (t) => {
  if (!existsSync(PUBLIC)) return t.skip("NOT RUN: the public document is not beside this checkout");
  // Its example of a rule has nulls that its schema does not allow: docs/contract.md.
  const document = JSON.parse(readFileSync(PUBLIC), (_, value) => {
    if (value?.format === "subscribe-rule") for (const member of Object.values(value.properties ?? {})) member.nullable = true;
    return value;
  });
  t.diagnostic(`seed ${SEED}: ${counts(await schemathesis("public", document, "not_a_server_error,response_schema_conformance"))}`);
});
