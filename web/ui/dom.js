// Building and updating elements. Text always goes in as text, never as markup: names come from the network.

/** Makes an element: `el("p", { class: "x", data: { testid: "y" } }, "text", child)`. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Sets text only when it differs, so that screen readers and selections are left alone. */
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Sets a data attribute only when it differs. */
export function setData(element, name, value) {
  if (element.dataset[name] !== String(value)) element.dataset[name] = value;
}

/**
 * Makes the children of `parent` one for each item, in order. Elements are kept by key, so that focus survives an
 * update; `make(item)` answers `{ element, update(item) }`.
 */
export function keyed(parent, items, keyOf, make) {
  const before = parent.keyedParts ?? new Map();
  const now = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const part = before.get(key) ?? make(item);
    part.update(item);
    now.set(key, part);
  }
  for (const [key, part] of before) if (!now.has(key)) part.element.remove();
  let place = parent.firstElementChild;
  for (const part of now.values()) {
    if (part.element === place) place = place.nextElementSibling;
    else parent.insertBefore(part.element, place);
  }
  parent.keyedParts = now;
}
