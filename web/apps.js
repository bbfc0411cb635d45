// SPDX-License-Identifier: Apache-2.0
// The table of all apps; its names choose the one that is shown.

import { find, make, setText, show } from "./dom.js";
import { bytes } from "./format.js";
import { Rows } from "./table.js";

/** One word for what an app does, and whether it is a good one. */
export function stateOf(app) {
  const active = app.revisions.filter((revision) => revision.active);
  if (app.provisioning === "Deleting") return ["Deleting", ""];
  if (active.length === 0) return ["Stopped", ""];
  if (active.some((revision) => revision.health === "Unhealthy")) return ["Unhealthy", "bad"];
  if (active.every((revision) => revision.health === "Healthy")) return ["Healthy", "good"];
  return ["Starting", ""];
}

export function setBadge(cell, [text, kind]) {
  setText(cell, text);
  cell.classList.toggle("good", kind === "good");
  cell.classList.toggle("bad", kind === "bad");
}

const sum = (list, value) => list.reduce((total, item) => total + value(item), 0);

export class AppTable {
  constructor(store, onChoose) {
    this.store = store;
    const right = (value) => ({ class: "right", update: (cell, app) => setText(cell, value(app)) });
    const active = (app) => app.revisions.filter((revision) => revision.active);
    this.rows = new Rows(find("apps-rows"), [
      {
        head: true,
        make: (cell, row) => cell.append(make("button", { type: "button", class: "link", onclick: () => onChoose(row.item.id) })),
        update: (cell, app) => {
          setText(cell.firstChild, app.name);
          cell.firstChild.setAttribute("aria-pressed", String(app.id === this.chosen));
        },
      },
      { update: (cell, app) => setText(cell, app.group) },
      { class: "badge", update: (cell, app) => setBadge(cell, stateOf(app)) },
      right((app) => `${sum(active(app), (r) => r.ready)} of ${sum(active(app), (r) => r.minReplicas)}`),
      right((app) => bytes(this.largest(app))),
      right((app) => (active(app)[0] ? bytes(active(app)[0].memoryBytes) : "–")),
      right((app) => sum(this.store.replicasOf(app), (replica) => replica.restarts)),
      right((app) => sum(this.store.replicasOf(app), (replica) => replica.oomKills)),
    ]);
  }

  largest(app) {
    const values = this.store.replicasOf(app).map((replica) => this.store.sampleOf(replica)?.last ?? null);
    const known = values.filter((value) => value !== null);
    return known.length > 0 ? Math.max(...known) : null;
  }

  draw(chosen) {
    this.chosen = chosen;
    const apps = this.store.listApps();
    show(find("no-apps"), apps.length === 0);
    show(find("apps-box"), apps.length > 0);
    this.rows.set(apps, (app) => app.id);
  }
}
