# SPDX-License-Identifier: Apache-2.0
"""What the ingress changes of a request and of an answer, and what it leaves alone."""

import json
import socket

import pytest
from serving import APPS, Serve, app_body, free_port

# Answers with the request's own fields, and with fields that are for its connection alone.
ECHO = """
import http.server, json, os
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text = json.dumps([[k.lower(), v] for k, v in self.headers.items()]).encode()
        self.send_response(200)
        for field in (("Content-Length", str(len(text))), ("X-Own", "yes"), ("Connection", "X-Inner, keep-alive"),
                      ("X-Inner", "no"), ("Keep-Alive", "timeout=9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")):
            self.send_header(*field)
        self.end_headers(); self.wfile.write(text)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    server = Serve(tmp_path_factory.mktemp("ingress") / "serve").start()
    server.prepare()
    number = free_port()
    status, value, headers = server.ask("PUT", f"{APPS}/echo", app_body(["/usr/bin/python3", "-c", ECHO], port=number))
    assert status == 201, value
    server.operation(headers)
    yield number
    server.stop()


def exchange(port, *fields, version="1.1", source="127.0.0.1"):
    """The fields that the app got, and those of its answer: lists of (name, value)."""
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0)) as connection:
        request = "\r\n".join([f"GET /x HTTP/{version}", *fields, "", ""])
        connection.sendall(request.encode())
        answer = connection.makefile("rb")
        assert b" 200 " in answer.readline()
        got = []
        while (line := answer.readline().decode().strip()):
            name, value = line.split(":", 1)
            got.append((name.lower(), value.strip()))
        text = answer.read(int(dict(got)["content-length"]))
    return [tuple(f) for f in json.loads(text)], got


def values(fields, name):
    return [v for k, v in fields if k == name]


def test_the_clients_host_is_kept(port):
    seen, _ = exchange(port, "Host: shop.example:8443")
    assert values(seen, "host") == ["shop.example:8443"]
    assert values(seen, "x-forwarded-host") == ["shop.example:8443"]
    assert values(seen, "x-forwarded-proto") == ["http"]
    assert values(seen, "x-forwarded-for") == ["127.0.0.1"]


def test_the_clients_address(port):
    seen, _ = exchange(port, "Host: a", source="127.0.0.9")
    assert values(seen, "x-forwarded-for") == ["127.0.0.9"]


def test_a_client_does_not_say_who_it_is(port):
    seen, _ = exchange(port, "Host: a", "X-Forwarded-For: 8.8.8.8", "x-forwarded-host: evil", "X-FORWARDED-PROTO: https")
    assert values(seen, "x-forwarded-for") == ["127.0.0.1"]
    assert values(seen, "x-forwarded-host") == ["a"]
    assert values(seen, "x-forwarded-proto") == ["http"]


def test_fields_of_the_connection_end_here(port):
    seen, _ = exchange(port, "Host: a", "Connection: X-Hop , keep-alive", "X-Hop: 1", "Keep-Alive: timeout=5", "TE: trailers",
                       "Proxy-Connection: keep-alive", "X-Kept: yes", "X-Hop-Too: kept", "Cookie: c=1")
    names = [name for name, _ in seen]
    assert not {"connection", "x-hop", "keep-alive", "te", "proxy-connection"} & set(names)
    assert values(seen, "x-kept") == ["yes"]
    assert values(seen, "x-hop-too") == ["kept"]
    assert values(seen, "cookie") == ["c=1"]


def test_nothing_is_added_beside(port):
    seen, _ = exchange(port, "Host: a")
    assert sorted(name for name, _ in seen) == ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]


def test_a_client_without_a_host(port):
    seen, _ = exchange(port, version="1.0")
    assert values(seen, "x-forwarded-host") == []
    assert len(values(seen, "host")) == 1


def test_fields_of_the_answer(port):
    _, got = exchange(port, "Host: a")
    assert values(got, "x-own") == ["yes"]
    assert values(got, "set-cookie") == ["a=1", "b=2"]
    assert values(got, "x-inner") == []
    assert "timeout=9" not in values(got, "keep-alive")
