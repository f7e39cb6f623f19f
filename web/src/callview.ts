// What a call looks like: header, tiles, controls and the live answer; it knows nothing of the SDK.
import type { Answer } from "./answer";
import { announce, copyButton, h, icon, mark } from "./dom";
import { renderToggle } from "./joinform";
import { Grid, Tile } from "./tiles";

export interface CallActions {
  toggleMicrophone: () => void;
  toggleCamera: () => void;
  leave: () => void;
}

export interface OwnDevices {
  microphone: boolean;
  camera: boolean;
  muted: boolean;
  cameraOff: boolean;
}

/** The call's whole screen. Its keys: M mutes, V switches the camera. */
export class CallView {
  readonly element: HTMLElement;
  private readonly grid = new Grid();
  private readonly count = h("span", { class: "count" });
  private readonly banner = h("div", { class: "banner", role: "status", hidden: true });
  private readonly micButton = h("button", { type: "button", class: "round" });
  private readonly cameraButton = h("button", { type: "button", class: "round" });
  private readonly listButton: HTMLButtonElement;
  private readonly tiles = new Map<string, Tile>();

  constructor(private readonly room: string, private readonly answer: Answer, private readonly actions: CallActions) {
    this.micButton.addEventListener("click", actions.toggleMicrophone);
    this.cameraButton.addEventListener("click", actions.toggleCamera);
    this.listButton = h(
      "button",
      { type: "button", class: "round list-toggle", "aria-label": "Live answer", title: "Live answer", onclick: () => this.togglePanel() },
      icon("list"),
    );
    this.element = this.layout();
    this.showPanel(matchMedia("(min-width: 900px)").matches);
    document.addEventListener("keydown", this.onKey);
  }

  /** Adds a person; `id` is theirs alone for the call. */
  addPerson(id: string, name: string, local: boolean): Tile {
    const tile = new Tile(name, local);
    this.tiles.set(id, tile);
    this.grid.add(tile);
    this.renderCount();
    if (!local) announce(`${name} joined`);
    return tile;
  }

  removePerson(id: string): void {
    const tile = this.tiles.get(id);
    if (!tile) return;
    this.tiles.delete(id);
    this.grid.remove(tile);
    this.renderCount();
    announce(`${tile.name} left`);
  }

  person(id: string): Tile | undefined {
    return this.tiles.get(id);
  }

  /** Draws the person's own switches. */
  renderDevices(devices: OwnDevices): void {
    renderToggle(this.micButton, devices.microphone, !devices.muted, "mic", "micOff", "microphone");
    renderToggle(this.cameraButton, devices.camera, !devices.cameraOff, "camera", "cameraOff", "camera");
  }

  /** A sentence over the tiles; null takes it away. */
  setBanner(sentence: string | null): void {
    this.banner.hidden = sentence === null;
    if (sentence !== null) this.banner.replaceChildren(h("span", { class: "spinner" }), sentence);
  }

  close(): void {
    document.removeEventListener("keydown", this.onKey);
    this.grid.close();
  }

  private layout(): HTMLElement {
    const link = (): string => `${location.origin}${location.pathname}?room=${encodeURIComponent(this.room)}`;
    const leave = h("button", { type: "button", class: "round leave", onclick: () => this.actions.leave() }, icon("leave"), h("span", {}, "Leave"));
    const close = h("button", { type: "button", class: "round bare panel-close", "aria-label": "Close the live answer", onclick: () => this.togglePanel() }, icon("close"));
    return h(
      "div",
      { class: "call" },
      h(
        "header",
        { class: "call-head" },
        mark(),
        h("h1", { class: "room-name" }, this.room),
        this.count,
        copyButton("Copy room link", link, "button quiet small copy-link"),
      ),
      h(
        "main",
        { class: "stage" },
        this.banner,
        this.grid.element,
        h("div", { class: "controls", role: "toolbar", "aria-label": "Call" }, this.micButton, this.cameraButton, this.listButton, leave),
      ),
      h("aside", { class: "panel", id: "panel", "aria-label": "Live answer" }, close, this.answer.element),
    );
  }

  private togglePanel(): void {
    this.showPanel(!this.element.classList.contains("panel-open"));
  }

  private showPanel(open: boolean): void {
    this.element.classList.toggle("panel-open", open);
    this.listButton.setAttribute("aria-pressed", String(open));
    this.listButton.setAttribute("aria-controls", "panel");
  }

  private renderCount(): void {
    this.count.textContent = this.tiles.size === 1 ? "Only you" : `${this.tiles.size} people`;
  }

  private readonly onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target instanceof HTMLElement && event.target.closest("input, textarea, select")) return;
    if (event.key === "m" || event.key === "M") this.micButton.click();
    else if (event.key === "v" || event.key === "V") this.cameraButton.click();
    else if (event.key === "Escape" && !matchMedia("(min-width: 900px)").matches) this.showPanel(false);
  };
}
