// The tiles of a call: one per person, laid out as large as the space lets them be.
import { append, h, icon } from "./dom";

const GAP_PX = 12;
/** A tile is at most this narrow and this wide before it leaves space empty; pictures are cropped to it. */
const ASPECT_MIN = 0.8;
const ASPECT_MAX = 2.2;

/** One person's tile: picture or initials, name, and what state they are in. */
export class Tile {
  readonly element: HTMLElement;
  private readonly stage = h("div", { class: "tile-media" });
  private readonly micIcon = h("span", { class: "tile-mic" }, icon("micOff"));
  private readonly overlay = h("div", { class: "tile-overlay" }, h("span", { class: "spinner" }), "Reconnecting…");
  private video: HTMLMediaElement | null = null;
  private muted = false;
  private showing = false;
  private reconnecting = false;

  constructor(readonly name: string, readonly local: boolean) {
    const avatar = h("div", { class: "avatar", "aria-hidden": "true" }, initials(name));
    avatar.style.setProperty("--hue", String(hue(name)));
    const caption = h("span", { class: "tile-name-text" }, local ? `${name} (you)` : name);
    this.element = h(
      "li",
      { class: `tile${local ? " local" : ""}`, "data-identity": name, "data-local": local ? "true" : "false" },
      avatar,
      this.stage,
      this.overlay,
      h("div", { class: "tile-name" }, this.micIcon, caption),
    );
    this.render();
  }

  /** Shows a picture; null shows the initials. */
  setVideo(element: HTMLMediaElement | null): void {
    this.video?.remove();
    this.video = element;
    if (element) {
      element.setAttribute("aria-hidden", "true");
      append(this.stage, element);
    }
    this.setShowing(element !== null);
  }

  /** Plays this person's sound; it is removed with the tile or by its own `remove()`. */
  addAudio(element: HTMLMediaElement): void {
    append(this.stage, element);
  }

  setShowing(showing: boolean): void {
    this.showing = showing && this.video !== null;
    this.render();
  }

  setMuted(muted: boolean): void {
    this.muted = muted;
    this.render();
  }

  setReconnecting(reconnecting: boolean): void {
    this.reconnecting = reconnecting;
    this.render();
  }

  private render(): void {
    this.element.classList.toggle("showing", this.showing);
    this.element.classList.toggle("muted", this.muted);
    this.element.classList.toggle("reconnecting", this.reconnecting);
    const states = [this.muted && "muted", !this.showing && "camera off", this.reconnecting && "reconnecting"];
    const who = this.local ? `${this.name}, you` : this.name;
    this.element.setAttribute("aria-label", [who, ...states.filter(Boolean)].join(", "));
  }
}

/** A list of tiles that keeps itself arranged as it and its space change. */
export class Grid {
  readonly element = h("ul", { class: "grid", "aria-label": "People in the room" });
  private readonly observer = new ResizeObserver(() => this.arrange());

  constructor() {
    this.observer.observe(this.element);
  }

  add(tile: Tile): void {
    this.element.append(tile.element);
    this.arrange();
  }

  remove(tile: Tile): void {
    tile.element.remove();
    this.arrange();
  }

  close(): void {
    this.observer.disconnect();
  }

  private arrange(): void {
    const { clientWidth: width, clientHeight: height } = this.element;
    const count = this.element.childElementCount;
    if (!width || !height || !count) return;
    const { tileWidth, tileHeight } = largestTiles(width, height, count);
    this.element.style.setProperty("--tile-width", `${tileWidth}px`);
    this.element.style.setProperty("--tile-height", `${tileHeight}px`);
  }
}

/** The largest size at which `count` tiles fit, in CSS pixels. */
export function largestTiles(width: number, height: number, count: number): { tileWidth: number; tileHeight: number } {
  let best = { tileWidth: 0, tileHeight: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (width - GAP_PX * (columns - 1)) / columns;
    const cellHeight = (height - GAP_PX * (rows - 1)) / rows;
    const tileWidth = Math.min(cellWidth, cellHeight * ASPECT_MAX);
    const tileHeight = Math.min(cellHeight, cellWidth / ASPECT_MIN);
    if (tileWidth * tileHeight > best.tileWidth * best.tileHeight) {
      best = { tileWidth: Math.floor(tileWidth), tileHeight: Math.floor(tileHeight) };
    }
  }
  return best;
}

function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0]!, words[words.length - 1]!] : words;
  return letters.map((word) => [...word][0]?.toUpperCase() ?? "").join("") || "?";
}

function hue(name: string): number {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)!) % 360;
  return hash;
}
