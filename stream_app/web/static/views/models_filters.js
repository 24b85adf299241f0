// Filters of the first page: search, several values of each facet with their counts, groups, and views one has saved.
import { count, h, s, soon } from "../dom.js";
import { addressOf, askedOf, FACETS } from "../fleet.js";
import { dialog } from "../parts.js";

const SAVED = "plumbline-views";
/** Values of a facet that are shown at once: the most frequent, and whatever is chosen. */
const SHOWN = 40;

const saved = () => {
  try {
    return /** @type {[string, string][]} */ (JSON.parse(localStorage.getItem(SAVED) ?? "[]"));
  } catch {
    return [];
  }
};

/** @param {{ asked: any, counts: Record<string, [string, number][]>, choose: (changes: any) => void, rows: any[] }} shown */
export function filters({ asked, counts, choose }) {
  const search = soon((value) => choose({ q: value.trim() }), 200);
  const chosen = FACETS.flatMap(([name, text]) => asked.facets[name].map((value) => ({ name, text, value })));
  return h(
    "div",
    { class: "stack tight" },
    h(
      "div",
      { class: "row filters" },
      h("input", {
        type: "search",
        placeholder: "Model, version or owner",
        "aria-label": "Search models",
        value: asked.q,
        oninput: (event) => search(event.target.value),
      }),
      FACETS.map(([name, text]) => facet(name, text, asked, counts[name], choose)),
      h(
        "label",
        { class: "row group-by small" },
        "Groups ",
        h(
          "select",
          { onchange: (event) => choose({ group: event.target.value }) },
          h("option", { value: "", selected: !asked.group }, "none"),
          FACETS.map(([name, text]) => h("option", { value: name, selected: asked.group === name }, text)),
        ),
      ),
      views(asked, choose),
    ),
    chosen.length
      ? h(
          "div",
          { class: "row chosen" },
          chosen.map(({ name, text, value }) =>
            h(
              "button",
              { class: "chip", "data-key": `${name} ${value}`, "aria-label": `Take away: ${text} ${value}`, onclick: () => choose({ facets: without(asked, name, value) }) },
              `${text}: ${value} `,
              h("span", { "aria-hidden": "true" }, "✕"),
            ),
          ),
          h("button", { class: "link small", "data-key": "all", onclick: () => choose({ facets: Object.fromEntries(FACETS.map(([name]) => [name, []])), q: "" }) }, "Show all"),
        )
      : null,
  );
}

/** What the colours of the heat map mean. */
export const legend = () =>
  h(
    "div",
    { class: "row legend heat small soft" },
    Object.entries({ n: "no drift", M: "MEDIUM", H: "HIGH", C: "CRITICAL", i: "insufficient data" }).map(([look, text]) =>
      h(
        "span",
        {},
        s("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, s("rect", { class: `cell ${look}`, width: 14, height: 14 }), look === "i" ? s("path", { class: "thin", d: "M0 14L14 0M0 7L7 0M7 14L14 7" }) : null),
        text,
      ),
    ),
  );

const without = (asked, name, value) => ({ ...asked.facets, [name]: asked.facets[name].filter((v) => v !== value) });

function facet(name, text, asked, values, choose) {
  const own = asked.facets[name];
  const shown = values.filter(([value], n) => n < SHOWN || own.includes(value));
  return h(
    "details",
    { class: "facet", "data-key": `facet ${name}`, onkeydown: (event) => event.key === "Escape" && shut(event.currentTarget ?? event.target.closest("details")) },
    h("summary", {}, text, own.length ? h("b", {}, ` ${own.length}`) : null),
    h(
      "div",
      { class: "choices" },
      shown.map(([value, rows]) =>
        h(
          "label",
          { "data-key": value },
          h("input", {
            type: "checkbox",
            checked: own.includes(value),
            onchange: (event) => choose({ facets: event.target.checked ? { ...asked.facets, [name]: [...own, value] } : without(asked, name, value) }),
          }),
          h("span", { class: "grow" }, value),
          h("span", { class: "soft num" }, count(rows)),
        ),
      ),
      values.length > shown.length ? h("p", { class: "small soft" }, `${count(values.length - shown.length)} more: search for them.`) : null,
    ),
  );
}

function shut(details) {
  details.open = false;
  details.querySelector("summary").focus();
}

addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.facet[open]"))
    if (event.target instanceof Node && event.target.isConnected && !open.contains(event.target)) /** @type {HTMLDetailsElement} */ (open).open = false;
});

function views(asked, choose) {
  const known = saved();
  return [
    known.length
      ? h(
          "select",
          {
            "aria-label": "Saved views",
            "data-key": `views ${known.length}`,
            onchange: (event) => {
              const found = known.find(([name]) => name === event.target.value);
              if (found) choose(askedOf(found[1]));
              event.target.value = "";
            },
          },
          h("option", { value: "" }, "Saved views"),
          known.map(([name]) => h("option", { value: name }, name)),
        )
      : null,
    h("button", { "data-key": "save", onclick: () => save(asked, choose) }, "Save view…"),
  ];
}

function save(asked, choose) {
  dialog("Save this view", (close) => {
    const name = h("input", { required: true, maxlength: 60, autofocus: true });
    const keep = (event) => {
      event.preventDefault();
      const rest = saved().filter(([known]) => known !== name.value.trim());
      localStorage.setItem(SAVED, JSON.stringify([...rest, [name.value.trim(), addressOf("", asked)]]));
      close();
      choose({});
    };
    return h(
      "form",
      { onsubmit: keep },
      h("p", {}, "Search, filters, order and groups are kept in this browser; the address holds them too, and can be sent to others."),
      h("label", { class: "field" }, h("span", {}, "Name"), name),
      saved().map(([known]) =>
        h("p", { class: "row spread small" }, known, h("button", { type: "button", class: "link", onclick: (event) => forget(known, event.target, choose) }, `Forget ${known}`)),
      ),
      h("div", { class: "row end" }, h("button", { type: "button", onclick: close }, "Cancel"), h("button", { class: "primary", type: "submit" }, "Save")),
    );
  });
}

function forget(name, button, choose) {
  localStorage.setItem(SAVED, JSON.stringify(saved().filter(([known]) => known !== name)));
  button.parentElement.remove();
  choose({});
}
