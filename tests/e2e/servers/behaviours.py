#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An HTTP server that does what the path says, and counts: what a client is tested against.

    behaviours.py [--tls DIRECTORY]    prints "listening on PORT"; the certificate is made in DIRECTORY

/status/N     answers N, /redirect answers 302 to /status/200
/hang         never answers             /die    closes the connection without an answer
/half         promises 100 bytes, sends 10, closes
/large        answers 1 MiB
/echo         remembers method, Content-Type, Expect and body; /last gives them back as four lines
/count/PATH   how many requests for /PATH came; /connections how many connections were accepted
"""

import collections
import http.server
import os
import ssl
import subprocess
import sys
import threading


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, context):
        self.lock = threading.Lock()
        self.connections = 0
        self.counts = collections.Counter()
        self.last = ""
        self.context = context
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request, client_address):
        with self.lock:
            self.connections += 1
        super().process_request(request, client_address)

    def finish_request(self, request, client_address):
        # The handshake happens in the connection's own thread: a slow one holds up nobody.
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # clients that go away are what is tested


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.counts[self.path] += 1
        if self.path.startswith("/status/"):
            self.answer(int(self.path.rsplit("/", 1)[1]))
        elif self.path == "/redirect":
            self.answer(302, headers=[("Location", "/status/200")])
        elif self.path == "/hang":
            threading.Event().wait()
        elif self.path == "/die":
            self.close_connection = True
        elif self.path == "/half":
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"0123456789")
        elif self.path == "/large":
            self.answer(200, b"x" * (1 << 20))
        elif self.path == "/last":
            self.answer(200, self.server.last.encode())
        elif self.path == "/connections":
            self.answer(200, str(self.server.connections).encode())
        elif self.path.startswith("/count/"):
            self.answer(200, str(self.server.counts[self.path[len("/count"):]]).encode())
        else:
            headers = [self.headers.get(name, "-") for name in ("Content-Type", "Expect")]
            self.server.last = "\n".join([self.command, *headers, body.decode()])
            self.answer(200)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any


def tls_context(directory):
    certificate = os.path.join(directory, "certificate.pem")
    key = os.path.join(directory, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
        check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def main():
    context = tls_context(sys.argv[2]) if sys.argv[1:2] == ["--tls"] else None
    server = Server(context)
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
