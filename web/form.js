// SPDX-License-Identifier: Apache-2.0
// Forms: labelled fields, each with its hint and its error; what the API refuses stands at the field it is about.

import { make, setText } from "./dom.js";

export const SIZES = Array.from({ length: 16 }, (_, i) => [`${(i + 1) / 4}`, `${(i + 1) / 4} CPU, ${(i + 1) / 2} GiB`]);
export const sizeOf = (value) => ({ cpu: Number(value), memory: `${2 * Number(value)}Gi` });

/** Which field an error is about, by its code or a word of its message; the first that fits. */
const ABOUT = [
  ["name", /^ContainerApp(InvalidName|NameAlreadyInUse)/, /^The name/],
  ["size", /ResourceTotal|LocalCapacityExceeded/, /CPU and memory|memory limits|max-replicas/],
  ["group", /ResourceGroup/, /resource group/i],
  ["environment", /^$/, /environment '/],
  ["image", /^$/, /^image\b/i],
  ["env", /^$/, /\benv\b|secretRef/],
  ["port", /^$/, /targetPort|\bport\b/],
  ["replicas", /^$/, /minReplicas|maxReplicas/],
  ["command", /^$/, /\bcommand\b/],
];

export class Form {
  /** `fields`: {name, label, hint, tag, rows, options, properties}. `submit(values)` returns what to say when it is done. */
  constructor(form, fields, button, submit) {
    this.form = form;
    this.inputs = {};
    this.errors = {};
    this.done = make("p", { role: "status", class: "done" });
    this.failed = make("p", { role: "alert", class: "error" });
    this.button = make("button", { type: "submit" }, button);
    form.append(make("div", { class: "fields" }, ...fields.map((field) => this.field(field))));
    form.append(make("div", { class: "buttons" }, this.button), this.done, this.failed);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(submit);
    });
  }

  field({ name, label, hint, tag = "input", options = [], wide = false, properties = {} }) {
    const id = `${this.form.id}-${name}`;
    const input = make(tag, { id, name, ...properties }, ...options.map(([value, text]) => make("option", { value }, text)));
    const error = make("p", { id: `${id}-error`, class: "error" });
    const parts = [make("label", { htmlFor: id }, label), input];
    if (hint) parts.push(make("p", { id: `${id}-hint`, class: "hint" }, hint));
    input.setAttribute("aria-describedby", hint ? `${id}-hint ${id}-error` : `${id}-error`);
    this.inputs[name] = input;
    this.errors[name] = error;
    return make("div", { class: wide ? "field full" : "field" }, ...parts, error);
  }

  values() {
    return Object.fromEntries(Object.entries(this.inputs).map(([name, input]) => [name, input.value]));
  }

  fill(values) {
    for (const [name, value] of Object.entries(values)) this.inputs[name].value = value;
    this.clear();
    setText(this.done, "");
  }

  clear() {
    setText(this.failed, "");
    for (const [name, input] of Object.entries(this.inputs)) {
      input.removeAttribute("aria-invalid");
      setText(this.errors[name], "");
    }
  }

  refuse(name, text) {
    this.inputs[name].setAttribute("aria-invalid", "true");
    setText(this.errors[name], text);
    this.inputs[name].focus();
  }

  async send(submit) {
    this.clear();
    setText(this.done, "Working…");
    this.button.disabled = true;
    try {
      setText(this.done, await submit(this.values()));
    } catch (fault) {
      setText(this.done, "");
      this.fail(fault);
    }
    this.button.disabled = false;
  }

  fail(fault) {
    const about = fault.field ?? ABOUT.find(([name, code, words]) =>
      this.inputs[name] && (code.test(fault.code ?? "-") || words.test(fault.message)))?.[0];
    const text = fault.code ? `${fault.message} (${fault.code})` : fault.message;
    if (about) this.refuse(about, text);
    else setText(this.failed, text);
  }
}

/** What is wrong with a field before it is sent. */
export class FieldError extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

export const lines = (text) => text.split("\n").map((line) => line.replace(/\r$/, "")).filter((line) => line !== "");

/** [{name, value}] of lines NAME=VALUE. */
export function parseEnv(text) {
  return lines(text).map((line) => {
    const at = line.indexOf("=");
    if (at < 1) throw new FieldError("env", `'${line}' is no NAME=VALUE`);
    return { name: line.slice(0, at), value: line.slice(at + 1) };
  });
}

