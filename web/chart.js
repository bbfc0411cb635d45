// SPDX-License-Identifier: Apache-2.0
// The chart of working sets: a line each, the limit, and a cross where a container ended.

import { bytes, clock } from "./format.js";

const LINES_MAX = 12;
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const LINE_COLOURS = ["--ws-a", "--ws-b", "--ready", "--pending", "--failed", "--soft"];

const MIB = 1 << 20;

/** A step of the axis that is round in bytes: 1, 2, 4, ... MiB. */
function byteStep(most) {
  let step = MIB / 4;
  while (most / step > 6) step *= 2;
  return step;
}

const TIME_STEPS = [60, 120, 300, 900, 1800, 3600, 7200, 14400, 28800].map((seconds) => 1000 * seconds);

function timeStep(span, width) {
  return TIME_STEPS.find((step) => span / step <= Math.max(2, width / 90)) ?? 28800000;
}

function scales() {
  const grid = colour("--grid");
  const ink = colour("--soft");
  return {
    x: {
      type: "linear",
      grid: { color: grid },
      ticks: { color: ink, maxRotation: 0, callback: (value) => clock(value, false) },
      afterBuildTicks: (axis) => {
        const step = timeStep(axis.max - axis.min, axis.width || 600);
        const zone = new Date(axis.min).getTimezoneOffset() * 60000;
        axis.ticks = [];
        for (let at = Math.ceil((axis.min - zone) / step) * step + zone; at <= axis.max; at += step) axis.ticks.push({ value: at });
      },
    },
    y: { min: 0, grid: { color: grid }, ticks: { color: ink, callback: (value) => bytes(value) } },
  };
}

/** The legend's entries; a line is one there, whatever its single samples are drawn as. */
function keys(chart) {
  const { generateLabels } = globalThis.Chart.defaults.plugins.legend.labels;
  return generateLabels(chart).map((item) => ({ ...item, pointStyle: chart.data.datasets[item.datasetIndex].keyStyle ?? item.pointStyle }));
}

function options() {
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    parsing: false,
    normalized: true,
    events: ["mousemove", "mouseout", "touchstart", "touchmove"],
    interaction: { mode: "nearest", axis: "x", intersect: false },
    elements: { point: { radius: 0, hitRadius: 6 }, line: { borderWidth: 2 } },
    scales: scales(),
    plugins: {
      legend: { position: "bottom", labels: { color: colour("--ink"), usePointStyle: true, filter: (item) => item.text !== "", generateLabels: keys } },
      tooltip: {
        callbacks: {
          title: (items) => (items.length > 0 ? clock(items[0].parsed.x) : ""),
          label: (item) => `${item.dataset.name ?? item.dataset.label}: ${item.raw.text ?? bytes(item.parsed.y)}`,
        },
      },
    },
  };
}

/** Largest values of minutes: points, because a line between two would say what was in between, which nobody knows. */
function maximaSet(set, label, name, maxima) {
  return { ...set, type: "scatter", keyStyle: "circle", label, name, data: maxima, showLine: false, clip: false, pointStyle: "circle", pointRadius: 3, pointBorderWidth: 1.5, backgroundColor: "transparent" };
}

/** A sample that nothing joins to another is no line: it gets a dot. */
function dots(points, gap) {
  const apart = (a, b) => !a || !b || a.y === null || b.y === null || b.x - a.x > gap;
  return points.map((point, i) => (apart(points[i - 1], point) && apart(point, points[i + 1]) ? 2.5 : 0));
}

/** A line of samples, and the maxima before it, which have one entry in the legend for all lines. */
function lineSets(line, i, gap) {
  const paint = colour(LINE_COLOURS[i % LINE_COLOURS.length]);
  const set = {
    type: "line",
    label: line.label,
    name: line.label,
    data: line.points,
    borderColor: paint,
    backgroundColor: paint,
    borderDash: DASHES[Math.floor(i / LINE_COLOURS.length) % DASHES.length],
    pointStyle: "circle",
    keyStyle: "line",
    spanGaps: gap,
    pointRadius: dots(line.points, gap),
  };
  if (line.maxima) return [maximaSet(set, line.label, line.label, line.points)];
  return line.past?.length ? [set, maximaSet(set, "", `${line.label}, minute maximum`, line.past)] : [set];
}

/** Nothing but the entry of the legend that says what the points are. */
function maximaKey() {
  return maximaSet({ borderColor: colour("--soft") }, "minute maxima", "", []);
}

function limitSet(limit, from, to) {
  return {
    type: "line",
    label: `limit ${bytes(limit)}`,
    data: [{ x: from, y: limit }, { x: to, y: limit }],
    borderColor: colour("--limit"),
    backgroundColor: colour("--limit"),
    borderDash: [7, 4],
    borderWidth: 1.6,
    pointStyle: "line",
  };
}

function endSet(ends, limit) {
  return {
    type: "scatter",
    label: "container ended",
    data: ends.map((end) => ({ x: end.at, y: limit || 0, text: end.text })),
    borderColor: colour("--limit"),
    backgroundColor: colour("--limit"),
    pointStyle: "crossRot",
    clip: false,
    pointRadius: 7,
    pointBorderWidth: 2.5,
  };
}

export class WorkingSetChart {
  constructor(canvas, note) {
    this.canvas = canvas;
    this.chart = null;
    this.view = null;
    if (globalThis.Chart) {
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    } else {
      note.hidden = false;
      note.textContent = globalThis.noChartLibrary ?? "The chart library did not load.";
      canvas.parentElement.hidden = true;
    }
  }

  /** `view`: {from, to, limit, gap, lines: [{label, points, past, maxima}], ends: [{at, text}]}; `maxima`: the points are. */
  draw(view) {
    this.view = view;
    if (!globalThis.Chart) return;
    const sets = view.lines.flatMap((line, i) => lineSets(line, i, view.gap));
    if (view.lines.some((line) => line.past?.length)) sets.push(maximaKey());
    if (view.limit) sets.push(limitSet(view.limit, view.from, view.to));
    if (view.ends.length > 0) sets.push(endSet(view.ends, view.limit));
    if (!this.chart) this.chart = new globalThis.Chart(this.canvas, { data: { datasets: [] }, options: options() });
    const { x, y } = this.chart.options.scales;
    [x.min, x.max] = [view.from, view.to];
    const points = view.lines.flatMap((line) => [...line.points, ...(line.past ?? [])]);
    const most = points.reduce((largest, point) => Math.max(largest, point.y ?? 0), Math.max(view.limit || 0, MIB));
    y.ticks.stepSize = byteStep(most);
    y.max = Math.ceil((most * 1.04) / y.ticks.stepSize) * y.ticks.stepSize;
    this.chart.data.datasets = sets;
    this.chart.update("none");
  }

  recolour() {
    this.chart?.destroy();
    this.chart = null;
    if (this.view) this.draw(this.view);
  }
}

/** The replicas that a chart can hold: those with the largest working sets. */
export function largest(replicas, series) {
  const size = (replica) => series.get(replica.name)?.last ?? 0;
  if (replicas.length <= LINES_MAX) return replicas;
  return [...replicas].sort((a, b) => size(b) - size(a)).slice(0, LINES_MAX);
}
