#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small HTTP service whose memory behaves as SHAPE says: the Python programs of the corpus."""
import functools
import gc
import logging
import os
import random
import signal
import socketserver
import sqlite3
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler


def parameter(name, default):
    return int(os.environ.get(name, default))


SIZE = parameter("SIZE", 65536)
COUNT = parameter("COUNT", 256)
EVERY = parameter("EVERY", 40)
choice = random.Random(1)
state = {}


class Shape:
    """What happens before it listens, and for each request: `number` counts from 1."""

    def start(self):
        pass

    def serve(self, path, number):
        return 200


class Sessions(Shape):
    """A dict of sessions that nothing expires."""

    def start(self):
        self.sessions = {}

    def serve(self, path, number):
        self.sessions[f"session-{number:012d}"] = {"user": number, "cart": ["x" * 100] * 3, "page": os.urandom(SIZE)}
        return 200


class Callbacks(Shape):
    """Each request registers a callback that closes over its body."""

    def start(self):
        self.callbacks = []

    def serve(self, path, number):
        body = bytearray(os.urandom(SIZE))
        self.callbacks.append(lambda: len(body))
        return 200


class KeptErrors(Shape):
    """Errors are kept with their tracebacks, whose frames hold the request's data."""

    def start(self):
        self.errors = []

    def serve(self, path, number):
        try:
            self.parse(path)
        except ValueError as error:
            self.errors.append(error)
            return 400
        return 200

    @staticmethod
    def parse(path):
        data = os.urandom(SIZE)
        if path.startswith("/bad"):
            raise ValueError("bad request")
        return len(data)


class Memoized(Shape):
    """functools.lru_cache(maxsize=None) on an argument that is never the same twice."""

    def start(self):
        self.render = functools.lru_cache(maxsize=None)(lambda key: os.urandom(SIZE))

    def serve(self, path, number):
        self.render(number)
        return 200


class MemoizedBounded(Shape):
    """The same with a size, and arguments that come again."""

    def start(self):
        self.render = functools.lru_cache(maxsize=COUNT)(lambda key: os.urandom(SIZE))

    def serve(self, path, number):
        self.render(choice.randrange(parameter("KEYS", 1000)))
        return 200


class CyclesUncollected(Shape):
    """Reference cycles with the collector switched off."""

    def start(self):
        gc.disable()

    def serve(self, path, number):
        node = {"payload": os.urandom(SIZE)}
        node["self"] = node
        return 200


class DeletedFiles(Shape):
    """Temporary files in memory, deleted but never closed."""

    def start(self):
        self.files = []

    def serve(self, path, number):
        file = tempfile.TemporaryFile(dir=os.environ["SHARED"], buffering=0)
        file.write(os.urandom(SIZE))
        self.files.append(file)
        return 200


class MetricLabels(Shape):
    """A histogram for each path it was ever asked for."""

    def start(self):
        self.histograms = {}

    def serve(self, path, number):
        for label in range(SIZE // 1024):
            key = ("http_request_seconds", path, number, label)
            self.histograms.setdefault(key, [0.0] * 96)[number % 96] += 1.0
        return 200


class StuckThreads(Shape):
    """A thread for each request that waits for a notification nobody sends."""

    def start(self):
        threading.stack_size(131072)

    def serve(self, path, number):
        threading.Thread(target=self.wait, args=(os.urandom(SIZE),), daemon=True).start()
        return 200

    @staticmethod
    def wait(data):
        threading.Event().wait()
        return data


class Heartbeats(Shape):
    """A background thread that keeps every reading, with or without traffic."""

    def start(self):
        self.readings = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        due = time.monotonic()
        while True:
            due += parameter("TICK_MS", 50) / 1000
            time.sleep(max(0, due - time.monotonic()))
            self.readings.append(os.urandom(SIZE))


class MemoryTable(Shape):
    """Rows in an SQLite database in memory that are never deleted."""

    def start(self):
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.lock = threading.Lock()
        self.database.execute("CREATE TABLE audit (id INTEGER PRIMARY KEY, path TEXT, body BLOB)")

    def serve(self, path, number):
        with self.lock, self.database:
            self.database.execute("INSERT INTO audit (path, body) VALUES (?, ?)", (path, os.urandom(SIZE)))
        return 200


class PurgedTable(MemoryTable):
    """The same, but only the last COUNT rows stay."""

    def serve(self, path, number):
        super().serve(path, number)
        with self.lock, self.database:
            self.database.execute("DELETE FROM audit WHERE id <= ?", (number - COUNT,))
        return 200


class FileDatabase(Shape):
    """An SQLite database on disk that is written and read: page cache, not memory."""

    def start(self):
        self.file = os.environ["SCRATCH"] + "/orders.db"
        for name in (self.file, self.file + "-journal"):
            if os.path.exists(name):
                os.unlink(name)
        self.database = sqlite3.connect(self.file, check_same_thread=False)
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, body BLOB)")
        self.lock = threading.Lock()

    def serve(self, path, number):
        with self.lock, self.database:
            self.database.execute("INSERT INTO orders (body) VALUES (?)", (os.urandom(SIZE),))
        return 200


