// SPDX-License-Identifier: Apache-2.0
// Making and changing elements. Text goes in as text alone, so nothing that an app says can become a part of the page.

export const find = (id) => document.getElementById(id);

/** An element; a property named on... is a listener, "class" and names with "-" are attributes, the rest properties. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class" || name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Set the text where it is another one: what is unchanged keeps its selection, and is not read aloud again. */
export function setText(element, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/** The options of a <select>, [value, text] each; the choice stays where it is still there. */
export function setOptions(select, options) {
  const key = JSON.stringify(options);
  if (select.dataset.key === key) return;
  select.dataset.key = key;
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  if (options.some(([value]) => value === before)) select.value = before;
}
