// Before a call: name the room and yourself, see your own picture, choose what to bring.
import { meter, type Devices } from "./devices";
import { h, icon, mark, type IconName } from "./dom";
import { Tile } from "./tiles";
import type { Trouble } from "./words";

/** As long as the API takes room names and identities. */
const NAME_MAX = 128;
/** How long Join waits for devices, or for a person who has not yet said whether they may be used. */
const DEVICES_MS = 15_000;

export interface JoinRequest {
  room: string;
  identity: string;
}

export interface JoinFormOptions {
  room: string;
  identity: string;
  devices: Devices;
  /** Joins; resolves when there is nothing more to do here, rejects with what to tell. */
  join: (request: JoinRequest) => Promise<void>;
  /** Signs out, where there is something to forget. */
  signOut: (() => void) | null;
  trouble: Trouble | null;
}

/** The join form; its element lives until `close()`. */
export class JoinForm {
  readonly element: HTMLElement;
  private readonly devices: Devices;
  private readonly tile: Tile;
  private readonly room: HTMLInputElement;
  private readonly identity: HTMLInputElement;
  private readonly submit = h("button", { class: "button primary wide", type: "submit" }, "Join");
  private readonly notices = h("div", { class: "notices", "aria-live": "polite" });
  private readonly problem = h("div", { class: "trouble-holder", role: "alert" });
  private readonly level = h("span", { class: "level", "aria-hidden": "true" });
  private readonly micButton = toggleButton("Microphone");
  private readonly cameraButton = toggleButton("Camera");
  private stopMeter: (() => void) | null = null;
  private readonly opened: Promise<void>;
  private closed = false;

  constructor(private readonly options: JoinFormOptions) {
    this.devices = options.devices;
    this.tile = new Tile(options.identity || "You", true);
    this.room = textField("room", options.room, "off");
    this.identity = textField("identity", options.identity, "nickname");
    this.micButton.addEventListener("click", () => this.toggleMicrophone());
    this.cameraButton.addEventListener("click", () => void this.toggleCamera());
    this.element = this.layout();
    if (options.trouble) this.showTrouble(options.trouble);
    this.renderDevices();
    this.opened = this.open();
  }

  /** Puts the caret where the person has to type first. */
  focus(): void {
    (this.room.value ? (this.identity.value ? this.submit : this.identity) : this.room).focus();
  }

  close(): void {
    this.closed = true;
    this.stopMeter?.();
    this.stopMeter = null;
  }

  private layout(): HTMLElement {
    const preview = h(
      "div",
      { class: "preview" },
      h("ul", { class: "preview-tile", "aria-label": "Your picture" }, this.tile.element),
      h("div", { class: "preview-controls" }, this.micButton, this.cameraButton, this.level),
    );
    const form = h(
      "form",
      { class: "join-form", novalidate: true, onsubmit: ((event: Event) => void this.onSubmit(event)) as EventListener },
      h("h1", {}, "Join a room"),
      h("p", { class: "lede" }, "Everyone who gives the same room name meets there."),
      labelled("room", "Room", this.room),
      labelled("identity", "Your name", this.identity),
      this.submit,
      this.problem,
      this.notices,
    );
    const foot = this.options.signOut
      ? h("button", { type: "button", class: "link", onclick: () => this.options.signOut?.() }, "Forget this server's key")
      : null;
    return h(
      "main",
      { class: "centre" },
      h("div", { class: "brand outside" }, mark(), h("span", {}, "Rotunda")),
      h("div", { class: "card join" }, preview, form),
      h("footer", { class: "foot" }, foot, h("a", { class: "link", href: "./licenses.txt" }, "Licences")),
    );
  }

  private async open(): Promise<void> {
    if (this.devices.tracks().length === 0) await this.devices.open();
    if (!this.closed) this.renderDevices();
  }

  private renderDevices(): void {
    const { camera, microphone, cameraOff, muted } = this.devices;
    this.tile.setVideo(camera && !cameraOff ? (camera.attach() as HTMLMediaElement) : null);
    this.tile.setMuted(!microphone || muted);
    renderToggle(this.micButton, microphone !== null, !muted, "mic", "micOff", "microphone");
    renderToggle(this.cameraButton, camera !== null, !cameraOff, "camera", "cameraOff", "camera");
    this.notices.replaceChildren(...this.devices.notices.map((text) => h("p", { class: "notice" }, icon("alert"), h("span", {}, text))));
    this.stopMeter?.();
    this.level.hidden = !microphone;
    this.stopMeter = microphone
      ? meter(microphone.mediaStreamTrack, (level) => this.level.style.setProperty("--level", String(this.devices.muted ? 0 : level)))
      : null;
  }