class Logger(Shape):
    """A chatty log file on disk."""

    def start(self):
        handler = logging.FileHandler(os.environ["SCRATCH"] + "/service.log", mode="w")
        self.log = logging.getLogger("service")
        self.log.addHandler(handler)
        self.log.propagate = False

    def serve(self, path, number):
        self.log.warning("request %d %s %s", number, path, "x" * SIZE)
        return 200


class Scratch(Shape):
    """Builds a document out of many small objects and forgets it."""

    def serve(self, path, number):
        document = [{"id": i, "name": f"item {i}", "tags": [i, i + 1]} for i in range(SIZE // 512)]
        return 200 if document else 500


class Dataset(Shape):
    """The first request for it imports a data set, once."""

    def start(self):
        self.rows = None
        self.lock = threading.Lock()

    def serve(self, path, number):
        with self.lock:
            if number == parameter("AFTER", 30):
                self.rows = [os.urandom(4096) for _ in range(SIZE // 4096)]
        return 200


class Report(Shape):
    """One request in EVERY builds a report out of SIZE bytes of rows."""

    def serve(self, path, number):
        if number % EVERY == 0:
            rows = []
            for _ in range(32):
                rows.append(os.urandom(SIZE // 64) * 2)
                time.sleep(0.002)
            return 200 if rows else 500
        return 200


class ExpiringSessions(Shape):
    """Sessions that end MS after they began."""

    def start(self):
        self.sessions = {}
        threading.Thread(target=self.expire, daemon=True).start()

    def serve(self, path, number):
        self.sessions[number] = (time.monotonic() + parameter("MS", 1000) / 1000, os.urandom(SIZE))
        return 200

    def expire(self):
        while True:
            time.sleep(0.05)
            now = time.monotonic()
            for key in [key for key, (end, _) in list(self.sessions.items()) if end < now]:
                del self.sessions[key]


class Model(Shape):
    """Loads a model before it listens."""

    def start(self):
        self.layers = []
        for _ in range(64):
            self.layers.append(bytearray(os.urandom(1024)) * (SIZE // 65536))
            time.sleep(parameter("MS", 1000) / 64000)


class Exits(Shape):
    """An unhandled condition ends it after EVERY requests."""

    def serve(self, path, number):
        document = os.urandom(SIZE)
        if number % EVERY == 0:
            sys.stderr.write("fatal: configuration changed\n")
            sys.stderr.flush()
            os._exit(parameter("CODE", 1))
        return 200 if document else 500


class RetryQueue(Shape):
    """Jobs that failed are put back for ever: the broker is away."""

    def start(self):
        self.jobs = []
        self.lock = threading.Lock()
        threading.Thread(target=self.work, daemon=True).start()

    def serve(self, path, number):
        with self.lock:
            self.jobs.append({"attempts": 0, "body": os.urandom(SIZE)})
        return 200

    def work(self):
        while True:
            time.sleep(0.02)
            with self.lock:
                for job in self.jobs[:10]:
                    job["attempts"] += 1
                self.jobs = self.jobs[10:] + self.jobs[:10]


SHAPES = {
    "py-sessions": Sessions,
    "py-callbacks": Callbacks,
    "py-kept-errors": KeptErrors,
    "py-memoized": Memoized,
    "py-lru-cache": MemoizedBounded,
    "py-no-collector": CyclesUncollected,
    "py-deleted-files": DeletedFiles,
    "py-metric-labels": MetricLabels,
    "py-stuck-threads": StuckThreads,
    "py-heartbeats": Heartbeats,
    "sqlite-memory": MemoryTable,
    "sqlite-purged": PurgedTable,
    "sqlite-file": FileDatabase,
    "py-log-file": Logger,
    "py-scratch": Scratch,
    "py-import": Dataset,
    "py-report-over": Report,
    "py-report": Report,
    "py-expiring": ExpiringSessions,
    "py-model": Model,
    "py-model-over": Model,
    "py-exits": Exits,
    "py-retry-queue": RetryQueue,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    number = 0
    lock = threading.Lock()

    def do_GET(self):
        status = 200
        if self.path == "/collect":
            gc.collect()
        elif self.path != "/health":
            with Handler.lock:
                Handler.number += 1
                number = Handler.number
            status = shape.serve(self.path, number)
        self.send_response(status)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *words):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
shape = SHAPES[os.environ["SHAPE"]]()
shape.start()
Server(("", parameter("PORT", 8080)), Handler).serve_forever()
