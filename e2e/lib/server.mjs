// Starts and stops `rotunda` as a child, and speaks its REST API.
import { spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import twilio from "twilio";
import { until } from "./until.mjs";

const HERE = path.resolve(import.meta.dirname, "..");
export const ARTIFACTS = path.join(HERE, "artifacts");
mkdirSync(ARTIFACTS, { recursive: true });

/** The binary under test: `ROTUNDA_BIN`, or the release build in the cargo target folder. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(HERE, "..", "target");
  const file = path.resolve(process.env.ROTUNDA_BIN ?? path.join(target, "release", "rotunda"));
  if (!existsSync(file)) throw new Error(`no server at ${file}: build it first (.ci/build)`);
  return file;
}

/** A running server; made by `startDev`. */
export class Server {
  stderr = "";

  constructor(child, label) {
    this.child = child;
    const log = createWriteStream(path.join(ARTIFACTS, `${label}.server.log`));
    child.stderr.on("data", (chunk) => {
      // Kept for the check on panics; the whole is in the log file.
      this.stderr = (this.stderr + chunk).slice(-1_000_000);
      log.write(chunk);
    });
  }

  /** An access token as an application makes it, with the npm helper library. */
  token(identity, room, options = {}) {
    return makeToken(this, identity, room, options);
  }

  /** A REST call with the API key: `{status, body}`. */
  async rest(method, resource, form) {
    const url = resource.startsWith("http") ? resource : `${this.http}${resource}`;
    const answer = await fetch(url, {
      method,
      headers: { authorization: `Basic ${Buffer.from(`${this.api_key_sid}:${this.api_key_secret}`).toString("base64")}` },
      body: form && new URLSearchParams(form),
    });
    return { status: answer.status, body: await answer.json() };
  }

  /** All participants of a room in every state, oldest first; of one second, who has ended came first. */
  async rows(room) {
    const lists = await Promise.all(
      ["disconnected", "reconnecting", "connected"].map((status) => this.rest("GET", `/v1/Rooms/${room}/Participants?Status=${status}&PageSize=1000`)),
    );
    const rows = lists.flatMap(({ status, body }) => {
      if (status !== 200) throw new Error(`list of ${room}: ${status} ${JSON.stringify(body)}`);
      return body.participants.reverse();
    });
    return rows.sort((a, b) => a.date_created.localeCompare(b.date_created));
  }

  /** The npm helper library, pointed at this server. */
  helper() {
    const client = twilio(this.api_key_sid, this.api_key_secret, { accountSid: this.account_sid });
    client.video.baseUrl = this.http;
    return client;
  }

  /** Ends the server as an operator would; fails if it had panicked or did not exit cleanly. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, "exit");
      this.child.kill("SIGTERM");
      const killer = setTimeout(() => this.child.kill("SIGKILL"), 15_000);
      await exited;
      clearTimeout(killer);
    }
    const panic = /panicked at .*/.exec(this.stderr);
    if (panic) throw new Error(`the server panicked: ${panic[0]}`);
    if (this.child.exitCode !== 0) throw new Error(`the server ended with ${this.child.exitCode ?? this.child.signalCode}`);
  }
}

/** Media on one port, which relays stand before and restarts find again; ROTUNDA_MEDIA_WORKERS for more. */
const WORKERS = ["--media-workers", process.env.ROTUNDA_MEDIA_WORKERS ?? "1"];

/** A socket for HTTP that is held open over restarts, as systemd holds it; nobody accepts from it but the servers that it is given to. */
export class HeldPort {
  constructor() {
    this.handle = net._createServerHandle("127.0.0.1", 0, 4);
    if (typeof this.handle === "number") throw new Error(`no port to hold: ${this.handle}`);
  }

  get fd() {
    return this.handle.fd;
  }

  close() {
    this.handle.close();
  }
}

/** Makes descriptor 3 listen, and becomes the program that is told of it. */
const HELD = `python3 -c 'import socket; socket.socket(fileno=3).listen(4096)' && LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`;

/**
 * Starts `rotunda serve` on free ports with its data in `dataDir`, and reads its greeting: the
 * address to open as `page`, credentials as it prints them at a first start. HTTP is on the `held` port if there is one.
 */
export async function startServe(label, dataDir, { httpAddr = "127.0.0.1:0", mediaAddr = "127.0.0.1:0", held, args = [], env = {} } = {}) {
  const command = [binary(), "serve", "--data-dir", dataDir, "--http-addr", httpAddr, "--media-addr", mediaAddr, ...WORKERS, ...args];
  const [program, ...words] = held ? ["sh", "-c", HELD, ...command] : command;
  const child = spawn(program, words, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", ...(held ? [held.fd] : [])],
  });
  const server = new Server(child, label);
  let greeting = "";
  child.stdout.on("data", (chunk) => (greeting += chunk));
  const page = await until("the address to open", () => {
    if (child.exitCode !== null) throw new Error(`rotunda serve ended with ${child.exitCode}: ${server.stderr}`);
    return /^ +Open +(\S+)\n[^]*Credentials/m.exec(greeting)?.[1];
  });
  const named = (name) => new RegExp(`^ +${name} +(\\S+)`, "m").exec(greeting)?.[1];
  const { origin } = new URL(page);
  return Object.assign(server, {
    page,
    http: origin,
    signaling: named("Signaling"),
    media: named("Media +UDP"),
    account_sid: named("Account SID"),
    auth_token: named("Auth token"),
    api_key_sid: named("API key SID"),
    api_key_secret: named("API key secret"),
  });
}

/** Starts `rotunda dev` on free loopback ports and reads its line of addresses. */
export async function startDev(label, { mediaAddr = "127.0.0.1:0", args = [], env = {} } = {}) {
  const child = spawn(binary(), ["dev", "--http-addr", "127.0.0.1:0", "--media-addr", mediaAddr, ...WORKERS, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const server = new Server(child, label);
  const line = await new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout });
    lines.once("line", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`rotunda dev ended with ${code}: ${server.stderr}`)));
    setTimeout(() => reject(new Error("rotunda dev printed no line within 10 s")), 10_000).unref();
  });
  return Object.assign(server, JSON.parse(line));
}

/** Signs a token with the npm helper library; `grant: null` leaves the video grant out. */
export function makeToken(credentials, identity, room, { grant, ...options } = {}) {
  const { AccessToken } = twilio.jwt;
  const token = new AccessToken(credentials.account_sid, credentials.api_key_sid, credentials.api_key_secret, { identity, ttl: 3600, ...options });
  if (grant !== null) token.addGrant(new AccessToken.VideoGrant(grant ?? { room }));
  return token.toJwt();
}
