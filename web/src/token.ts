// Signs access tokens in the browser: HS256 with the key's secret, as a helper library would.
import type { Credentials } from "./credentials";
import { hmacSha256 } from "./sha256";

/** How long a token lets its holder join, in seconds. */
export const TOKEN_TTL_S = 4 * 60 * 60;

/** An access token for one identity in one room. The clock is the caller's, in seconds. */
export async function accessToken(
  credentials: Credentials,
  identity: string,
  room: string,
  nowS = Math.floor(Date.now() / 1000),
): Promise<string> {
  const header = { alg: "HS256", typ: "JWT", cty: "twilio-fpa;v=1" };
  const payload = {
    jti: `${credentials.keySid}-${nowS}`,
    iss: credentials.keySid,
    sub: credentials.accountSid,
    exp: nowS + TOKEN_TTL_S,
    grants: { identity, video: { room } },
  };
  const signed = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`;
  return `${signed}.${base64url(await sign(credentials.keySecret, signed))}`;
}

async function sign(secret: string, text: string): Promise<Uint8Array> {
  const key = new TextEncoder().encode(secret);
  const message = new TextEncoder().encode(text);
  // Plain http on another host than this machine has no WebCrypto.
  if (!globalThis.crypto?.subtle) return hmacSha256(key, message);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, message));
}

function base64url(data: string | Uint8Array): string {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
