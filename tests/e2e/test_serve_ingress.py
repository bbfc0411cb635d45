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
        for field in (("Content-Length", str(len(text))), ("X-Own", "yes"), ("X-Target", self.path), ("Connection", "X-Inner, keep-alive"),
                      ("X-Inner", "no"), ("Keep-Alive", "timeout=9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")):
            self.send_header(*field)
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(text)
    do_OPTIONS = do_GET
    def do_HEAD(self):
        if "?" not in self.path: return self.do_GET()
        self.send_response(int(self.path.split("?")[1])); self.send_header("X-Own", "yes"); self.end_headers()
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


def ask(port, method, target, version="1.1"):
    """The answer's fields and body to a request line that no library has looked at."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"{method} {target} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = connection.makefile("rb").read().decode("latin-1")
    head, _, text = answer.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return int(status.split()[1]), [tuple(part.strip() for part in line.lower().split(":", 1)) for line in lines], text


@pytest.mark.parametrize("target", [
    "/", "/a%2Fb", "/a%2fb", "/?%zz", "/%", "/a%20b", "/a+b?c+d=%2B", "/..//./%2e%2e/x", "/?", "/?a&b=&=c&a", "/x?y?z#w",
    "/\xe4", "/[a]|{b}^`\"<>\\", "/?q=%00&r", "/%00x"])
def test_the_target_is_the_clients_own(port, target):
    status, fields, _ = ask(port, "GET", target)
    assert (status, values(fields, "x-target")) == (200, [target.lower()])


def test_a_proxys_form_of_the_target(port):
    assert values(ask(port, "GET", "http://a:80/x%2Fy?z")[1], "x-target") == ["/x%2fy?z"]
    assert values(ask(port, "GET", "http://a?z")[1], "x-target") == ["/?z"]
    assert values(ask(port, "GET", "http://a")[1], "x-target") == ["/"]


@pytest.mark.parametrize("target", ["/a b", "/a\tb", "a", "@a/", "**"])
def test_targets_that_are_none(port, target):
    assert ask(port, "GET", target)[0] == 400


def test_the_target_of_options(port):
    assert ask(port, "OPTIONS", "*")[1].count(("x-target", "*")) == 1


def test_head_tells_the_length_that_the_app_tells(port):
    status, fields, text = ask(port, "HEAD", "/a")
    told = values(fields, "content-length")
    assert (status, text, len(told)) == (200, "", 1)
    # The fields that the app echoes are the same for GET.
    assert told == values(ask(port, "GET", "/a")[1], "content-length") and int(told[0]) > 0


@pytest.mark.parametrize("status", [200, 204, 304, 404])
def test_head_without_a_length(port, status):
    told, fields, text = ask(port, "HEAD", f"/?{status}")
    assert (told, text, values(fields, "x-own"), values(fields, "content-length")) == (status, "", ["yes"], [])


def test_after_a_head_the_connection_goes_on(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").read().decode("latin-1")
    first, _, rest = answer.partition("\r\n\r\n")
    assert "x-target: /a" in first.lower()
    assert rest.startswith("HTTP/1.1 200 ") and "x-target: /b" in rest.lower()
