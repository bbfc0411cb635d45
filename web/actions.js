// SPDX-License-Identifier: Apache-2.0
// Deploying, updating and deleting apps: the requests that az sends.

import * as api from "./api.js";
import { newestActive } from "./app.js";
import { find, setText } from "./dom.js";
import { FieldError, Form, lines, parseEnv, sizeOf, SIZES } from "./form.js";

const REDACTED = "[redacted]";

const IMAGE_HINT = "builtin/leaky, host (with a command), oci:/path[:tag], oci-archive:/path[:tag] or dir:/path";
const ENV_HINT = "NAME=VALUE, one a line";
const WORDS_HINT = "One word a line; what an image says when it is empty";

const area = { rows: 3, spellcheck: false };
const word = { autocomplete: "off", spellcheck: false };

const DEPLOY_FIELDS = [
  { name: "name", label: "Name", hint: "Lower case letters, digits and '-'", properties: { ...word, required: true } },
  { name: "group", label: "Resource group", hint: "Made when it is missing", properties: { ...word, value: "rg" } },
  { name: "environment", label: "Environment", hint: "Made when it is missing", properties: { ...word, value: "env" } },
  { name: "image", label: "Image", hint: IMAGE_HINT, properties: { ...word, value: "builtin/leaky" } },
  { name: "size", label: "CPU and memory", tag: "select", options: SIZES },
  { name: "replicas", label: "Replicas", properties: { type: "number", min: 1, max: 250, value: 1 } },
  { name: "ingress", label: "Ingress", tag: "select", options: [["", "none"], ["external", "external"], ["internal", "internal"]] },
  { name: "port", label: "Target port", hint: "With an ingress", properties: { type: "number", min: 1, max: 65535 } },
  { name: "command", label: "Command", hint: WORDS_HINT, tag: "textarea", properties: area },
  { name: "args", label: "Arguments", hint: "One word a line", tag: "textarea", properties: area },
  { name: "env", label: "Environment variables", hint: ENV_HINT, tag: "textarea", wide: true, properties: area },
];

const UPDATE_FIELDS = [
  { name: "image", label: "Image", hint: IMAGE_HINT, properties: word },
  { name: "size", label: "CPU and memory", tag: "select" },
  {
    name: "env", label: "Environment variables", tag: "textarea", wide: true, properties: area,
    hint: `${ENV_HINT}; what stays ${REDACTED} keeps its value, a line that is gone is removed`,
  },
];

function ingressOf(values) {
  if (!values.ingress) return undefined;
  const targetPort = Number(values.port);
  if (!Number.isInteger(targetPort) || targetPort < 1 || targetPort > 65535)
    throw new FieldError("port", "An ingress needs a target port from 1 to 65535");
  return { external: values.ingress === "external", targetPort };
}

function replicasOf(values) {
  const replicas = Number(values.replicas);
  if (!Number.isInteger(replicas) || replicas < 1) throw new FieldError("replicas", "At least 1 replica");
  return replicas;
}

function containerOf(values) {
  const container = { name: values.name, image: values.image, resources: sizeOf(values.size), env: parseEnv(values.env) };
  if (lines(values.command).length > 0) container.command = lines(values.command);
  if (lines(values.args).length > 0) container.args = lines(values.args);
  return container;
}

async function makeMissing(path) {
  if (!(await api.exists(path))) await api.put(path, { location: "local" });
}

/* Azure's rule for names of apps, as serve checks it. */
function checkName(name) {
  if (!/^[a-z][a-z0-9-]{0,30}[a-z0-9]$/.test(name) || name.includes("--"))
    throw new FieldError("name", "2 to 32 lower case letters, digits and '-': it begins with a letter, ends with a letter or digit, and has no '--'");
}

