// The page that the server serves at its root: sign in where needed, join, call, look back.
import "@fontsource-variable/inter/wght.css";
import "./style.css";
import { Answer, askServer } from "./answer";
import { Call, connectHere } from "./call";
import { CallView } from "./callview";
import { findCredentials, forget, givenByServer, type Credentials } from "./credentials";
import { Devices } from "./devices";
import { announce, h, icon, mark } from "./dom";
import { JoinForm, type JoinRequest } from "./joinform";
import { signInCard } from "./signin";
import { accessToken } from "./token";
import { explainCall, REMOVED, type Trouble } from "./words";

const app = document.getElementById("app")!;
const NAME_STORED = "rotunda.name";
let devices = new Devices();

/** Shows one screen in place of the last. */
function show(element: HTMLElement): void {
  app.replaceChildren(element);
  window.scrollTo(0, 0);
}

function start(): void {
  const credentials = findCredentials();
  if (credentials) showJoin(credentials, null);
  else showSignIn();
}

function showSignIn(): void {
  devices.close();
  document.title = "Rotunda";
  show(signInCard((credentials) => showJoin(credentials, null)));
  document.getElementById("pasted")?.focus();
}

function showJoin(credentials: Credentials, trouble: Trouble | null): void {
  document.title = "Join a room · Rotunda";
  const form: JoinForm = new JoinForm({
    room: new URLSearchParams(location.search).get("room") ?? "",
    identity: rememberedName(),
    devices,
    trouble,
    signOut: givenByServer()
      ? null
      : () => {
          form.close();
          forget();
          showSignIn();
        },
    join: async (request) => {
      try {
        await join(credentials, request);
        form.close();
      } catch (error) {
        throw explainCall(error, request.room, request.identity);
      }
    },
  });
  show(form.element);
  form.focus();
}

async function join(credentials: Credentials, { room, identity }: JoinRequest): Promise<void> {
  rememberName(identity);
  history.replaceState(null, "", `${location.pathname}?room=${encodeURIComponent(room)}`);
  const joined = await connectHere(await accessToken(credentials, identity, room), room, devices);
  const answer = new Answer(joined.name, askServer(credentials));
  let call: Call | null = null;
  const view = new CallView(joined.name, answer, {
    toggleMicrophone: () => call?.toggleMicrophone(),
    toggleCamera: () => void call?.toggleCamera(),
    leave: () => call?.leave(),
  });
  document.title = `${joined.name} · Rotunda`;
  show(view.element);
  announce(`You are in ${joined.name}`);
  call = new Call(joined, view, devices, (error, left) => {
    view.close();
    // The room's name no longer resolves once it has completed; its SID always does.
    answer.setRoom(joined.sid, "disconnected");
    const trouble = error ? explainCall(error, room, identity) : left ? null : REMOVED;
    showEnded(credentials, { room, identity }, trouble, answer);
  });
}

function showEnded(credentials: Credentials, { room, identity }: JoinRequest, trouble: Trouble | null, answer: Answer): void {
  // Capture ends with the call; joining again asks for the devices anew.
  devices.close();
  devices = new Devices();
  const title = trouble?.title ?? "You left the room";
  document.title = `${title} · Rotunda`;
  const again = (): void => {
    answer.close();
    showJoin(credentials, null);
  };
  const signIn = (): void => {
    answer.close();
    forget();
    showSignIn();
  };
  show(
    h(
      "div",
      { class: "ended" },
      h(
        "main",
        { class: "ended-card" },
        mark(),
        h("h1", { tabindex: "-1" }, title),
        h("p", { class: "lede" }, trouble?.detail ?? `“${room}” goes on without ${identity}, or has ended if nobody else was there. The list keeps what happened.`),
        h(
          "div",
          { class: "row" },
          h("button", { class: "button primary", type: "button", onclick: again }, "Join again"),
          trouble?.signInAgain && !givenByServer() ? h("button", { class: "button quiet", type: "button", onclick: signIn }, icon("leave"), "Sign in again") : null,
        ),
      ),
      h("aside", { class: "panel", "aria-label": "Live answer" }, answer.element),
    ),
  );
  app.querySelector("h1")?.focus();
  announce(title);
}

function rememberedName(): string {
  try {
    return localStorage.getItem(NAME_STORED) ?? "";
  } catch {
    return "";
  }
}

function rememberName(name: string): void {
  try {
    localStorage.setItem(NAME_STORED, name);
  } catch {
    // Typed again next time.
  }
}

// A link with a key pasted over this page changes only the fragment, which loads nothing anew.
window.addEventListener("hashchange", () => {
  if (location.hash.includes("key=")) start();
});
start();
