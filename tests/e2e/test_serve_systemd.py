# SPDX-License-Identifier: Apache-2.0
"""serve --systemd: what it tells its manager, and a socket that the manager made."""

import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess

import pytest
from conftest import oomlab_binary
from serving import APPS, Serve, app_body, missing, until

LISTENER = "/usr/bin/systemd-socket-activate"
SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"]


class Manager:
    """The receiving end of sd_notify(3)."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(str(path))
        self.socket.settimeout(60)

    def hear(self):
        """A message, and the pid that the kernel says has sent it."""
        data, ancillary, _, _ = self.socket.recvmsg(4096, 256)
        pid = next(int.from_bytes(value[:4], "little") for _, kind, value in ancillary
                   if kind == socket.SCM_CREDENTIALS)
        return data.decode(), pid


@pytest.fixture
def manager(tmp_path):
    with_socket = Manager(tmp_path / "notify")
    yield with_socket
    with_socket.socket.close()


def start(tmp_path, manager, *command):
    log = (tmp_path / "serve.log").open("a", encoding="utf-8")
    with log:
        return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                env={**os.environ, "NOTIFY_SOCKET": str(manager.path)})


def serve_command(tmp_path):
    return [oomlab_binary(), "serve", "--systemd", "--state", str(tmp_path / "serve"), "--backoff", "fast"]


def client(tmp_path):
    """Asks; it has started nothing."""
    return Serve(tmp_path / "serve")


def end(process, manager, tmp_path):
    process.send_signal(signal.SIGTERM)
    assert manager.hear() == ("STOPPING=1", process.pid)
    assert process.wait(60) == 0, (tmp_path / "serve.log").read_text(encoding="utf-8")


def test_ready_is_told_when_it_answers_and_stopping_when_it_stops(tmp_path, manager, no_leftovers):
    process = start(tmp_path, manager, *serve_command(tmp_path))
    try:
        assert manager.hear() == ("READY=1", process.pid)
        assert client(tmp_path).ask("GET", "/readyz")[0] == 200
        end(process, manager, tmp_path)
    finally:
        process.kill()
        process.wait()


def test_a_failed_start_is_never_ready(tmp_path, manager):
    path = tmp_path / "precious"
    path.write_text("kept")
    process = start(tmp_path, manager, *serve_command(tmp_path), "--socket", str(path))
    assert process.wait(60) == 2
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.hear()


def test_containers_cannot_speak_to_the_manager(tmp_path, manager, no_leftovers):
    process = start(tmp_path, manager, *serve_command(tmp_path))
    try:
        assert manager.hear()[0] == "READY=1"
        serve = client(tmp_path)
        serve.prepare()
        said = tmp_path / "environment"
        status, _, headers = serve.ask("PUT", f"{APPS}/env", app_body(
            ["/bin/sh", "-c", f"env >{said}.new; mv {said}.new {said}; " + SLEEP[2]]))
        assert status == 201
        serve.operation(headers)
        until(said.exists, "the environment is written")
        names = {line.split("=")[0] for line in said.read_text(encoding="utf-8").splitlines()}
        assert "PORT" in names
        assert not names & {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}
        end(process, manager, tmp_path)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def activated(tmp_path, manager, no_leftovers):
    """systemd's own program makes the socket and starts serve at the first connection."""
    if not shutil.which(LISTENER):
        missing("systemd-socket-activate (package systemd)")
    path = tmp_path / "made-by-systemd"
    process = start(tmp_path, manager, LISTENER, f"--listen={path}", "--setenv=NOTIFY_SOCKET", *serve_command(tmp_path))
    serve = client(tmp_path)
    serve.socket = path
    log = tmp_path / "serve.log"
    until(lambda: "Listening on" in log.read_text(encoding="utf-8"), "systemd listens")
    yield process, serve
    process.kill()
    process.wait()


def test_a_socket_of_systemd_is_taken(tmp_path, manager, activated):
    process, serve = activated
    assert not (tmp_path / "serve").exists()  # nothing runs before somebody asks
    assert serve.get("/healthz") == "ok\n"  # the first question starts it, waits in the socket, and is answered
    assert manager.hear() == ("READY=1", process.pid)
    serve.prepare()
    assert serve.get(APPS)["value"] == []
    assert not (tmp_path / "serve/socket").exists()
    assert "serving on systemd's socket" in (tmp_path / "serve.log").read_text(encoding="utf-8")
    end(process, manager, tmp_path)
    assert stat.S_ISSOCK(serve.socket.stat().st_mode)  # it is systemd's: it stays


def test_state_outlives_the_activation(tmp_path, manager, activated):
    process, serve = activated
    assert serve.get("/healthz") == "ok\n"
    assert manager.hear()[0] == "READY=1"
    serve.prepare()
    end(process, manager, tmp_path)
    again = start(tmp_path, manager, *serve_command(tmp_path))
    try:
        assert manager.hear() == ("READY=1", again.pid)
        assert json.dumps(client(tmp_path).get("/subscriptions/sub/resourceGroups/rg")).count('"rg"') >= 1
        end(again, manager, tmp_path)
    finally:
        again.kill()
        again.wait()


def test_a_socket_of_another_kind_is_refused(tmp_path, manager):
    if not shutil.which(LISTENER):
        missing("systemd-socket-activate (package systemd)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(tmp_path, manager, LISTENER, f"--listen=127.0.0.1:{port}", *serve_command(tmp_path))

    def knock():
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=30).connect()
        except ConnectionRefusedError:
            return False
        return True

    try:
        until(knock, "systemd listens")
        assert process.wait(60) == 2
        assert "no unix stream socket" in (tmp_path / "serve.log").read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
