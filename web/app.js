// SPDX-License-Identifier: Apache-2.0
// One app: its facts, its chart, its replicas and its revisions.

import * as api from "./api.js";
import { setBadge, stateOf } from "./apps.js";
import { largest, WorkingSetChart } from "./chart.js";
import { find, make, setText, show } from "./dom.js";
import { bytes, clock, cores, day, percent } from "./format.js";
import { causeText } from "./log.js";
import { Rows } from "./table.js";

const LIVE_MINUTES = 15;
const INTERVALS = { 60: 1, 360: 5, 1440: 15 }; // minutes a point
const HISTORY_MS = 60000;
const SAY_MS = 5000;
const LEAST_MS = 60000; // the live chart's span at least
const LIVE_GAP_MS = 5000; // between samples: the container was down

const stateKinds = { Ready: "good", CrashLoopBackOff: "bad", Failed: "bad" };

const madeAt = (app) => Math.min(...app.revisions.map((revision) => Date.parse(revision.created)));

export const newestActive = (app) => app.revisions.find((revision) => revision.active) ?? app.revisions[0];

function endText(replica) {
  const end = replica.lastEnd;
  return end ? `${clock(end.at)} ${causeText(end.cause)}, exit code ${end.exitCode} (${end.level})` : "–";
}

const sizeText = (revision) => `${revision.cpu ?? "–"} cores, ${bytes(revision.memoryBytes)}`;
const envText = (revision) => revision.env.map((variable) => `${variable.name}=${variable.value}`).join("\n") || "–";

export class AppView {
  /** `act(text, promise)` carries out what a button asks for, and tells how it went. */
  constructor(store, act) {
    this.store = store;
    this.act = act;
    this.app = null;
    this.minutes = LIVE_MINUTES;
    this.history = null;
    this.spokenAt = 0;
    this.spokenKey = "";
    this.chart = new WorkingSetChart(find("chart"), find("no-chart"));
    this.replicas = this.makeReplicas();
    this.revisions = this.makeRevisions();
    find("range").addEventListener("change", (event) => this.choose(Number(event.target.value)));
    setInterval(() => this.loadHistory(), HISTORY_MS);
  }

  makeReplicas() {
    const last = (replica) => this.store.sampleOf(replica);
    const right = (value) => ({ class: "right", update: (cell, replica) => setText(cell, value(replica)) });
    return new Rows(find("replicas-rows"), [
      { head: true, class: "name", update: (cell, replica) => setText(cell, replica.name) },
      { class: "badge", update: (cell, replica) => setBadge(cell, [replica.state, stateKinds[replica.state] ?? ""]) },
      right((replica) => bytes(last(replica)?.last)),
      right((replica) => percent(last(replica)?.last, replica.limitBytes)),
      right((replica) => cores(last(replica)?.cpu)),
      right((replica) => replica.restarts),
      right((replica) => replica.oomKills),
      { class: "text", update: (cell, replica) => setText(cell, endText(replica)) },
    ]);
  }

  makeRevisions() {
    const button = (cell, row, text, action) => {
      const run = () => this.act(`${text}: ${row.item.name}`, api.act(this.app.resource, row.item.name, action));
      cell.append(make("button", { type: "button", onclick: run }, text));
    };
    return new Rows(find("revisions-rows"), [
      { head: true, class: "name", update: (cell, revision) => setText(cell, revision.name) },
      {
        class: "text badge",
        update: (cell, revision) => {
          const kind = revision.health === "Healthy" ? "good" : revision.health === "Unhealthy" ? "bad" : "";
          setBadge(cell, [revision.failure ? `Failed: ${revision.failure}` : `${revision.running}, ${revision.health}`, kind]);
        },
      },
      { class: "right", update: (cell, revision) => setText(cell, `${revision.weight} %`) },
      { class: "text", update: (cell, revision) => setText(cell, [revision.image, revision.command, revision.args].filter(Boolean).join(" ")) },
      { update: (cell, revision) => setText(cell, sizeText(revision)) },
      { class: "lines", update: (cell, revision) => setText(cell, envText(revision)) },
      {
        class: "buttons",
        make: (cell, row) => {
          button(cell, row, "Restart", "restart");
          button(cell, row, "Deactivate", "deactivate");
          button(cell, row, "Activate", "activate");
        },
        update: (cell, revision) => {
          const [restart, deactivate, activate] = cell.children;
          for (const item of cell.children) item.setAttribute("aria-label", `${item.textContent} ${revision.name}`);
          show(restart, revision.active);
          show(deactivate, revision.active);
          show(activate, !revision.active);
        },
      },
    ]);
  }

  /** Show this app (null: none), from its beginning. */
  open(app) {
    const other = app?.id !== this.app?.id;
    this.app = app;
    show(find("app"), app !== null);
    show(find("app-link"), app !== null);
    if (!app) return;
    if (other) {
      this.history = null;
      this.spokenAt = 0;
      this.loadPast();
      this.loadHistory();
    }
    this.draw();
  }

