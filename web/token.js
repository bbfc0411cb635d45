// SPDX-License-Identifier: Apache-2.0
// The bearer token: from the address's fragment, which no browser sends, or from the form; kept as long as the tab.

const KEY = "oomlab-token";
let token = null;

/** Take the token out of the address, so that it stays in no history and on no screen. */
export function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", location.pathname);
    set(given);
  } else {
    token = sessionStorage.getItem(KEY);
  }
}

export function set(value) {
  token = value.trim();
  sessionStorage.setItem(KEY, token);
}

export function forget() {
  token = null;
  sessionStorage.removeItem(KEY);
}

export const has = () => Boolean(token);

/** Headers cannot carry everything that can be typed. */
export const isSound = (value) => /^[\x21-\x7e]+$/.test(value.trim());

export const headers = (more = {}) => ({ ...more, Authorization: `Bearer ${token}` });
