// Building elements, icons and spoken announcements without a framework.

type Child = Node | string | null | undefined | false;
type Props = Record<string, string | boolean | number | EventListener | null | undefined>;

/** Makes an element: `on…` props are listeners, `true` an empty attribute, `false` and null none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  append(element, ...children);
  return element;
}

/** Appends what is not empty. */
export function append(parent: Element, ...children: Child[]): void {
  for (const child of children) if (child) parent.append(child);
}

const ICONS = {
  mic: '<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"/>',
  micOff:
    '<path d="M15 10.5V6a3 3 0 0 0-5.7-1.3M9 9.5V11a3 3 0 0 0 4.5 2.6M5.5 11.5a6.5 6.5 0 0 0 10.3 5.3M18.2 13.5c.2-.6.3-1.3.3-2M12 18v3M4 3.5l16 17"/>',
  camera: '<rect x="3" y="6.5" width="12.5" height="11" rx="2.5"/><path d="m15.5 11 5-3v8l-5-3"/>',
  cameraOff:
    '<path d="M9 6.5h4A2.5 2.5 0 0 1 15.5 9v2l5-3v8l-2.5-1.5M15.3 16a2.5 2.5 0 0 1-2.3 1.5H5.5A2.5 2.5 0 0 1 3 15V9a2.5 2.5 0 0 1 2-2.450M4 3.5l16 17"/>',
  leave: '<path d="M9.5 20H6a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2h3.5M15 16l4.5-4L15 8M19 12H9.5"/>',
  link: '<path d="M10 13.5a4 4 0 0 0 6 .4l2.5-2.5a4 4 0 0 0-5.7-5.7L11.5 7M14 10.5a4 4 0 0 0-6-.4l-2.5 2.5a4 4 0 0 0 5.7 5.7l1.3-1.3"/>',
  list: '<path d="M8 4.5c-2 0-2.5 1-2.5 2.5v2.5c0 1.5-.7 2.5-2 2.5 1.3 0 2 1 2 2.5V17c0 1.5.5 2.5 2.5 2.5M16 4.5c2 0 2.5 1 2.5 2.5v2.5c0 1.5.7 2.5 2 2.5-1.3 0-2 1-2 2.5V17c0 1.5-.5 2.5-2.5 2.5"/>',
  copy: '<rect x="8.5" y="8.5" width="11.5" height="11.5" rx="2.5"/><path d="M15.5 8.5V6A2.5 2.5 0 0 0 13 3.5H6A2.5 2.5 0 0 0 3.5 6v7A2.5 2.5 0 0 0 6 15.5h2.5"/>',
  check: '<path d="m5 12.5 4.5 4.5L19 7.5"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>',
  alert: '<path d="M12 4 3 19.5h18L12 4ZM12 10v4.5M12 17.2v.1"/>',
} as const;

export type IconName = keyof typeof ICONS;

/** A 24×24 line icon that takes the text's colour; decoration only, so hidden from readers. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = ICONS[name];
  return svg;
}

/** The mark: a dome on its columns. */
export function mark(): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML =
    '<rect width="32" height="32" rx="9"/><path d="M7.5 14.5a8.5 7.5 0 0 1 17 0M6 14.5h20M6.5 25h19M9.5 15v9.5M16 15v9.5M22.5 15v9.5M16 7V5"/>';
  return svg;
}

/** Says a sentence to screen readers. */
export function announce(sentence: string): void {
  const region = document.getElementById("announcer");
  if (region) region.textContent = sentence;
}

/** Puts text on the clipboard, also where the page is not a secure context. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "visually-hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

/** A button that copies what `text` gives at that moment and says so for two seconds. */
export function copyButton(label: string, text: () => string, className = "button quiet small"): HTMLButtonElement {
  const caption = h("span", {}, label);
  const holder = h("span", { class: "icon-holder" }, icon("copy"));
  const button = h("button", { type: "button", class: className }, holder, caption);
  button.addEventListener("click", async () => {
    const copied = await copyText(text());
    caption.textContent = copied ? "Copied" : "Could not copy";
    holder.replaceChildren(icon(copied ? "check" : "alert"));
    announce(copied ? `${label}: copied` : `${label}: could not copy`);
    setTimeout(() => {
      caption.textContent = label;
      holder.replaceChildren(icon("copy"));
    }, 2000);
  });
  return button;
}
