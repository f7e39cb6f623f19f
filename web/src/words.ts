// What went wrong, in words: every code and device fault a person at this page can meet.

/** What the page tells, and whether another key could help. */
export interface Trouble {
  title: string;
  detail: string;
  signInAgain?: boolean;
}

interface CodedError {
  code?: number;
  message?: string;
  name?: string;
}

/** Explains an error that the SDK gave while joining or at the end of a call. */
export function explainCall(error: unknown, room: string, identity: string): Trouble {
  const { code, message } = (error ?? {}) as CodedError;
  switch (code) {
    case 20101:
    case 20102:
    case 20103:
    case 20107:
      return {
        title: "The server does not accept this key",
        detail: "It may have been started with other credentials since. Sign in again with the link it prints.",
        signInAgain: true,
      };
    case 20104:
      return {
        title: "The token has expired",
        detail: "A token lasts four hours and is signed with this device's clock. Check the clock, then join again.",
      };
    case 20105:
      return {
        title: "The token is not valid yet",
        detail: "This device's clock and the server's differ. Set the clock, then join again.",
      };
    case 20106:
      return { title: "This token does not open that room", detail: `It grants another room than “${room}”.` };
    case 53000:
    case 53002:
      return {
        title: "The server could not be reached",
        detail: "The connection did not open, or was lost for longer than the server waits. Join again when it is back.",
      };
    case 53001:
      return { title: "The connection was lost", detail: "It did not come back in time, so the call ended here." };
    case 53006:
      return { title: "The server is busy", detail: "It is taking no more people right now. Try again in a moment." };
    case 53100:
    case 53101:
    case 53102:
      return { title: "That room name cannot be used", detail: message ?? "Choose a shorter or plainer name." };
    case 53103:
    case 53106:
      return { title: "There is no such room", detail: `“${room}” does not exist and joining does not make new rooms here.` };
    case 53105:
      return { title: "The room is full", detail: `“${room}” has as many people as it allows. Try again when someone leaves.` };
    case 53118:
      return { title: "The room has ended", detail: "Somebody completed it for everyone. Joining again starts a new one." };
    case 53200:
    case 53201:
    case 53202:
      return { title: "That name cannot be used", detail: message ?? "Choose a shorter or plainer name." };
    case 53205:
      return {
        title: "You joined from somewhere else",
        detail: `A newer “${identity}” came into the room, perhaps in another tab, and took this place.`,
      };
    case 53216:
      return { title: "Time is up", detail: "The room limits how long one person may stay." };
    case 53400:
    case 53402:
    case 53404:
    case 53405:
    case 53407:
      return {
        title: "Sound and picture could not get through",
        detail: "The server answers, but its media port does not. A firewall may block UDP, or the server advertises an address this device cannot reach.",
      };
    default:
      return { title: "That did not work", detail: code ? `${message ?? "Unknown error"} (${code})` : (message ?? "Unknown error") };
  }
}

/** What a call's end without an error means: leaving by oneself never comes here. */
export const REMOVED: Trouble = {
  title: "You were removed from the room",
  detail: "Somebody disconnected you through the API. You can join again.",
};

/** Explains why a camera or microphone cannot be used. */
export function explainDevice(error: unknown, what: "camera" | "microphone"): string {
  switch ((error as CodedError | null)?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return `This browser does not let the page use your ${what}. Allow it in the address bar; you can join without.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${what} was found. You can join without.`;
    case "NotReadableError":
    case "AbortError":
      return `Your ${what} is in use by another program. Close that, or join without.`;
    default:
      return `Your ${what} could not be started. You can join without.`;
  }
}

/** Why this page has no devices at all: browsers offer them to secure pages only. */
export function insecureContext(): string {
  return (
    `Browsers give camera and microphone only to pages over https, or on this machine itself. ${location.host} is plain http, ` +
    "so you can watch and listen here, and take part once the server has a certificate (--tls-cert and --tls-key, or rotunda dev --tls)."
  );
}
