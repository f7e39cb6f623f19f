// The live answer: what the participant list says about this room, fetched every second while visible.
import type { Credentials } from "./credentials";
import { copyButton, h } from "./dom";
import { jsonLines, type Line } from "./json";

const REFRESH_MS = 1000;
const STATUSES = ["connected", "reconnecting", "disconnected"] as const;
type Status = (typeof STATUSES)[number];

/** Where an answer comes from; the mocked page of development gives its own. */
export type Ask = (path: string) => Promise<{ status: number; body: unknown }>;

/** Asks the server's own REST API with the page's key. */
export function askServer(credentials: Credentials): Ask {
  const authorization = `Basic ${btoa(`${credentials.keySid}:${credentials.keySecret}`)}`;
  return async (path) => {
    const response = await fetch(path, { headers: { Authorization: authorization }, cache: "no-store" });
    return { status: response.status, body: await response.json().catch(() => null) };
  };
}

/** The panel beside a call. */
export class Answer {
  readonly element: HTMLElement;
  private status: Status = "connected";
  private room: string;
  private shown = "";
  private values = new Map<string, string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  private asked = 0;

  private readonly tabs: HTMLButtonElement[];
  private readonly request = h("code", { class: "request" });
  private readonly verdict = h("span", { class: "verdict" });
  private readonly body = h("pre", { class: "json", tabindex: "0", id: "answer-body", role: "tabpanel", "aria-label": "Answer" });
  private readonly curl = h("code", { class: "curl-text" });

  /** `room` is a name or SID; names resolve while the room is live only. */
  constructor(room: string, private readonly ask: Ask) {
    this.room = room;
    this.tabs = STATUSES.map((status) =>
      h(
        "button",
        { type: "button", role: "tab", class: "tab", "data-status": status, "aria-controls": "answer-body", onclick: () => this.select(status) },
        h("span", { class: `dot ${status}` }),
        status,
      ),
    );
    const tablist = h("div", { class: "tabs", role: "tablist", "aria-label": "Status" }, ...this.tabs);
    tablist.addEventListener("keydown", (event) => this.moveBetweenTabs(event));
    this.element = h(
      "section",
      { class: "answer", "aria-labelledby": "answer-title", "data-answer": true },
      h(
        "header",
        { class: "answer-head" },
        h("h2", { id: "answer-title" }, "Who is here, by the API"),
        h("p", { class: "hint" }, "The live answer of the list endpoint, once a second."),
      ),
      tablist,
      h("div", { class: "request-line" }, this.request, this.verdict),
      this.body,
      h(
        "div",
        { class: "curl" },
        h("div", { class: "curl-head" }, h("h3", {}, "The same with curl"), copyButton("Copy", () => this.curlCommand())),
        h("pre", { tabindex: "0", "aria-label": "curl command" }, this.curl),
      ),
    );
    document.addEventListener("visibilitychange", this.refresh);
    this.select("connected");
  }

  /** Goes on with another name for the same room, such as its SID once it has ended. */
  setRoom(room: string, status: Status): void {
    this.room = room;
    this.select(status);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.refresh);
  }

  private path(): string {
    const query = this.status === "connected" ? "" : `?Status=${this.status}`;
    return `/v1/Rooms/${encodeURIComponent(this.room)}/Participants${query}`;
  }

  private curlCommand(): string {
    return `curl -u "$ROTUNDA_API_KEY_SID:$ROTUNDA_API_KEY_SECRET" \\\n  "${location.origin}${this.path()}"`;
  }

  private select(status: Status): void {
    this.status = status;
    this.shown = "";
    this.values.clear();
    for (const tab of this.tabs) {
      const selected = tab.dataset.status === status;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
    }
    this.request.replaceChildren(h("b", {}, "GET"), ` ${this.path()}`);
    this.curl.textContent = this.curlCommand();
    this.refresh();
  }

  private moveBetweenTabs(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (STATUSES.indexOf(this.status) + step + STATUSES.length) % STATUSES.length;
    this.select(STATUSES[next]!);
    this.tabs[next]!.focus();
    event.preventDefault();
  }

  private readonly refresh = (): void => {
    clearTimeout(this.timer);
    if (this.closed || document.hidden) return;
    const mine = ++this.asked;
    const startedMs = performance.now();
    this.ask(this.path())
      .then(({ status, body }) => {
        if (mine !== this.asked || this.closed) return;
        this.verdict.textContent = `${status} · ${Math.max(1, Math.round(performance.now() - startedMs))} ms`;
        this.verdict.classList.toggle("bad", status !== 200);
        this.show(body);
      })
      .catch(() => {
        if (mine !== this.asked || this.closed) return;
        this.verdict.textContent = "no answer";
        this.verdict.classList.add("bad");
      })
      .finally(() => {
        if (mine === this.asked && !this.closed) this.timer = setTimeout(this.refresh, REFRESH_MS);
      });
  };

  /** Draws an answer anew only where it differs, so that a selection and the scroll position stay. */
  private show(body: unknown): void {
    const lines = jsonLines(body);
    const text = lines.map((line) => line.text).join("\n");
    if (text === this.shown) return;
    const first = this.shown === "";
    this.shown = text;
    const before = this.values;
    this.values = new Map(lines.map((line) => [line.path, line.text]));
    const top = this.body.scrollTop;
    this.body.replaceChildren(...lines.map((line) => drawLine(line, !first && before.get(line.path) !== line.text)));
    this.body.scrollTop = top;
  }
}

function drawLine(line: Line, changed: boolean): HTMLElement {
  const element = h("span", { class: changed ? "line changed" : "line" });
  for (const { kind, text } of line.parts) element.append(kind === "plain" ? text : h("span", { class: kind }, text));
  element.append("\n");
  return element;
}
