// The public helper libraries, each in its own language: one walk over every operation that there is, in a room
// with two people in Chromium. What docs/clients.md tells to write is what these programs are made of.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { once } from "node:events";
import path from "node:path";
import { assertClean, Journey, roomName } from "./lib/journey.mjs";

const HERE = path.join(import.meta.dirname, "clients");
const CLIENTS = [
  { name: "Node", source: "node.mjs", block: "js", command: [process.execPath, path.join(HERE, "node.mjs")] },
  { name: "Python", source: "python.py", block: "python", command: [path.join(import.meta.dirname, ".venv", "bin", "python"), path.join(HERE, "python.py")] },
  { name: "Go", source: "go/connect.go", block: "go", command: [path.join(HERE, "go", "target", "walk")], built: path.join(HERE, "go", "target", "walk") },
  {
    name: "Java",
    source: "java/src/main/java/ToRotunda.java",
    block: "java",
    command: ["java", "-cp", `${path.join(HERE, "java", "target", "classes")}:${path.join(HERE, "java", "target", "libraries", "*")}`, "Walk"],
    built: path.join(HERE, "java", "target", "classes", "Walk.class"),
  },
];

/** What every library has to see. */
const EXPECTED = {
  fetched: true,
  listed: 1,
  paged: ["ben", "ana"],
  participant: "connected",
  published: ["audio"],
  named: "audio",
  subscribed: ["audio"],
  rules: ["include"],
  replaced: ["exclude"],
  disconnected: "disconnected",
  anonymized: true,
  completed: "completed",
  afterwards: 2,
  gone: 20404,
};

const people = {};
let journey;

before(async () => {
  journey = await Journey.start("clients");
  const browser = await journey.chromium();
  for (const name of ["ana", "ben"]) people[name] = await browser.person(name, journey.pages.url("2.36.0"));
});
after(() => journey?.end());

/** Starts a walk, lets people in when its room is there, and gives what it saw. */
async function walk([command, ...args]) {
  const room = roomName("clients");
  const { http, account_sid, api_key_sid, api_key_secret } = journey.server;
  const child = spawn(command, [...args, room], {
    env: { PATH: process.env.PATH, ROTUNDA_URL: http, ACCOUNT_SID: account_sid, API_KEY_SID: api_key_sid, API_KEY_SECRET: api_key_secret },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (chunk) => (errors += chunk));
  const lines = [];
  const closed = once(child, "close");
  const made = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      resolve();
    });
  });
  await Promise.race([made, closed]);
  assert.match(lines[0] ?? "", /^RM[0-9a-f]{32}$/, errors);
  for (const name of ["ana", "ben"]) {
    const joined = await people[name].join(journey.server, room, { video: false });
    assert.equal(joined.roomSid, lines[0]);
  }
  child.stdin.end("\n");
  const [code] = await closed;
  assert.equal(code, 0, errors);
  return JSON.parse(lines.at(-1));
}

for (const { name, source, block, command, built } of CLIENTS) {
  test(`the helper library for ${name} drives every operation`, async (t) => {
    if (built && !existsSync(built)) return t.skip(`NOT RUN: ${readFileSync(path.join(HERE, "not-built.txt"), "utf8").trim()}`);
    assert.deepEqual(await walk(command), EXPECTED);
  });

  test(`docs/clients.md has the lines for ${name}`, () => {
    const tried = /docs\/clients\.md\n([^]*?)\n[^\n]*\bend\n/.exec(readFileSync(path.join(HERE, source), "utf8"))[1].trim();
    const page = readFileSync(path.join(import.meta.dirname, "..", "docs", "clients.md"), "utf8");
    const told = [...page.matchAll(new RegExp(`\`\`\`${block}\\n([^]*?)\`\`\``, "g"))].map((match) => match[1].trim());
    assert.ok(told.some((text) => text.replace(/^(import|const \{).*\n+/, "") === tried || text.endsWith(tried)), `docs/clients.md differs from e2e/clients/${source}`);
  });
}

test("nobody's page had a fault", () => assertClean(...Object.values(people)));
