#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small web shop's search in Python, for the tests: healthy, or with LEAK=1 leaking per request.

PORT    to listen on (0: a free one; the port in use is printed)
LEAK=1  keep the results of every search in a dict that nobody empties
KIB     how much one search needs, in KiB (default 256)

Healthy, it builds the same results, uses them and drops them: garbage, but no growth.
"""

import http.server
import os
import signal

LEAK = os.environ.get("LEAK") == "1"
KIB = int(os.environ.get("KIB", "256"))

recent_searches = {}


def search(number):
    # One object a KiB, each with contents of its own: no two can share memory.
    return [f"{number}-{i}-".encode().ljust(1024, b"%d" % (i % 10)) for i in range(KIB)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    requests = 0

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        if self.path == "/health":
            return self.answer(b"ok\n")
        Handler.requests += 1
        results = search(Handler.requests)
        if LEAK:
            recent_searches[Handler.requests] = results
        return self.answer(b"%d\n" % sum(len(result) for result in results))

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


# As PID 1 of a container a process without a handler never hears SIGTERM.
signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))

server = Server(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Handler)
print(f"listening on {server.server_address[1]}", flush=True)
server.serve_forever()
