# SPDX-License-Identifier: Apache-2.0
"""load.py json|sqlite ROUNDS: work whose memory an allocator serves; prints seconds a round, by the clock and of the
processor."""

import json
import sqlite3
import sys
import time


def parse(rounds):
    text = json.dumps([{"id": i, "name": f"item {i}", "tags": ["a", "b", str(i)], "value": i * 1.5}
                       for i in range(10000)])
    for _ in range(rounds):
        json.loads(text)


def database(rounds):
    for _ in range(rounds):
        store = sqlite3.connect(":memory:")
        store.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, body BLOB)")
        store.executemany("INSERT INTO t VALUES (?, ?, ?)",
                          ((i, f"name {i * 7919 % 20000}", bytes(i % 400)) for i in range(20000)))
        store.execute("CREATE INDEX i ON t (name)")
        store.execute("SELECT count(*), sum(length(body)) FROM t WHERE name LIKE '%7%' GROUP BY substr(name, -1)").fetchall()
        store.execute("DELETE FROM t WHERE id % 3 = 0")
        store.close()


def main():
    work, rounds = {"json": parse, "sqlite": database}[sys.argv[1]], int(sys.argv[2])
    work(1)
    begun, used = time.perf_counter(), time.process_time()
    work(rounds)
    print((time.perf_counter() - begun) / rounds, (time.process_time() - used) / rounds)


main()
