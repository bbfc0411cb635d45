# SPDX-License-Identifier: Apache-2.0
"""Who may ask oomlab serve, and what it takes: everything else is refused, told, and has no effect."""

import http.client
import os
import socket
import subprocess
import time

import pytest
from conftest import oomlab_binary
from serving import APPS, GROUP, Serve, app_body, until

SLEEP = ["/bin/sleep", "1000"]


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    server = Serve(tmp_path_factory.mktemp("security") / "serve", "--tcp")
    server.start()
    server.prepare()
    yield server
    server.stop()


def tcp(serve, path="/healthz", method="GET", host=None, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", serve.port(), timeout=30)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers["Host"] = host or f"127.0.0.1:{serve.port()}"
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def bearer(serve):
    return f"Bearer {serve.token()}"


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic {}", "Bearer {}x", "Bearer x{}"])
def test_without_the_token_there_is_no_answer(serve, token):
    more = {} if token is None else {"Authorization": token.format(serve.token())}
    for path in ("/healthz", "/metrics", f"{APPS}?api-version=2022-10-01", "/nothing"):
        assert tcp(serve, path, **more) == 401
    assert tcp(serve, f"{GROUP}x?api-version=2022-10-01", "PUT", body="{}", **more) == 401
    assert serve.ask("GET", f"{GROUP}x")[0] == 404
    until(lambda: "refused: PUT" in serve.log.read_text(encoding="utf-8"), "the refusal is logged")


def test_with_the_token(serve):
    assert tcp(serve, Authorization=bearer(serve)) == 200
    assert tcp(serve, host=f"localhost:{serve.port()}", Authorization=bearer(serve)) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", "[::1]:{port}"])
def test_foreign_host(serve, host):
    assert tcp(serve, host=host.format(port=serve.port()), Authorization=bearer(serve)) == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
def test_foreign_origin(serve, origin):
    origin = origin.format(port=serve.port())
    assert tcp(serve, Authorization=bearer(serve), Origin=origin) == 403
    assert serve.ask("GET", "/healthz", headers={"Origin": origin})[0] == 403


def test_own_origin(serve):
    assert tcp(serve, Authorization=bearer(serve), Origin=f"http://127.0.0.1:{serve.port()}") == 200


def test_only_loopback(serve):
    lines = open("/proc/net/tcp", encoding="ascii").read().splitlines()
    local = [line.split()[1] for line in lines[1:] if line.split()[3] == "0A"]
    assert [a for a in local if int(a.split(":")[1], 16) == serve.port()] == [f"0100007F:{serve.port():04X}"]


@pytest.mark.parametrize("name", ["..", ".", "a/../../etc", "%2e%2e", "%2fetc", "..%2f..", "a%00b", "a%0ab", "A" * 129, "-",
                                  "a b", "a;b", "Upper", "a--b", "ä"])
def test_names_that_are_none(serve, name):
    status, _, _ = serve.ask("PUT", f"{APPS}/{name}".replace("ä", "%c3%a4").replace(" ", "%20"), app_body(SLEEP))
    assert status in (400, 404, 405)
    assert serve.get(APPS)["value"] == []


@pytest.mark.parametrize("image", ["dir:/etc/../root", "oci:../../x", "../../etc/passwd", "host/../x", "x" * 5000])
def test_images_that_are_none(serve, image):
    status, value, _ = serve.ask("PUT", f"{APPS}/image", app_body(SLEEP, image=image))
    assert status == 400, value
    assert serve.get(APPS)["value"] == []


@pytest.mark.parametrize("suffix", ["../x", "a/b", "UP", "-a", "a-", "a--b", "x" * 60])
def test_suffixes_that_are_none(serve, suffix):
    body = app_body(SLEEP)
    body["properties"]["template"]["revisionSuffix"] = suffix
    assert serve.ask("PUT", f"{APPS}/suffix", body)[0] == 400
    assert serve.get(APPS)["value"] == []


def test_bodies_that_are_none(serve):
    for data in ("{", "[1", '{"a": 1, "a": 2}', "\x00", "[" * 100000):
        assert tcp(serve, f"{APPS}/body?api-version=2022-10-01", "PUT", body=data, Authorization=bearer(serve)) == 400
    for data in ("[]", "1", "null", '{"properties": 7}', '{"properties": {"template": []}}',
                 '{"properties": {"template": {"containers": [[]]}}}'):
        assert tcp(serve, f"{APPS}/body?api-version=2022-10-01", "PUT", body=data, Authorization=bearer(serve)) == 400
    assert serve.get(APPS)["value"] == []


def test_a_body_that_is_too_large(serve):
    body = '{"a": "' + "x" * (2 << 20) + '"}'
    assert tcp(serve, f"{APPS}/large?api-version=2022-10-01", "PUT", body=body, Authorization=bearer(serve)) == 413
    assert serve.get("/healthz") == "ok\n"


def test_headers_that_are_too_large(serve):
    assert tcp(serve, Authorization=bearer(serve), X_Large="x" * 200000) in (431, 413, 400)
    assert serve.get("/healthz") == "ok\n"


def test_slow_senders_are_cut_off_and_hold_nobody_up(serve):
    """A byte now and then: the connection is closed after 20 s, and others are answered meanwhile."""
    slow = socket.create_connection(("127.0.0.1", serve.port()), timeout=60)
    slow.sendall(f"PUT {APPS}/slow?api-version=2022-10-01 HTTP/1.1\r\nHost: 127.0.0.1:{serve.port()}\r\n"
                 f"Authorization: {bearer(serve)}\r\nContent-Length: 1000\r\n\r\n".encode())
    slow.settimeout(0.5)
    end = time.monotonic() + 40
    closed = False
    while not closed and time.monotonic() < end:
        try:
            slow.sendall(b"{")
            closed = slow.recv(4096) == b""
        except TimeoutError:
            pass
        except OSError:
            closed = True
        assert serve.get("/healthz") == "ok\n"
    slow.close()
    assert closed
    assert serve.get(APPS)["value"] == []


@pytest.mark.parametrize("how", ["by the client", "by serve"])
def test_more_connections_than_there_may_be_hold_nobody_up_for_long(serve, how):
    """With those that wait to be accepted: whatever is free again is used."""
    flood = []
    for _ in range(600):
        connection = socket.socket()
        connection.settimeout(5)  # a SYN that found the backlog full is sent again after 1 and 3 s
        flood.append(connection)
        try:
            connection.connect(("127.0.0.1", serve.port()))
        except TimeoutError:
            break  # no more can even wait
    assert len(flood) > 300
    assert serve.ask("GET", GROUP)[0] == 200  # the socket is another listener's
    if how == "by serve":
        for connection in flood[:100]:
            connection.settimeout(60)
            assert connection.recv(1) == b""  # it said nothing for too long
    for connection in flood:
        connection.close()
    assert tcp(serve, Authorization=bearer(serve)) == 200
    assert tcp(serve, Authorization=bearer(serve)) == 200


def test_another_users_connection(serve):
    if os.geteuid() != 0:
        pytest.skip("another user can only be tried as root")
    script = ("import os,socket,sys; os.setgid(65534); os.setuid(65534)\n"
              "s=socket.socket(socket.AF_UNIX)\n"
              f"s.connect({str(serve.socket)!r})\n")
    done = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr


def test_a_file_in_the_sockets_place_is_kept(tmp_path):
    path = tmp_path / "precious"
    path.write_text("kept")
    done = subprocess.run([oomlab_binary(), "serve", "--state", tmp_path / "s", "--socket", path], capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "is no socket" in done.stderr
    assert path.read_text() == "kept"


@pytest.mark.parametrize("name", ["../../../../../resourceGroups/victim", "../containerApps/kept", "kept/revisions",
                                  "kept?api-version=2022-03-01#", "%6bept", "kept%2Frevisions", "..", ".", "a b", "x'; drop",
                                  "ünïcode", "k" * 300])
def test_the_client_reaches_nothing_but_what_is_named(serve, name):
    """A name is one segment of a path, whatever stands in it: nothing else is shown, changed or deleted."""
    serve.az("group", "create", "--name", "victim", "--location", "local")
    status, value, _ = serve.ask("PUT", f"{APPS}/kept", app_body(SLEEP))
    assert status in (200, 201), value
    group = ("--resource-group", "rg")
    for words in (("containerapp", "show"), ("containerapp", "delete", "--yes"), ("containerapp", "env", "show"),
                  ("containerapp", "env", "delete", "--yes"), ("containerapp", "revision", "list")):
        done = serve.az(*words, "--name", name, *group)
        assert done.returncode in (1, 2, 3), (words, done.stdout)
        assert "no answer" not in done.stderr
    done = serve.az("containerapp", "revision", "show", "--name", "kept", "--revision", name, *group)
    assert done.returncode in (1, 2, 3), done.stdout
    done = serve.az("group", "delete", "--yes", "--name", name)
    assert done.returncode in (1, 2, 3), done.stdout
    groups = [group["name"] for group in serve.get(f"{GROUP.rsplit('/', 1)[0]}")["value"]]
    assert {"victim", "rg"} <= set(groups)
    assert serve.get(f"{APPS}/kept")["name"] == "kept"


def test_a_nul_in_a_path_ends_no_name(serve):
    groups = GROUP.rsplit("/", 1)[0]
    assert serve.ask("PUT", f"{groups}/other", {"location": "local"})[0] in (200, 201)
    assert serve.ask("DELETE", f"{groups}/other%00x")[0] in (400, 404)
    assert serve.ask("PUT", f"{groups}/made%00x", {"location": "local"})[0] in (400, 404)
    assert {"other"} <= {group["name"] for group in serve.get(groups)["value"]}
    assert "made" not in {group["name"] for group in serve.get(groups)["value"]}


@pytest.mark.parametrize("change, named", [
    ({"configuration": {"secrets": [{"name": "s", "value": "top-secret"}]}}, "configuration.secrets"),
    ({"configuration": {"registries": [{"server": "x"}]}}, "configuration.registries"),
    ({"configuration": {"dapr": {"enabled": True}}}, "configuration.dapr"),
    ({"configuration": {"activeRevisionsMode": "Triple"}}, "activeRevisionsMode"),
    ({"template": {"volumes": [{"name": "v"}]}}, "template.volumes"),
    ({"template": {"scale": {"rules": [{"name": "r"}]}}}, "template.scale.rules"),
    ({"template": {"scale": {"minReplicas": "two"}}}, "minReplicas"),
    ({"template": {"scale": {"minReplicas": 1.5}}}, "minReplicas")])
def test_what_would_have_no_effect_is_refused_by_name(serve, change, named):
    body = app_body(SLEEP)
    for part, value in change.items():
        body["properties"].setdefault(part, {}).update(value)
    status, value, _ = serve.ask("PUT", f"{APPS}/refused", body)
    assert status == 400 and named in value["error"]["message"], value
    assert serve.ask("GET", f"{APPS}/refused")[0] == 404


@pytest.mark.parametrize("value", ["garbage", "bogus eq 'x'", "revisionName ne 'x'", "revisionName eq 'a' or revisionName eq 'b'",
                                   "revisionName eq 'a' and", "revisionName eq 'a'b"])
def test_filters_that_are_not_understood_are_refused(serve, value):
    serve.ask("PUT", f"{APPS}/kept", app_body(SLEEP))
    done = serve.az("monitor", "metrics", "list", "--resource", "kept", "--resource-group", "rg", "--metric",
                    "WorkingSetBytes", "--filter", value)
    assert done.returncode == 1 and "filter" in done.stderr, (done.stdout, done.stderr)


def test_a_secret_reference_is_no_value(serve):
    done = serve.az("containerapp", "create", "--name", "secret", "--resource-group", "rg", "--environment", "env", "--image",
                    "host", "--command", "/bin/sleep", "1000", "--env-vars", "A=secretref:b")
    assert done.returncode == 1 and "secretRef is not supported" in done.stderr, done.stderr


def test_a_full_disk_ends_serve(tmp_path, no_leftovers):
    """The containers are killed, and serve ends with an error instead of waiting for what cannot be written."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", disk], check=True)
    try:
        server = Serve(disk / "serve", "--allow-any-size")
        server.log = tmp_path / "serve.log"
        server.start()
        server.prepare()
        server.ask("PUT", f"{APPS}/noisy", app_body(["/bin/sh", "-c", "while :; do echo 0123456789012345678901234567890123456789; done"]))
        assert server.process.wait(90) == 1
    finally:
        server.kill()
        subprocess.run(["umount", disk], check=True)
    assert "cannot be written any more" in server.log.read_text(encoding="utf-8")