  draw() {
    const { app } = this;
    setText(find("app-title"), app.name);
    setText(find("app-link"), app.name);
    this.drawFacts();
    this.replicas.set(this.store.replicasOf(app), (replica) => replica.name);
    this.revisions.set(app.revisions, (revision) => revision.name);
    find("app-restart").disabled = !app.revisions.some((revision) => revision.active);
    this.drawChart();
  }

  drawFacts() {
    const { app } = this;
    const ingress = app.ingress ? `http://localhost:${app.ingress.port}` : "none";
    const facts = [
      ["State", stateOf(app)[0]],
      ["Last change", app.provisioning],
      ["Resource group", app.group],
      ["Revision mode", app.mode],
      ["Ingress", ingress],
      ["Revisions", app.revisionCount],
    ];
    const list = find("app-facts");
    if (list.children.length === 0)
      list.append(...facts.map(() => make("div", {}, make("dt"), make("dd"))));
    facts.forEach(([name, value], i) => {
      setText(list.children[i].firstChild, name);
      setText(list.children[i].lastChild, value);
    });
  }

  choose(minutes) {
    this.minutes = minutes;
    this.history = null;
    this.spokenAt = 0;
    this.loadHistory();
    this.drawChart();
  }

  async loadHistory() {
    const { app, minutes } = this;
    if (!app || minutes === LIVE_MINUTES || document.hidden) return;
    try {
      const lines = await api.workingSets(app.resource, minutes, INTERVALS[minutes]);
      if (app.id !== this.app?.id || minutes !== this.minutes) return;
      const label = (line) => `${line.name}, maxima of ${INTERVALS[minutes]} min`;
      this.history = lines.map((line) => ({ label: label(line), points: line.points, maxima: true }));
      this.spokenAt = 0;
      this.drawChart();
    } catch (fault) {
      setText(find("chart-text"), `The metrics cannot be read: ${fault.message}`);
    }
  }

  /** What the live chart lacks: the minutes before this page was opened. */
  async loadPast() {
    const { app } = this;
    try {
      this.store.addPast(await api.workingSets(app.resource, LIVE_MINUTES, 1, "podName"), madeAt(app));
    } catch {
      return; // the chart begins with the first sample then
    }
    if (app.id === this.app?.id) this.drawChart();
  }

  liveLines(replicas, since, ends) {
    return replicas.map((replica) => {
      const series = this.store.series.get(replica.name);
      const own = ends.filter((row) => row.ReplicaName === replica.name).map((row) => row.at);
      return { label: replica.name, points: series?.points(since, own) ?? [], past: series?.pastPoints(since) ?? [] };
    });
  }

  drawChart() {
    let to = this.store.now();
    let from = to - this.minutes * 60000;
    const live = this.minutes === LIVE_MINUTES;
    const all = this.store.replicasOf(this.app);
    const shown = largest(all, this.store.series);
    const known = this.store.ends.filter((row) => row.ContainerAppName === this.app.name);
    const lines = live ? this.liveLines(shown, from, known) : this.history ?? [];
    const first = Math.min(...lines.flatMap((line) => [line.past?.[0]?.x ?? Infinity, line.points[0]?.x ?? Infinity]));
    if (live) {
      from = Math.max(from, Math.min(first, to));
      to = Math.max(to, from + LEAST_MS);
    }
    const limit = newestActive(this.app)?.memoryBytes ?? 0;
    const ends = known.filter((row) => row.at >= from).map((row) => ({ at: row.at, text: causeText(row.oomlab.cause) }));
    this.chart.draw({ from, to, limit, lines, ends, gap: live ? LIVE_GAP_MS : INTERVALS[this.minutes] * 150000 });
    this.say(lines, limit, ends, from, live && shown.length < all.length ? `, the ${shown.length} largest of ${all.length}` : "");
  }

  /** The chart in words; not at each sample, because it is read aloud, but at once where crosses or maxima came. */
  say(lines, limit, ends, from, which) {
    const maxima = lines.reduce((count, line) => count + (line.past?.length ?? 0), 0);
    const key = [this.app.id, this.minutes, ends.length, maxima > 0, lines.some((line) => line.points.length > 0)].join();
    if (key === this.spokenKey && Date.now() - this.spokenAt < SAY_MS) return;
    this.spokenKey = key;
    this.spokenAt = Date.now();
    const points = lines.flatMap((line) => [...(line.past ?? []), ...line.points]);
    const values = points.map((point) => point.y).filter((value) => value !== null);
    const what = this.minutes === LIVE_MINUTES ? `Working sets of the replicas${which}` : "The largest working set of each revision";
    const span = `since ${day(from)}`;
    const range = values.length > 0 ? `from ${bytes(values.reduce((a, b) => Math.min(a, b)))} to ${bytes(values.reduce((a, b) => Math.max(a, b)))}` : "no sample yet";
    const count = ends.length === 1 ? "1 end of a container" : `${ends.length} ends of containers`;
    const pointsAre = maxima > 0 ? " (circles are minute maxima, from before this page was opened)" : "";
    setText(find("chart-text"), `${what}, ${span}: ${range}${pointsAre}; the limit is ${bytes(limit)}; ${count}. The table below has the latest values.`);
  }
}
