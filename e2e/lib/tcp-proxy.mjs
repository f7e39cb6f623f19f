// A TCP proxy between a page and the server's signaling port: cut it, silence it, let it be.
import { connect, createServer } from "node:net";
import { once } from "node:events";
import { Transform } from "node:stream";

export class TcpProxy {
  pairs = new Set();
  refusing = false;
  /** How much later than sent a page's bytes reach the server, in milliseconds. */
  delayMs = 0;

  /** Listens on a free loopback port and forwards to `target`, a URL with a port. */
  static async start(target) {
    const proxy = new TcpProxy();
    const { hostname, port } = new URL(target);
    proxy.server = createServer((near) => proxy.join(near, { host: hostname, port: Number(port) }));
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.signaling = `ws://127.0.0.1:${proxy.server.address().port}/signaling`;
    return proxy;
  }

  /** Resets every connection, as a network that goes away does; new ones are refused until `heal`. */
  cut({ refuse = false } = {}) {
    this.refusing = refuse;
    for (const { near, far } of this.pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    return Date.now();
  }

  /** Carries nothing more on the connections there are, without closing them. */
  silence() {
    for (const { near, far } of this.pairs) {
      near.unpipe();
      far.unpipe();
      near.pause();
      far.pause();
    }
    return Date.now();
  }

  heal() {
    this.refusing = false;
  }

  close() {
    this.cut();
    this.server.close();
  }

  join(near, target) {
    if (this.refusing) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(target);
    const pair = { near, far };
    this.pairs.add(pair);
    near.pipe(this.delaying()).pipe(far);
    far.pipe(near);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        near.destroy();
        far.destroy();
        this.pairs.delete(pair);
      });
    }
  }

  /** A stream that passes on what it gets, in order, as late as `delayMs` says. */
  delaying() {
    return new Transform({
      transform: (bytes, _encoding, done) => (this.delayMs ? setTimeout(done, this.delayMs, null, bytes) : done(null, bytes)),
    });
  }
}
