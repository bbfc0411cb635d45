// SPDX-License-Identifier: Apache-2.0
// Server-sent events, read by fetch(): EventSource cannot send the token. It connects again by itself, with the id of the
// last row of the log that came, so that none is missed.

import { ApiError, request } from "./api.js";

const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 10000;
const SILENCE_MS = 30000; // serve sends something every 10 s

/** One block of lines: {name, id, data}; a comment has no data. */
export function parseEvent(block) {
  const event = { name: "message", id: null, data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event.name = value;
    else if (field === "id") event.id = value;
    else if (field === "data") event.data += value;
  }
  return event;
}

export class Stream {
  /** `onEvents` gets lists of [name, data]; `onState` "open", "lost" or "refused", and a text. */
  constructor(onEvents, onState) {
    this.onEvents = onEvents;
    this.onState = onState;
    this.lastId = null;
    this.abort = null;
  }

  stop() {
    this.abort?.abort();
    this.abort = null;
  }

  get runs() {
    return this.abort !== null;
  }

  async run() {
    this.stop();
    const abort = new AbortController();
    this.abort = abort;
    let pause = PAUSE_FIRST_MS;
    while (!abort.signal.aborted) {
      try {
        await this.read(abort, () => {
          pause = PAUSE_FIRST_MS;
        });
        this.onState("lost", "The connection has ended; connecting again…");
      } catch (fault) {
        if (abort.signal.aborted) return;
        if (fault.status === 401) {
          this.stop();
          return;
        }
        const text = fault instanceof ApiError ? fault.message : "The connection is lost";
        this.onState("lost", `${text.replace(/[.;?]*$/, "")}; connecting again…`);
      }
      await new Promise((done) => setTimeout(done, pause));
      pause = Math.min(2 * pause, PAUSE_MAX_MS);
    }
  }

  async read(abort, onOpen) {
    const part = new AbortController();
    abort.signal.addEventListener("abort", () => part.abort(), { once: true });
    let silence = setTimeout(() => part.abort(), SILENCE_MS);
    try {
      const headers = this.lastId === null ? {} : { "Last-Event-ID": this.lastId };
      const response = await request("GET", "/oomlab/stream", undefined, { headers, signal: part.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      onOpen();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => part.abort(), SILENCE_MS);
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        this.take(blocks);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  take(blocks) {
    const events = [];
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event.id !== null) this.lastId = event.id;
      if (event.data) events.push([event.name, JSON.parse(event.data)]);
    }
    if (events.length > 0) this.onEvents(events);
    this.onState("open", "Live");
  }
}
