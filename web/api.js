// SPDX-License-Identifier: Apache-2.0
// The API of oomlab serve, as an Azure client asks it.

import * as token from "./token.js";

const VERSION = "2022-10-01";
const METRICS_VERSION = "2018-01-01";
export const SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000";

/** What the API refused: its status, code and message, as they are. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let onUnauthorized = () => {};
export const whenUnauthorized = (listener) => {
  onUnauthorized = listener;
};

async function failure(response) {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text);
    return new ApiError(response.status, error.code, error.message);
  } catch {
    return new ApiError(response.status, "", text || `status ${response.status}`);
  }
}

export async function request(method, path, body, { headers = {}, signal } = {}) {
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: token.headers({ ...headers, ...type }),
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal,
    });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new ApiError(0, "NoAnswer", "oomlab serve does not answer; is it still running?");
  }
  if (response.status === 401) onUnauthorized();
  if (!response.ok) throw await failure(response);
  return response;
}

async function json(method, path, body) {
  const response = await request(method, path, body);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

const name = encodeURIComponent;
const arm = (path, version = VERSION) => `${path}${path.includes("?") ? "&" : "?"}api-version=${version}`;
export const groupPath = (group) => `${SUBSCRIPTION}/resourceGroups/${name(group)}`;
export const environmentPath = (group, environment) =>
  `${groupPath(group)}/providers/Microsoft.App/managedEnvironments/${name(environment)}`;
export const appPath = (group, app) => `${groupPath(group)}/providers/Microsoft.App/containerApps/${name(app)}`;

export const get = (path) => json("GET", arm(path));
export const put = (path, body) => json("PUT", arm(path), body);
export const patch = (path, body) => json("PATCH", arm(path), body);
export const remove = (path) => json("DELETE", arm(path));
export const act = (resource, revision, action) =>
  json("POST", arm(`${resource}/revisions/${name(revision)}/${action}`));

/** True when it is there: by the list that it is in, since a browser calls a 404 an error. */
export async function exists(path) {
  const at = path.lastIndexOf("/");
  const wanted = decodeURIComponent(path.slice(at + 1)).toLowerCase();
  let next = arm(path.slice(0, at));
  while (next) {
    const page = await json("GET", next);
    if (page.value.some((item) => item.name.toLowerCase() === wanted)) return true;
    const link = page.nextLink && new URL(page.nextLink);
    next = link ? link.pathname + link.search : null;
  }
  return false;
}

/** Lines of a replica's console: {value, next, replica}; without `after` the last 300. */
export function consoleLog(resource, revision, replica, after) {
  const query = new URLSearchParams({ type: "console", revision, replica });
  if (after === null) query.set("tail", "300");
  else query.set("after", after);
  return get(`${resource}/oomlab/logs?${query}`);
}

/** The largest working set of each revision's replicas ("podName": of each replica), a point each `interval` minutes. */
export async function workingSets(resource, minutes, interval, each = "revisionName") {
  const end = Math.ceil(Date.now() / 60000) * 60000;
  const time = (ms) => `${new Date(ms).toISOString().slice(0, 16)}:00Z`;
  const query = new URLSearchParams({
    metricnames: "WorkingSetBytes",
    aggregation: "Maximum",
    interval: `PT${interval}M`,
    timespan: `${time(end - minutes * 60000)}/${time(end)}`,
    $filter: `${each} eq '*'`,
  });
  const answer = await json("GET", arm(`${resource}/providers/Microsoft.Insights/metrics?${query}`, METRICS_VERSION));
  return answer.value[0].timeseries.map((series) => ({
    name: series.metadatavalues[0].value,
    points: series.data.map((point) => ({ x: Date.parse(point.timeStamp), y: point.maximum ?? null })),
  }));
}

export const runs = (before) => json("GET", before ? `/oomlab/runs?before=${name(before)}` : "/oomlab/runs");
export const reportTicket = (id) => json("POST", `/oomlab/runs/${name(id)}/ticket`);
