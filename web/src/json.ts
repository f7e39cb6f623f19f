// Pretty-printed JSON as lines that know their place, so that one answer can be held against the next.

export interface Part {
  kind: "plain" | "key" | "string" | "number" | "word";
  text: string;
}

export interface Line {
  /** Names the value on this line; a list's records go by their SID, so moving down is no change. */
  path: string;
  text: string;
  parts: Part[];
}

/** The lines of `JSON.stringify(value, null, 2)`, split into parts to colour. */
export function jsonLines(value: unknown): Line[] {
  const lines: Line[] = [];
  write(value, "", "", [], "", lines);
  return lines;
}

function write(value: unknown, path: string, indent: string, lead: Part[], tail: string, lines: Line[]): void {
  const push = (suffix: string, parts: Part[]): void => {
    const all = [plain(indent), ...parts].filter((part) => part.text);
    lines.push({ path: path + suffix, text: all.map((part) => part.text).join(""), parts: all });
  };
  if (value === null || typeof value !== "object") {
    push("", [...lead, scalar(value), plain(tail)]);
    return;
  }
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  const [open, close] = list ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) {
    push("", [...lead, plain(open + close + tail)]);
    return;
  }
  push("(", [...lead, plain(open)]);
  entries.forEach(([key, child], i) => {
    const comma = i < entries.length - 1 ? "," : "";
    const place = `${path}/${list ? recordName(child, key) : key}`;
    const name: Part[] = list ? [] : [{ kind: "key", text: JSON.stringify(key) }, plain(": ")];
    write(child, place, `${indent}  `, name, comma, lines);
  });
  push(")", [plain(close + tail)]);
}

function recordName(record: unknown, index: string): string {
  const sid = (record as { sid?: unknown } | null)?.sid;
  return typeof sid === "string" ? sid : index;
}

function scalar(value: unknown): Part {
  const text = JSON.stringify(value) ?? "null";
  if (typeof value === "string") return { kind: "string", text };
  return { kind: typeof value === "number" ? "number" : "word", text };
}

function plain(text: string): Part {
  return { kind: "plain", text };
}