async function deploy(values) {
  for (const name of ["name", "group", "environment", "image"])
    if (!values[name].trim()) throw new FieldError(name, "This must not be empty");
  checkName(values.name);
  const replicas = replicasOf(values);
  const path = api.appPath(values.group, values.name);
  const properties = {
    managedEnvironmentId: api.environmentPath(values.group, values.environment),
    configuration: { activeRevisionsMode: "Single", ingress: ingressOf(values) },
    template: { containers: [containerOf(values)], scale: { minReplicas: replicas, maxReplicas: replicas } },
  };
  await makeMissing(api.groupPath(values.group));
  await makeMissing(api.environmentPath(values.group, values.environment));
  if (await api.exists(path)) throw new FieldError("name", `The app '${values.name}' is there already: update it above`);
  await api.put(path, { location: "local", properties });
  return `'${values.name}' is made; its state is in the table of apps.`;
}

/** The new environment; the values that the page never saw come from what the app has. */
function mergeEnv(text, present) {
  return parseEnv(text).map((variable) => {
    if (variable.value !== REDACTED) return variable;
    const known = present.find((item) => item.name === variable.name);
    if (!known) throw new FieldError("env", `${variable.name} has no value yet that it could keep`);
    return known;
  });
}

async function update(app, values) {
  const present = await api.get(app.resource);
  const [container] = present.properties.template.containers;
  const changed = { ...container, image: values.image, env: mergeEnv(values.env, container.env ?? []) };
  if (values.size) changed.resources = sizeOf(values.size);
  delete changed.oomlab;
  await api.patch(app.resource, { properties: { template: { containers: [changed] } } });
  return "The update is made; a change of the template makes a new revision.";
}

/** The size as one of Azure's, or "": kept as it is. */
function sizeValue(revision) {
  const known = SIZES.some(([value]) => Number(value) === revision.cpu && Number(value) * 2 * 2 ** 30 === revision.memoryBytes);
  return known ? String(revision.cpu) : "";
}

export class Actions {
  constructor(current) {
    this.current = current;
    this.deployForm = new Form(find("deploy-form"), DEPLOY_FIELDS, "Deploy", deploy);
    const fields = UPDATE_FIELDS.map((field) => (field.name === "size" ? { ...field, options: [["", "as it is"], ...SIZES] } : field));
    this.updateForm = new Form(find("update-form"), fields, "Update", (values) => update(this.current(), values));
    find("update").addEventListener("toggle", () => this.fillUpdate());
    find("app-restart").addEventListener("click", () => this.restart());
    find("app-delete").addEventListener("click", () => this.confirm());
    find("confirm-no").addEventListener("click", () => find("confirm").close());
    find("confirm-yes").addEventListener("click", () => this.remove());
  }

  /** Say how something goes that a button began. */
  async act(text, promise) {
    setText(find("app-error"), "");
    setText(find("app-done"), `${text}…`);
    try {
      await promise;
      setText(find("app-done"), `${text}: done`);
    } catch (fault) {
      setText(find("app-done"), "");
      setText(find("app-error"), fault.code ? `${fault.message} (${fault.code})` : fault.message);
    }
  }

  /** Another app is shown. */
  appChanged() {
    setText(find("app-error"), "");
    setText(find("app-done"), "");
    find("update").open = false;
  }

  fillUpdate() {
    const app = this.current();
    const revision = app && newestActive(app);
    if (!revision || !find("update").open) return;
    const env = revision.env.map((variable) => `${variable.name}=${variable.value}`).join("\n");
    this.updateForm.fill({ image: revision.image, size: sizeValue(revision), env });
  }

  restart() {
    const app = this.current();
    const active = app.revisions.filter((revision) => revision.active);
    const all = Promise.all(active.map((revision) => api.act(app.resource, revision.name, "restart")));
    this.act(`Restart: ${app.name}`, all);
  }

  confirm() {
    this.doomed = this.current();
    setText(find("confirm-title"), `Delete the app '${this.doomed.name}'?`);
    find("confirm").showModal();
    find("confirm-no").focus();
  }

  remove() {
    find("confirm").close();
    find("apps-title").focus(); // the button that had the focus goes with the app
    this.act(`Delete: ${this.doomed.name}`, api.remove(this.doomed.resource));
  }
}
