#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP in front of a Redis server that is the container's main process: GET /set, /append, /session."""
import os
import random
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler
import socketserver

SIZE = int(os.environ.get("SIZE", "65536"))
KEYS = int(os.environ.get("KEYS", "1000000000"))
choice = random.Random(1)


class Redis:
    """One connection, one command at a time."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.path = path
        self.file = None

    def call(self, *words):
        with self.lock:
            if self.file is None:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(self.path)
                self.file = connection.makefile("rwb")
            parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            self.file.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            self.file.flush()
            line = self.file.readline()
            if line.startswith(b"$") and int(line[1:]) >= 0:
                self.file.read(int(line[1:]) + 2)
            return line[:1] in b"+:$" and line != b""


SOCKET = os.environ["SCRATCH"] + "/redis.sock"
redis = Redis(SOCKET)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    number = 0

    def do_GET(self):
        try:
            status = 200 if self.serve() else 503
        except OSError:
            redis.file = None
            status = 503
        self.send_response(status)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def serve(self):
        if self.path in ("/health", "/collect"):
            return redis.call("PING")
        Handler.number += 1
        number = Handler.number
        value = os.urandom(SIZE)
        if self.path == "/append":
            return redis.call("XADD", "events", "*", "body", value)
        if self.path == "/session":
            return redis.call("SET", f"session:{number}", value, "PX", os.environ.get("MS", "1000"))
        key = number if KEYS > 10**6 else choice.randrange(KEYS)
        return redis.call("SET", f"page:{key}", value)

    def log_message(self, *words):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


if len(sys.argv) > 1:
    # Become Redis, with the gateway as a child: a kill of the largest process then ends the container.
    if os.fork() > 0:
        os.execvp(sys.argv[1], sys.argv[1:] + ["--port", "0", "--unixsocket", SOCKET,
                                               "--save", "", "--appendonly", "no", "--dir", os.environ["SCRATCH"]])
Server(("", int(os.environ["PORT"])), Handler).serve_forever()
