// A UDP relay between browsers and the server's media port: seeded loss, blackouts and changes of address.
import { createSocket } from "node:dgram";
import { once } from "node:events";

const STUN_COOKIE = 0x2112a442;
const USERNAME = 0x0006;
/** Longer packets are a picture's. */
const PICTURE_BYTES = 400;

/**
 * Listens on a free port of `address`. `target` is set once the server's port is known. Every
 * browser address gets a socket of its own towards the server, so the server tells them apart.
 */
export class UdpRelay {
  target = null;
  /** Share of packets dropped each way, 0 to 1. */
  loss = 0;
  dark = false;
  counts = { up: 0, down: 0, dropped: 0 };
  /** Binding requests passed to the server: `{at, username}`, milliseconds since the epoch. */
  checks = [];
  /** Longest time in which a browser sent no picture, ms: loss here cannot cause it, a machine that is too busy can. */
  longestSilence = 0;
  clients = new Map();

  static async start({ address = "127.0.0.1", loss = 0, seed = 1 } = {}) {
    const relay = new UdpRelay();
    relay.loss = loss;
    relay.random = mulberry32(seed);
    relay.front = createSocket("udp4");
    relay.front.bind(0, address);
    await once(relay.front, "listening");
    relay.front.setRecvBufferSize(1 << 20);
    relay.front.on("message", (packet, from) => relay.up(packet, from));
    relay.address = `${address}:${relay.front.address().port}`;
    return relay;
  }

  /** Points the relay at the server's media address, `host:port`. */
  aim(media) {
    const [host, port] = media.split(":");
    this.target = { host, port: Number(port) };
  }

  /** Gives every browser a new address in the server's eyes; returns the moment. */
  rebind() {
    for (const client of this.clients.values()) {
      client.socket.close();
      client.socket = this.open(client.from);
    }
    return Date.now();
  }

  close() {
    this.front.close();
    for (const { socket } of this.clients.values()) socket.close();
  }

  up(packet, from) {
    const key = `${from.address}:${from.port}`;
    let client = this.clients.get(key);
    if (!client) this.clients.set(key, (client = { from, socket: this.open(from) }));
    this.listen(client, packet);
    if (this.drops()) return;
    this.counts.up++;
    const username = bindingUsername(packet);
    if (username !== null) this.checks.push({ at: Date.now(), username });
    client.socket.send(packet, this.target.port, this.target.host);
  }

  open(from) {
    const socket = createSocket("udp4");
    socket.bind(0, this.target.host);
    socket.on("message", (packet) => {
      if (this.drops()) return;
      this.counts.down++;
      this.front.send(packet, from.port, from.address);
    });
    // The server being down shows as a refused packet; that is the test's business, not the relay's.
    socket.on("error", () => {});
    return socket;
  }

  listen(client, packet) {
    if (packet.length < PICTURE_BYTES) return;
    const now = Date.now();
    this.longestSilence = Math.max(this.longestSilence, now - (client.pictureAt ?? now));
    client.pictureAt = now;
  }

  drops() {
    const lost = this.dark || this.random() < this.loss;
    if (lost) this.counts.dropped++;
    return lost;
  }
}

/** The user name of a STUN binding request, or null for any other packet. */
function bindingUsername(packet) {
  if (packet.length < 20 || packet.readUInt16BE(0) !== 0x0001 || packet.readUInt32BE(4) !== STUN_COOKIE) return null;
  for (let at = 20; at + 4 <= packet.length; ) {
    const length = packet.readUInt16BE(at + 2);
    if (packet.readUInt16BE(at) === USERNAME) return packet.toString("utf8", at + 4, at + 4 + length);
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return "";
}

/** A small seeded generator of numbers from 0 to 1, so that a lossy run replays. */
function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
