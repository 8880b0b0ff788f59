/** Elements, made so that nothing that the server says can be anything but text. */

/**
 * Make an element: `element("td", { className: "number" }, "12")`. Properties with a dash are attributes; children are
 * nodes, or text.
 */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [property, value] of Object.entries(properties)) {
    if (property.includes("-")) made.setAttribute(property, value);
    else made[property] = value;
  }
  made.append(...children);
  return made;
}

/** The one element of that id. */
export const byId = (id) => document.getElementById(id);

/** Give an element a text, unless it has it: so nothing is laid out, or read out, for nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * The rows of a table, each for a key. They stay where they are as long as their keys do, so that who has the focus
 * keeps it, and what is selected stays so.
 */
export class Rows {
  #body;
  #make;
  #rows = new Map();

  /** `make(key)` returns `{row, update}`, and `update(item)` fills the row. */
  constructor(body, make) {
    this.#body = body;
    this.#make = make;
  }

  /** Show these items, in their order; `keyOf(item)` is a text. */
  show(items, keyOf) {
    const rows = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const entry = this.#rows.get(key) ?? this.#make(key);
      entry.update(item);
      rows.set(key, entry);
    }
    for (const [key, { row }] of this.#rows) if (!rows.has(key)) row.remove();
    let place = this.#body.firstElementChild;
    for (const { row } of rows.values()) {
      if (row === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row, place);
    }
    this.#rows = rows;
  }
}
