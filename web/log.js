// SPDX-License-Identifier: Apache-2.0
// The system log, and the ends of containers with their causes, which are read aloud as they come.

import { find, make, setOptions, show } from "./dom.js";
import { clock, day } from "./format.js";

const ROWS = 200;
const ENDS_SHOWN = 5;

const CAUSES = {
  "oom-container-limit": "killed by the kernel: the container's memory limit",
  "oom-ancestor-limit": "killed by the kernel: the limit of a control group above it",
  "oom-host": "killed by the kernel: this machine ran out of memory",
  "oom-userspace-killer": "killed by an OOM killer in user space",
  "runtime-out-of-memory": "its runtime ran out of memory",
  "killed-by-platform": "stopped by the platform",
  "killed-externally": "killed by somebody else",
  signalled: "ended by a signal",
  exited: "exited by itself",
};

export const causeText = (cause) => CAUSES[cause] ?? cause;

const isKill = (row) => row.oomlab.cause.startsWith("oom-") || row.oomlab.cause === "runtime-out-of-memory";

const causeOf = (row) => (row.oomlab?.cause ? `${causeText(row.oomlab.cause)} (${row.oomlab.level})` : "");

export class Log {
  constructor(store) {
    this.store = store;
    this.body = find("log-rows");
    this.select = find("log-app");
    this.shown = new Map(); // row of the log → row of the table
    this.ended = new Map();
    this.select.addEventListener("change", () => this.draw());
  }

  draw() {
    const names = [...new Set(this.store.log.map((row) => row.ContainerAppName))].filter(Boolean).sort();
    setOptions(this.select, [["", "all apps"], ...names.map((name) => [name, name])]);
    const wanted = this.store.log.filter((row) => !this.select.value || row.ContainerAppName === this.select.value).slice(-ROWS);
    this.keep(this.body, this.shown, wanted, (row) => this.row(row));
    const ends = this.store.ends.slice(-ENDS_SHOWN);
    show(find("no-ends"), ends.length === 0);
    this.keep(find("ends"), this.ended, ends, (row) => this.end(row));
  }

  /** Newest first; what is there stays. */
  keep(parent, shown, wanted, makeRow) {
    const kept = new Set(wanted);
    for (const [row, element] of shown) {
      if (kept.has(row)) continue;
      element.remove();
      shown.delete(row);
    }
    let older = null; // null: at the end
    for (const row of wanted) {
      let element = shown.get(row);
      if (!element) {
        element = makeRow(row);
        shown.set(row, element);
        parent.insertBefore(element, older);
      }
      older = element;
    }
  }

  row(row) {
    const cell = (text, kind = "") => make("td", kind ? { class: kind } : {}, text ?? "");
    const kill = row.oomlab?.cause && isKill(row);
    return make(
      "tr",
      {},
      make("td", { class: "time" }, make("time", { dateTime: row.TimeStamp, title: day(row.at) }, clock(row.at))),
      cell(row.ContainerAppName),
      cell(row.Reason, row.Type === "Warning" ? "badge bad" : ""),
      cell(row.Msg, "text"),
      cell(causeOf(row), kill ? "text badge bad" : "text"),
    );
  }

  end(row) {
    const time = make("time", { dateTime: row.TimeStamp }, clock(row.at));
    const text = ` ${row.ReplicaName ?? row.ContainerAppName}: ${causeText(row.oomlab.cause)}; evidence: ${row.oomlab.level}`;
    return make("li", isKill(row) ? { class: "bad" } : {}, time, text);
  }
}
