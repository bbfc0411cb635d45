// SPDX-License-Identifier: Apache-2.0
// The page's beginning: the token, the stream, and who draws what of it.

import { Actions } from "./actions.js";
import { whenUnauthorized } from "./api.js";
import { AppView } from "./app.js";
import { AppTable } from "./apps.js";
import { Console } from "./console.js";
import { find, setText, show } from "./dom.js";
import { Log } from "./log.js";
import { Runs } from "./runs.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";
import * as token from "./token.js";

const HIDDEN_MS = 60000; // until a page that is not seen stops

const store = new Store();
let chosen = null; // the id of the app that is shown; null: none was chosen yet
let logIsNew = false;
let drawing = false;

const current = () => (chosen === null ? null : store.apps.get(chosen) ?? null);
const actions = new Actions(current);
const appView = new AppView(store, (text, promise) => actions.act(text, promise));
const appTable = new AppTable(store, (id) => {
  choose(id);
  find("app-title").focus();
});
const log = new Log(store);
const consoleView = new Console(store);
const runs = new Runs();
const stream = new Stream(takeEvents, sayConnection);

function choose(id) {
  if (id !== chosen) actions.appChanged();
  chosen = id;
  draw();
}

function sayConnection(state, text) {
  setText(find("connection"), text);
  find("connection").className = state;
}

function takeEvents(events) {
  const changed = store.apply(events);
  if (changed) logIsNew = true;
  if (!drawing) requestAnimationFrame(draw);
  drawing = true;
}

/** At most once a frame; a page that nobody sees draws nothing. */
function draw() {
  drawing = false;
  setText(find("version"), `oomlab ${store.version}`);
  if (chosen !== null && !store.apps.has(chosen)) chosen = null;
  if (chosen === null) {
    chosen = store.listApps()[0]?.id ?? null;
    if (chosen !== null) actions.appChanged();
  }
  appTable.draw(chosen);
  appView.open(current());
  consoleView.open(current());
  if (logIsNew) log.draw();
  logIsNew = false;
}

function signIn(message) {
  stream.stop();
  show(find("content"), false);
  show(find("sections"), false);
  show(find("sign-in"), true);
  sayConnection("lost", "Not connected");
  setText(find("token-error"), message);
  find("token").value = "";
  find("token").focus();
}

function start() {
  show(find("sign-in"), false);
  show(find("content"), true);
  show(find("sections"), true);
  sayConnection("lost", "Connecting…");
  stream.run();
  runs.load();
}

find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = find("token").value;
  if (!token.isSound(given)) {
    signIn("A token has letters and digits only.");
    return;
  }
  token.set(given);
  start();
});

whenUnauthorized(() => {
  if (!token.has()) return;
  token.forget();
  signIn("This is not the token of the serve that runs: it makes a new one at each start.");
});

/* A browser has few connections to one server, for all of its tabs together: a page that nobody sees gives its own up.
   What it misses comes when it is seen again. */
let hiding = null;
function pause() {
  stream.stop();
  sayConnection("lost", "Paused");
}
function resume() {
  if (token.has() && !stream.runs) stream.run();
}
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(pause, HIDDEN_MS);
  else resume();
});
addEventListener("pagehide", pause);
addEventListener("pageshow", (event) => {
  if (event.persisted) resume();
});

token.takeFromAddress();
if (token.has()) start();
else signIn("");
