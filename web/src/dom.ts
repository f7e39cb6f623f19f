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
  mic: '<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5.500 11.500a6.500 6.500 0 0 0 13 0M12 18v3"/>',
  micOff:
    '<path d="M15 10.500V6a3 3 0 0 0-5.700-1.300M9 9.500V11a3 3 0 0 0 4.500 2.600M5.500 11.500a6.500 6.500 0 0 0 10.300 5.300M18.200 13.500c.2-.6.3-1.300.3-2M12 18v3M4 3.500l16 17"/>',
  camera: '<rect x="3" y="6.500" width="12.500" height="11" rx="2.500"/><path d="m15.500 11 5-3v8l-5-3"/>',
  cameraOff:
    '<path d="M9 6.500h4A2.500 2.500 0 0 1 15.500 9v2l5-3v8l-2.500-1.500M15.300 16a2.500 2.500 0 0 1-2.300 1.500H5.500A2.500 2.500 0 0 1 3 15V9a2.500 2.500 0 0 1 2-2.450M4 3.500l16 17"/>',
  leave: '<path d="M9.500 20H6a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2h3.500M15 16l4.500-4L15 8M19 12H9.500"/>',
  link: '<path d="M10 13.500a4 4 0 0 0 6 .4l2.500-2.500a4 4 0 0 0-5.700-5.700L11.500 7M14 10.500a4 4 0 0 0-6-.4l-2.500 2.500a4 4 0 0 0 5.700 5.700l1.300-1.300"/>',
  list: '<path d="M8 4.500c-2 0-2.500 1-2.500 2.500v2.500c0 1.500-.7 2.500-2 2.500 1.300 0 2 1 2 2.500V17c0 1.500.5 2.500 2.500 2.500M16 4.500c2 0 2.500 1 2.500 2.500v2.500c0 1.500.7 2.500 2 2.500-1.300 0-2 1-2 2.500V17c0 1.500-.5 2.500-2.500 2.500"/>',
  copy: '<rect x="8.500" y="8.500" width="11.500" height="11.500" rx="2.500"/><path d="M15.500 8.500V6A2.500 2.500 0 0 0 13 3.500H6A2.500 2.500 0 0 0 3.500 6v7A2.500 2.500 0 0 0 6 15.500h2.500"/>',
  check: '<path d="m5 12.500 4.500 4.500L19 7.500"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>',
  alert: '<path d="M12 4 3 19.500h18L12 4ZM12 10v4.500M12 17.200v.1"/>',
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
    '<rect width="32" height="32" rx="9"/><path d="M7.500 14.500a8.500 7.500 0 0 1 17 0M6 14.500h20M6.500 25h19M9.500 15v9.500M16 15v9.500M22.500 15v9.500M16 7V5"/>';
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
