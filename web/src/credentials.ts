// Where the page has its account SID and API key from: the server's meta element, the address's
// fragment that `rotunda serve` prints, or what a person pasted into the sign-in card.

export interface Credentials {
  accountSid: string;
  keySid: string;
  keySecret: string;
}

const STORED = "rotunda.credentials";
const META = "rotunda-dev-credentials";

/**
 * The credentials to use, or null where a person has to sign in. Takes the key out of the address
 * bar as soon as it is read, so that a shared screen or a copied address does not give it away.
 */
export function findCredentials(): Credentials | null {
  const offered = location.hash.length > 1 ? parseCredentials(location.hash) : null;
  if (location.hash.includes("key=")) {
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  if (offered) {
    keep(offered);
    return offered;
  }
  return fromMeta() ?? fromStorage();
}

/** Whether the server itself hands the page its key, so that there is nothing to forget. */
export function givenByServer(): boolean {
  return fromMeta() !== null;
}

/** Remembers credentials in this browser for the next visit. */
export function keep(credentials: Credentials): void {
  try {
    localStorage.setItem(STORED, JSON.stringify(credentials));
  } catch {
    // A browser that stores nothing still works until the tab is closed.
  }
}

/** Forgets what was stored in this browser. */
export function forget(): void {
  try {
    localStorage.removeItem(STORED);
  } catch {
    // Nothing was stored then.
  }
}

/**
 * Reads credentials out of a printed link, the lines of `rotunda env`, or `AC…:SK…:secret`; null
 * where an account SID, a key SID or the secret is missing.
 */
export function parseCredentials(text: string): Credentials | null {
  const accountSid = /AC[0-9a-fA-F]{32}/.exec(text)?.[0];
  const keySid = /SK[0-9a-fA-F]{32}/.exec(text)?.[0];
  if (!accountSid || !keySid) return null;
  const secret =
    /SK[0-9a-fA-F]{32}(?::|%3A)([^\s&"'#]+)/i.exec(text)?.[1] ?? /SECRET["']?\s*[=:\s]\s*["']?([^\s"',]+)/i.exec(text)?.[1];
  return secret ? { accountSid, keySid, keySecret: unescapePercent(secret) } : null;
}

function unescapePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function fromMeta(): Credentials | null {
  const content = document.querySelector<HTMLMetaElement>(`meta[name="${META}"]`)?.content;
  return content ? parseCredentials(content) : null;
}

function fromStorage(): Credentials | null {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? "null") as Partial<Credentials> | null;
    if (stored?.accountSid && stored.keySid && stored.keySecret) return stored as Credentials;
  } catch {
    // Damaged or refused storage reads as nothing stored.
  }
  return null;
}
