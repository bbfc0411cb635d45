// SPDX-License-Identifier: Apache-2.0
// The console of one replica, followed while it is open.

import * as api from "./api.js";
import { find, setOptions, setText } from "./dom.js";
import { clock } from "./format.js";

const LINES_MAX = 1000;
const PERIOD_MS = 1000;

export class Console {
  constructor(store) {
    this.store = store;
    this.details = find("console");
    this.select = find("console-replica");
    this.text = find("console-text");
    this.app = null;
    this.restart();
    this.select.addEventListener("change", () => this.restart());
    this.details.addEventListener("toggle", () => this.restart());
    setInterval(() => this.follow(), PERIOD_MS);
  }

  /** From the newest lines again. */
  restart() {
    this.after = null;
    this.turn = (this.turn ?? 0) + 1;
    this.lines = [];
    setText(this.text, "");
    setText(find("console-error"), "");
    this.follow(true);
  }

  open(app) {
    const other = app?.id !== this.app?.id;
    const before = this.select.value;
    this.app = app;
    if (!app) return;
    setOptions(this.select, this.store.replicasOf(app).map((replica) => [replica.name, replica.name]));
    if (other || this.select.value !== before) this.restart();
  }

  async follow(once = false) {
    const replica = this.store.replicas.get(this.select.value);
    if (this.busy === this.turn || !this.app || !replica || !this.details.open || document.hidden) return;
    if (!once && !find("console-follow").checked) return;
    const { turn, app } = this;
    this.busy = turn;
    try {
      const log = await api.consoleLog(app.resource, replica.revision, replica.name, this.after);
      if (turn === this.turn) this.add(log);
    } catch (fault) {
      if (turn === this.turn) setText(find("console-error"), fault.message);
    }
    if (this.busy === turn) this.busy = null;
  }

  add(log) {
    setText(find("console-error"), "");
    this.after = log.next;
    if (log.value.length === 0) return;
    this.lines.push(...log.value.map((line) => `${clock(Date.parse(line.TimeStamp))} ${line.Stream === "stderr" ? "err" : "out"} ${line.Log}`));
    this.lines.splice(0, Math.max(0, this.lines.length - LINES_MAX));
    const { text } = this;
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
    text.textContent = this.lines.join("\n");
    if (atEnd) text.scrollTop = text.scrollHeight;
  }
}
