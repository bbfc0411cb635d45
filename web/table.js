// SPDX-License-Identifier: Apache-2.0
// The rows of a table, kept by key: a change touches the cells that change, so that focus and selection stay.

import { make } from "./dom.js";

export class Rows {
  /** `columns`: {class, head, make(cell, item), update(cell, item)}; "head" makes a row header. */
  constructor(body, columns) {
    this.body = body;
    this.columns = columns;
    this.rows = new Map();
  }

  set(items, keyOf) {
    const wanted = new Set(items.map(keyOf));
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      row.remove();
      this.rows.delete(key);
    }
    let at = this.body.firstElementChild;
    for (const item of items) {
      const row = this.rows.get(keyOf(item)) ?? this.add(keyOf(item), item);
      if (row !== at) this.body.insertBefore(row, at);
      else at = at.nextElementSibling;
      row.item = item;
      this.columns.forEach((column, i) => column.update?.(row.cells[i], item));
    }
  }

  add(key, item) {
    const row = make("tr");
    for (const column of this.columns) {
      const cell = make(column.head ? "th" : "td", column.class ? { class: column.class } : {});
      if (column.head) cell.scope = "row";
      column.make?.(cell, row, item);
      row.append(cell);
    }
    this.rows.set(key, row);
    return row;
  }
}
