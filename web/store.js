// SPDX-License-Identifier: Apache-2.0
// What serve has told: apps, replicas, their latest samples, the system log. Its listeners draw it.

const SAMPLES = 1000; // of a replica: a quarter of an hour at one a second
const MINUTE_MS = 60000;
const LOG_ROWS = 500;
const ENDS = 300;

/** The latest samples of one replica, in a ring. */
class Series {
  constructor() {
    this.times = new Float64Array(SAMPLES);
    this.values = new Float64Array(SAMPLES);
    this.count = 0;
    this.past = []; // minutes before the first sample
    this.last = null;
    this.cpu = null;
  }

  add(at, value, cpu) {
    if (this.count > 0 && at <= this.lastTime) return;
    this.times[this.count % SAMPLES] = at;
    this.values[this.count % SAMPLES] = value;
    this.count++;
    this.lastTime = at;
    this.last = value;
    this.cpu = cpu;
  }

  get firstTime() {
    return this.count === 0 ? Infinity : this.times[Math.max(0, this.count - SAMPLES) % SAMPLES];
  }

  /** Each minute's maximum in the middle of what of the minute was before the first sample. */
  pastPoints(since) {
    const points = this.past.map(({ from, to, y }) => ({ x: (from + Math.min(to, this.firstTime)) / 2, from, y }));
    return points.filter((point) => point.x >= since && point.from < this.firstTime);
  }

  /** Points for a chart, from a time on; nothing joins those before and after an end of the container. */
  points(since, ends) {
    const points = [];
    const breaks = ends.filter((at) => at >= since);
    for (let i = Math.max(0, this.count - SAMPLES); i < this.count; i++) {
      const x = this.times[i % SAMPLES];
      if (x < since) continue;
      while (breaks.length > 0 && breaks[0] <= x) points.push({ x: breaks.shift(), y: null });
      points.push({ x, y: this.values[i % SAMPLES] });
    }
    return points;
  }
}

export class Store {
  constructor() {
    this.apps = new Map();
    this.replicas = new Map();
    this.series = new Map();
    this.log = []; // newest last
    this.ends = []; // of containers that nobody stopped, from the log, newest last
    this.version = "";
    this.session = "";
    this.clockOffset = 0; // serve's clock minus this browser's
  }

  /** True when what it holds has changed in more than samples. */
  apply(events) {
    let changed = false;
    for (const [name, data] of events) {
      if (name === "samples") this.takeSamples(data);
      else changed = this.take(name, data) || changed;
    }
    return changed;
  }

  take(name, data) {
    if (name === "hello") this.takeHello(data);
    else if (name === "apps") this.keepApps(new Set(data.apps));
    else if (name === "app") this.takeApp(data);
    else if (name === "replica") this.replicas.set(data.name, data);
    else if (name === "log") this.takeLog(data);
    else return false;
    return true;
  }

  /** A new connection tells everything again. */
  takeHello(hello) {
    if (this.session !== hello.session) this.series.clear();
    if (!hello.resumed) {
      this.log = [];
      this.ends = [];
    }
    this.apps.clear();
    this.replicas.clear();
    this.session = hello.session;
    this.version = hello.version;
    this.clockOffset = hello.now - Date.now();
  }

  keepApps(ids) {
    for (const id of [...this.apps.keys()]) {
      if (ids.has(id)) continue;
      this.apps.delete(id);
      this.dropReplicas(id, new Set());
    }
  }

  takeApp(app) {
    this.apps.set(app.id, app);
    this.dropReplicas(app.id, new Set(app.revisions.flatMap((revision) => revision.replicas)));
  }

  dropReplicas(app, kept) {
    for (const replica of [...this.replicas.values()]) {
      if (replica.app !== app || kept.has(replica.name)) continue;
      this.replicas.delete(replica.name);
      this.series.delete(replica.name);
    }
  }

  takeSamples(samples) {
    for (const [name, at, value, cpu] of samples) {
      if (!this.series.has(name)) this.series.set(name, new Series());
      this.series.get(name).add(at, value, cpu);
    }
  }

  /** Minutes of replicas, from the metrics: [{name, points}]; none of before the app was made. */
  addPast(lines, created) {
    for (const { name, points } of lines) {
      if (!this.replicas.has(name)) continue;
      if (!this.series.has(name)) this.series.set(name, new Series());
      const known = points.filter((point) => point.y !== null && point.x + MINUTE_MS > created);
      this.series.get(name).past = known.map(({ x, y }) => ({ from: Math.max(x, created), to: Math.min(x + MINUTE_MS, this.now()), y }));
    }
  }

  takeLog(row) {
    row.at = Date.parse(row.TimeStamp);
    this.log.push(row);
    if (this.log.length > LOG_ROWS) this.log.shift();
    if (row.oomlab?.cause && row.oomlab.cause !== "killed-by-platform") {
      this.ends.push(row);
      if (this.ends.length > ENDS) this.ends.shift();
    }
  }

  /** By name; an app that is being deleted stays until it is gone. */
  listApps() {
    return [...this.apps.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  replicasOf(app) {
    return app.revisions.flatMap((revision) => revision.replicas).map((name) => this.replicas.get(name)).filter(Boolean);
  }

  /** The latest sample of a container that runs; what an ended one used is not what is used. */
  sampleOf(replica) {
    const runs = replica.state === "Ready" || replica.state === "Running";
    return runs ? this.series.get(replica.name) : undefined;
  }

  /** Serve's time now. */
  now() {
    return Date.now() + this.clockOffset;
  }
}
