// How the page is built: relative hashed assets, which the server embeds and serves at its root.
import { defineConfig, type Plugin } from "vite";

/**
 * The SDK loads its noise-cancellation plug-ins through `new Function`, made when its module is
 * evaluated, which a content security policy without `unsafe-eval` refuses. The page uses none.
 */
const withoutPluginLoader: Plugin = {
  name: "without-plugin-loader",
  enforce: "pre",
  load(id) {
    if (!id.replaceAll("\\", "/").includes("twilio-video/es5/util/dynamicimport.js")) return null;
    return "module.exports = () => Promise.reject(new Error('this page loads no plug-ins'));";
  },
};

export default defineConfig({
  base: "./",
  plugins: [withoutPluginLoader],
  // The SDK is written for Node's module system and its polyfills ask for these two names.
  define: { global: "globalThis", "process.env.NODE_DEBUG": "undefined" },
  build: {
    target: "es2022",
    // Inlined data: URLs would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The licences of what is in the bundle go with it.
    license: { fileName: "licenses.txt" },
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: {
      "/v1": "http://127.0.0.1:8080",
      "/signaling": { target: "ws://127.0.0.1:8080", ws: true },
    },
  },
});
