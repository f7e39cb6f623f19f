// Serves the test page, its instruments and the SDK bundles on loopback.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { once } from "node:events";

const ROOT = path.resolve(import.meta.dirname, "..");

// Named without the package's name, so that a search of the browser's log for the vendor finds only look-ups.
const FILES = {
  "/client.html": ["pages/client.html", "text/html; charset=utf-8"],
  "/client.js": ["pages/client.js", "text/javascript"],
  "/loopback.html": ["pages/loopback.html", "text/html; charset=utf-8"],
  "/loopback.js": ["pages/loopback.js", "text/javascript"],
  "/probes.js": ["pages/probes.js", "text/javascript"],
  "/beep-worklet.js": ["pages/beep-worklet.js", "text/javascript"],
  "/sdk/2.36.0.js": ["node_modules/twilio-video/dist/twilio-video.js", "text/javascript"],
  "/sdk/2.36.0.min.js": ["node_modules/twilio-video/dist/twilio-video.min.js", "text/javascript"],
  "/sdk/2.32.0.min.js": ["node_modules/twilio-video-2320/dist/twilio-video.min.js", "text/javascript"],
};

/** Starts on a free loopback port: `{url(sdk), close()}`. */
export async function startPages() {
  const server = createServer(async (request, response) => {
    const file = FILES[new URL(request.url, "http://localhost").pathname];
    if (!file) {
      response.writeHead(request.url === "/favicon.ico" ? 204 : 404).end();
      return;
    }
    const body = await readFile(path.join(ROOT, file[0]));
    response.writeHead(200, { "content-type": file[1], "cache-control": "no-store" }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    origin,
    /** The test page with an SDK: `2.36.0` (readable class names), `2.36.0.min`, `2.32.0.min`. */
    url: (sdk = "2.36.0.min") => `${origin}/client.html?sdk=${sdk}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
