// SPDX-License-Identifier: Apache-2.0
// The finished runs of the state directory: their verdicts and reports.

import * as api from "./api.js";
import { find, make, setText, show } from "./dom.js";
import { day, duration } from "./format.js";
import { Rows } from "./table.js";

const GOOD = new Set(["stable", "bounded-cache", "reclaimable-cache"]);

function verdictText(run) {
  if (run.state === "running") return "still running";
  if (!run.verdict?.class) return "no result: it ended early";
  return run.verdict.summary ? `${run.verdict.class}: ${run.verdict.summary}` : run.verdict.class;
}

export class Runs {
  constructor() {
    this.runs = [];
    this.next = null;
    this.opener = null;
    this.rows = new Rows(find("runs-rows"), [
      { head: true, update: (cell, run) => setText(cell, run.startedAt ? day(Date.parse(run.startedAt)) : run.id.slice(0, 15)) },
      { update: (cell, run) => setText(cell, run.lab ?? "–") },
      { class: "right", update: (cell, run) => setText(cell, duration(run.durationSeconds)) },
      {
        class: "text",
        update: (cell, run) => {
          setText(cell, verdictText(run));
          cell.classList.toggle("good", GOOD.has(run.verdict?.class));
          cell.classList.toggle("bad", run.verdict?.class === "leak");
        },
      },
      { update: (cell, run) => setText(cell, run.verdict?.level ?? "–") },
      {
        make: (cell, row) => cell.append(make("button", { type: "button", onclick: (event) => this.show(row.item, event.target) }, "Report")),
        update: (cell, run) => {
          cell.firstChild.setAttribute("aria-label", `Report of ${run.id}`);
          show(cell.firstChild, run.hasReport);
        },
      },
    ]);
    find("runs-again").addEventListener("click", () => this.load());
    find("runs-more").addEventListener("click", () => this.load(this.next));
    find("report-close").addEventListener("click", () => this.close());
  }

  async load(before = null) {
    try {
      const page = await api.runs(before);
      this.runs = before ? [...this.runs, ...page.value] : page.value;
      this.next = page.next;
      setText(find("runs-error"), "");
    } catch (fault) {
      setText(find("runs-error"), fault.message);
      return;
    }
    show(find("no-runs"), this.runs.length === 0);
    show(find("runs-box"), this.runs.length > 0);
    show(find("runs-more"), this.next !== null);
    this.rows.set(this.runs, (run) => run.id);
  }

  async show(run, opener) {
    try {
      const ticket = await api.reportTicket(run.id);
      setText(find("runs-error"), "");
      setText(find("report-title"), `Report of ${run.id}`);
      find("report-frame").src = ticket.path;
      show(find("report"), true);
      this.opener = opener;
      find("report-title").focus();
      find("report").scrollIntoView();
    } catch (fault) {
      setText(find("runs-error"), fault.message);
    }
  }

  close() {
    show(find("report"), false);
    find("report-frame").removeAttribute("src");
    this.opener?.focus();
  }
}