  private toggleMicrophone(): void {
    this.devices.setMuted(!this.devices.muted);
    this.renderDevices();
  }

  private async toggleCamera(): Promise<void> {
    this.cameraButton.disabled = true;
    await this.devices.setCameraOff(!this.devices.cameraOff).catch(() => {
      this.devices.notices = ["Your camera did not start again. Another program may be using it."];
    });
    if (!this.closed) this.renderDevices();
  }

  private async onSubmit(event: Event): Promise<void> {
    event.preventDefault();
    const roomFine = check(this.room, "Name the room, for example daily.");
    const identityFine = check(this.identity, "Say who you are, so that the others know.");
    if (!roomFine || !identityFine) {
      (roomFine ? this.identity : this.room).focus();
      return;
    }
    this.problem.replaceChildren();
    this.submit.disabled = true;
    // Who joins at once comes with camera and microphone all the same.
    this.submit.replaceChildren(h("span", { class: "spinner" }), "Waiting for your camera…");
    await Promise.race([this.opened, new Promise((late) => setTimeout(late, DEVICES_MS))]);
    this.submit.replaceChildren(h("span", { class: "spinner" }), "Joining…");
    try {
      await this.options.join({ room: this.room.value.trim(), identity: this.identity.value.trim() });
    } catch (trouble) {
      this.showTrouble(trouble as Trouble);
      this.submit.disabled = false;
      this.submit.replaceChildren("Join");
    }
  }

  private showTrouble(trouble: Trouble): void {
    const again =
      trouble.signInAgain && this.options.signOut
        ? h("button", { type: "button", class: "button quiet small", onclick: () => this.options.signOut?.() }, "Sign in again")
        : null;
    this.problem.replaceChildren(
      h("div", { class: "trouble" }, icon("alert"), h("div", {}, h("strong", {}, trouble.title), h("p", {}, trouble.detail), again)),
    );
  }
}

function textField(id: string, value: string, autocomplete: string): HTMLInputElement {
  const input = h("input", {
    id, name: id, type: "text", value, autocomplete, maxlength: NAME_MAX, required: true, spellcheck: "false",
    autocapitalize: id === "room" ? "off" : "words", "aria-describedby": `${id}-error`,
  });
  input.addEventListener("input", () => {
    if (input.getAttribute("aria-invalid") === "true" && input.value.trim()) clearError(input);
  });
  return input;
}

function labelled(id: string, label: string, input: HTMLInputElement): HTMLElement {
  return h("div", { class: "field" }, h("label", { for: id }, label), input, h("p", { class: "field-error", id: `${id}-error` }));
}

function check(input: HTMLInputElement, sentence: string): boolean {
  if (input.value.trim()) {
    clearError(input);
    return true;
  }
  input.setAttribute("aria-invalid", "true");
  const error = document.getElementById(`${input.id}-error`);
  error?.replaceChildren(sentence);
  return false;
}

function clearError(input: HTMLInputElement): void {
  input.removeAttribute("aria-invalid");
  document.getElementById(`${input.id}-error`)?.replaceChildren();
}

function toggleButton(label: string): HTMLButtonElement {
  return h("button", { type: "button", class: "round", "aria-label": label });
}

/** Draws a device's switch: absent, on or off. */
export function renderToggle(button: HTMLButtonElement, present: boolean, on: boolean, onIcon: IconName, offIcon: IconName, what: string): void {
  const active = present && on;
  button.disabled = !present;
  button.classList.toggle("off", !active);
  const action = what === "microphone" ? (on ? "Mute" : "Unmute") : on ? "Turn camera off" : "Turn camera on";
  button.setAttribute("aria-label", present ? action : `No ${what}`);
  button.title = present ? `${action} (${what === "microphone" ? "M" : "V"})` : `No ${what}`;
  button.replaceChildren(icon(active ? onIcon : offIcon));
}
