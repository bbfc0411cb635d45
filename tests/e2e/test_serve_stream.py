# SPDX-License-Identifier: Apache-2.0
"""What the page reads besides ARM's resources: who may, what the stream tells and when, and what it never does."""

import http.client
import json
import os
import re
import socket

import pytest

from serving import APPS, FINISHED_RUN as RUN, Serve, app_body, serve_beside_a_run, until

SLEEP = ["/bin/sleep", "1000"]
OPEN = ("/", "/web/main.js", "/web/page.css", "/web/library.js")
CLOSED = ("/oomlab/stream", "/oomlab/runs", f"/oomlab/runs/{RUN}/report.html", "/healthz")


@pytest.fixture(scope="module", name="serve")
def serve_with_runs(tmp_path_factory):
    server = serve_beside_a_run(tmp_path_factory.mktemp("stream"))
    yield server
    server.stop()


def tcp(serve, path, method="GET", host=None, token=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", serve.port(), timeout=30)
    headers["Host"] = host or f"127.0.0.1:{serve.port()}"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, None, headers)
        response = connection.getresponse()
        text = "" if path == "/oomlab/stream" else response.read().decode()
        return response.status, text, response.headers
    finally:
        connection.close()


class Events:
    """A reader of the stream over the unix socket, which holds little that is not read."""

    def __init__(self, serve, last_id=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(serve.socket))
        more = f"Last-Event-ID: {last_id}\r\n" if last_id is not None else ""
        self.socket.sendall(f"GET /oomlab/stream HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, value = line.decode().split(": ", 1)
            self.headers[name.lower()] = value
        self.text = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def next(self):
        """(name, data, id); None when serve has ended it."""
        while b"\n\n" not in self.text:
            size = self.file.readline().strip()
            if size in (b"0", b""):
                return None
            self.text += self.file.read(int(size, 16))
            self.file.readline()
        block, self.text = self.text.split(b"\n\n", 1)
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
        if "data" not in fields:
            return self.next()
        return fields["event"], json.loads(fields["data"]), fields.get("id")

    def until(self, fits, most=2000):
        for _ in range(most):
            event = self.next()
            assert event is not None, "the stream has ended"
            if fits(*event):
                return event
        raise AssertionError(f"not among {most} events")


def named(wanted):
    return lambda name, data, _: name == wanted


def app_event(app, **fields):
    return lambda name, data, _: name == "app" and data["name"] == app and all(data[k] == v for k, v in fields.items())


# --- who may ask ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OPEN)
def test_the_page_itself_needs_no_token_and_has_its_rules(serve, path):
    status, text, headers = tcp(serve, path)
    assert status == 200 and text
    policy = headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'",
                 "form-action 'none'", "frame-ancestors 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert serve.token() not in text
    status, text, _ = tcp(serve, path, **{"If-None-Match": headers["ETag"]})
    assert status == 304 and text == ""
    assert tcp(serve, path, "HEAD")[0] == 200
    assert tcp(serve, path, "POST")[0] == 401


@pytest.mark.parametrize("path", CLOSED)
def test_everything_else_needs_it(serve, path):
    assert tcp(serve, path)[0] == 401
    assert tcp(serve, path, token="wrong")[0] == 401
    assert tcp(serve, path, token=serve.token())[0] == 200


@pytest.mark.parametrize("path", (*OPEN, *CLOSED))
def test_other_hosts_and_origins_are_refused(serve, path):
    assert tcp(serve, path, host="evil.example", token=serve.token())[0] == 421
    assert tcp(serve, path, token=serve.token(), Origin="http://evil.example")[0] == 403


def test_the_token_is_in_files_of_the_owner_alone(serve):
    """Not in what serve writes to the terminal or the journal."""
    log = serve.log.read_text(encoding="utf-8")
    assert f"{serve.directory}/page" in log and serve.token() not in log
    page = serve.directory / "page"
    assert page.stat().st_mode & 0o777 == 0o600
    assert page.read_text(encoding="ascii") == f"http://127.0.0.1:{serve.port()}/#token={serve.token()}\n"


@pytest.mark.parametrize("name", ["..", "../index.html", "%2e%2e", "..%2f..%2ftoken", "nothing.js", ".", ""])
def test_there_are_no_other_files(serve, name):
    assert tcp(serve, f"/web/{name}")[0] in (401, 404)


# --- the stream -----------------------------------------------------------------------------------


def test_it_begins_with_all_and_goes_on_with_changes(serve):
    serve.ask("PUT", f"{APPS}/streamed", app_body(SLEEP, memory="64Mi", env=[("DB_PASSWORD", "very-secret"), ("PLAIN", "x")]))
    with Events(serve) as events:
        assert events.status == 200 and events.headers["content-type"].startswith("text/event-stream")
        name, hello, _ = events.next()
        assert name == "hello" and hello["resumed"] is False and hello["now"] > 1e12
        _, app, _ = events.until(lambda n, d, _: n == "app" and d["name"] == "streamed" and d["revisions"][0]["health"] == "Healthy")
        revision = app["revisions"][0]
        assert {v["name"]: v["value"] for v in revision["env"]} == {"DB_PASSWORD": "[redacted]", "PLAIN": "x"}
        assert revision["memoryBytes"] == 64 << 20 and len(revision["replicas"]) == 1
        _, samples, _ = events.until(lambda n, d, _: n == "samples" and any(s[0] == revision["replicas"][0] for s in d))
        _, at, bytes_, _ = next(s for s in samples if s[0] == revision["replicas"][0])
        assert abs(at - hello["now"]) < 120000 and 0 < bytes_ < 64 << 20
        serve.ask("PATCH", f"{APPS}/streamed", {"properties": {"configuration": {"activeRevisionsMode": "Multiple"}}})
        events.until(app_event("streamed", mode="Multiple"))
        assert serve.ask("POST", f"{APPS}/streamed/revisions/streamed--0000001/restart")[0] == 200
        _, replica, _ = events.until(lambda n, d, _: n == "replica" and d["restarts"] == 1)
        assert replica["lastEnd"]["cause"] == "killed-by-platform" and replica["lastEnd"]["level"]
        serve.ask("DELETE", f"{APPS}/streamed")
        events.until(lambda n, d, _: n == "apps" and app["id"] not in d["apps"])


def test_who_comes_back_misses_no_row_of_the_log(serve):
    serve.ask("PUT", f"{APPS}/logged", app_body(SLEEP, memory="64Mi"))
    with Events(serve) as events:
        _, _, last = events.until(lambda n, d, _: n == "log" and d["ContainerAppName"] == "logged" and d["Reason"] == "ContainerStarted")
    for _ in range(5):
        serve.ask("PATCH", f"{APPS}/logged", {"tags": {"a": "b"}})
    with Events(serve, last) as events:
        assert events.next()[1]["resumed"] is True
        rows = []
        while len([r for r in rows if r[1]["Reason"] == "RevisionUpdate" and "No new revision" in r[1]["Msg"]]) < 5:
            rows.append(events.until(named("log")))
        numbers = [int(row[2]) for row in rows]
        assert numbers[0] > int(last) and numbers == sorted(set(numbers))
    for wrong in ("x", "-1", str(int(last) + 1000000), ""):
        with Events(serve, wrong) as events:
            assert events.next()[1]["resumed"] is False
    serve.ask("DELETE", f"{APPS}/logged")


def test_who_reads_slowly_gets_the_latest_and_not_all(serve):
    """Nothing is kept for a reader: of six versions of a large app one that does not read gets the one that it began with
    and the last one, while another reader gets all."""
    large = [(f"BIG{i}", "x" * 50000) for i in range(12)]
    status, value, _ = serve.ask("PUT", f"{APPS}/large", app_body(SLEEP, memory="64Mi", env=large))
    assert status == 201, value
    with Events(serve) as quick, Events(serve) as slow:
        quick.until(lambda n, d, _: n == "app" and d["name"] == "large" and d["revisions"][0]["health"] == "Healthy")
        for i in range(6):
            mode = ("Multiple", "Single")[i % 2]
            assert serve.ask("PATCH", f"{APPS}/large", {"properties": {"configuration": {"activeRevisionsMode": mode}}})[0] == 200
            quick.until(app_event("large", mode=mode))
        serve.ask("PATCH", f"{APPS}/large", {"properties": {"configuration": {"activeRevisionsMode": "Multiple"}}})
        serve.ask("PATCH", f"{APPS}/large", {"tags": {"the": "end"}})
        _, _, last = quick.until(lambda n, d, _: n == "log" and d["ContainerAppName"] == "large")
        got = []
        while not got or got[-1] != "Multiple":
            got.append(slow.until(app_event("large"))[1]["mode"])
        assert len(got) <= 3, got
        assert last
    serve.ask("DELETE", f"{APPS}/large")


def test_there_are_so_many_streams_and_no_more(serve):
    with Events(serve):
        streams = []
        try:
            while len(streams) < 20 and (not streams or streams[-1].status == 200):
                streams.append(Events(serve))
            assert streams[-1].status == 429 and 5 <= len(streams) <= 8
            assert serve.get("/healthz") == "ok\n"
        finally:
            for stream in streams:
                stream.__exit__()

    def accepted():
        with Events(serve) as again:
            return again.status == 200
    until(accepted, "closed streams make room")


def test_they_end_with_serve(tmp_path):
    server = Serve(tmp_path / "serve").start()
    with Events(server) as events:
        assert events.next()[0] == "hello"
        server.stop()
        while events.next() is not None:
            pass


# --- finished runs --------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_in_pages(serve):
    made = []
    try:
        for i in range(25):
            made.append(serve.runs / f"20261126-1010{i:02}-old-0000")
            made[-1].mkdir()
        (serve.runs / "no-run").mkdir()
        made.append(serve.runs / "no-run")
        page = serve.get("/oomlab/runs")
        assert [run["id"] for run in page["value"]][:2] == [RUN, "20261126-101024-old-0000"] and len(page["value"]) == 20
        assert page["value"][0]["verdict"]["class"] == "leak" and page["value"][0]["hasReport"]
        assert page["value"][1] == {"id": "20261126-101024-old-0000", "state": "incomplete", "lab": None, "startedAt": None,
                                    "durationSeconds": None, "hasReport": False, "verdict": None}
        rest = serve.get(f"/oomlab/runs?before={page['next']}")
        assert len(rest["value"]) == 6 and rest["next"] is None
    finally:
        for path in made:
            path.rmdir()


@pytest.mark.parametrize("name", ["..", "%2e%2e", "..%2f..%2fserve", "no-run", RUN + "x", "%2fetc", "20261127-101010-", "a" * 200])
def test_runs_that_are_none(serve, name):
    for path in (f"/oomlab/runs/{name}/report.html", f"/oomlab/reports/{name}"):
        assert serve.ask("GET", path)[0] == 404
    assert serve.ask("POST", f"/oomlab/runs/{name}/ticket")[0] == 404


def test_links_lead_nowhere(serve, tmp_path):
    """Neither a run that is a link, nor a report or a result that is one, nor a fifo."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "report.html").write_text("outside", encoding="ascii")
    (outside / "result.json").write_text('{"verdict": {"class": "outside"}, "run": {"lab": "outside"}}', encoding="ascii")
    whole, part, fifo = (serve.runs / f"20261125-10101{i}-odd-0000" for i in range(3))
    whole.symlink_to(outside)
    part.mkdir()
    fifo.mkdir()
    (part / "report.html").symlink_to(outside / "report.html")
    (part / "result.json").symlink_to(outside / "result.json")
    os.mkfifo(fifo / "report.html")
    os.mkfifo(fifo / "result.json")
    try:
        listed = serve.get("/oomlab/runs")["value"]
        assert {run["id"] for run in listed} == {RUN, part.name, fifo.name}
        assert "outside" not in json.dumps(listed)
        for run in (whole, part, fifo):
            assert serve.ask("GET", f"/oomlab/runs/{run.name}/report.html")[0] == 404
            assert serve.ask("POST", f"/oomlab/runs/{run.name}/ticket")[0] == 404
    finally:
        whole.unlink()
        for run in (part, fifo):
            for file in run.iterdir():
                file.unlink()
            run.rmdir()


def test_a_report_by_a_ticket_that_is_good_once(serve):
    status, _, headers = tcp(serve, f"/oomlab/runs/{RUN}/report.html", token=serve.token())
    assert status == 200 and re.search(r"(^|; )sandbox$", headers["Content-Security-Policy"])
    assert "default-src 'none'" in headers["Content-Security-Policy"] and "script" not in headers["Content-Security-Policy"]
    assert tcp(serve, f"/oomlab/runs/{RUN}/ticket", "POST")[0] == 401
    status, text, _ = tcp(serve, f"/oomlab/runs/{RUN}/ticket", "POST", token=serve.token())
    path = json.loads(text)["path"]
    assert status == 201 and re.fullmatch("/oomlab/reports/[0-9a-f]{64}", path)
    assert tcp(serve, path, host="evil.example")[0] == 421
    assert tcp(serve, path[:-1] + ("0" if path[-1] != "0" else "1"))[0] == 404
    status, text, _ = tcp(serve, path)
    assert status == 200 and text == (serve.runs / RUN / "report.html").read_text(encoding="utf-8")
    assert tcp(serve, path)[0] == 404
    paths = [json.loads(tcp(serve, f"/oomlab/runs/{RUN}/ticket", "POST", token=serve.token())[1])["path"] for _ in range(17)]
    assert tcp(serve, paths[0])[0] == 404 and tcp(serve, paths[1])[0] == 200
