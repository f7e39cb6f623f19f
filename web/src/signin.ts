// The sign-in card, for a browser that came without the key in its address.
import { keep, parseCredentials, type Credentials } from "./credentials";
import { h, icon, mark } from "./dom";

/** Asks for the printed link, or for the three values; `done` gets them once they read as credentials. */
export function signInCard(done: (credentials: Credentials) => void): HTMLElement {
  const pasted = h("textarea", {
    id: "pasted", rows: "3", spellcheck: "false", autocomplete: "off", autocapitalize: "off",
    "aria-describedby": "pasted-hint signin-error", placeholder: `${location.origin}/#key=SK…`,
  });
  const account = field("account", "Account SID", "AC…");
  const key = field("key", "API key SID", "SK…");
  const secret = field("secret", "API key secret", "", "password");
  const error = h("p", { class: "field-error", id: "signin-error", role: "alert" });
  const accept = (credentials: Credentials | null): void => {
    error.replaceChildren();
    if (credentials) {
      keep(credentials);
      done(credentials);
      return;
    }
    error.append(icon("alert"), "That is not complete: it takes an account SID (AC…), a key SID (SK…) and the key's secret.");
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const typed = `${account.input.value.trim()}:${key.input.value.trim()}:${secret.input.value.trim()}`;
    accept(parseCredentials(pasted.value) ?? parseCredentials(typed));
  };
  pasted.addEventListener("paste", () => {
    setTimeout(() => {
      const credentials = parseCredentials(pasted.value);
      if (credentials) accept(credentials);
    });
  });
  return h(
    "main",
    { class: "centre" },
    h(
      "form",
      { class: "card signin", novalidate: true, onsubmit: submit as EventListener },
      h("div", { class: "brand" }, mark(), h("span", {}, "Rotunda")),
      h("h1", {}, "Open this page with its key"),
      h(
        "p",
        { class: "lede", id: "pasted-hint" },
        "Paste the line that ",
        h("code", {}, "rotunda serve"),
        " printed, or what ",
        h("code", {}, "rotunda env"),
        " says. It stays in this browser.",
      ),
      h("label", { for: "pasted" }, "Link or credentials"),
      pasted,
      h("details", {}, h("summary", {}, "Or enter the three values"), account.row, key.row, secret.row),
      error,
      h("button", { class: "button primary wide", type: "submit" }, "Continue"),
    ),
  );
}

function field(id: string, label: string, placeholder: string, type = "text"): { row: HTMLElement; input: HTMLInputElement } {
  const input = h("input", { id, type, placeholder, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
  return { row: h("div", { class: "field" }, h("label", { for: id }, label), input), input };
}
