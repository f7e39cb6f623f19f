// How the page is built: relative hashed assets, which the server embeds and serves at its root.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  // The SDK is written for Node's module system and its polyfills ask for these two names.
  define: { global: "globalThis", "process.env.NODE_DEBUG": "undefined" },
  build: {
    target: "es2022",
    // Inlined data: URLs would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: {
      "/v1": "http://127.0.0.1:8080",
      "/signaling": { target: "ws://127.0.0.1:8080", ws: true },
    },
  },
});
