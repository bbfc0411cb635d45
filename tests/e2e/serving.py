# SPDX-License-Identifier: Apache-2.0
"""A running oomlab serve for tests, and how to ask it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import make_run, mounts, oomlab_binary

SUBSCRIPTION = "/subscriptions/sub"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg"
APPS = f"{GROUP}/providers/Microsoft.App/containerApps"
ENVIRONMENT = f"{GROUP}/providers/Microsoft.App/managedEnvironments/env"
FINISHED_RUN = "20261127-101010-lab-ab12"
VERSION = "api-version=2022-10-01"
BUSYBOX = Path("/bin/busybox")
WAIT = "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"  # for busybox's sh


def until(check, what, seconds=30):
    """Wait for a truthy result; a deadline, not a pause, decides about failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Serve:
    """One state directory, served by one process at a time."""

    def __init__(self, directory: Path, *options, prefix=()):
        self.directory = directory
        self.socket = directory / "socket"
        self.options = options
        self.prefix = prefix  # a command that runs serve
        self.process = None
        self.ended = False  # by the test
        self.log = directory.parent / "serve.log"

    def start(self):
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*self.prefix, oomlab_binary(), "serve", "--state", str(self.directory), "--backoff", "fast", *self.options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.ended = False
        until(self.is_up, f"serve is up:\n{self.log.read_text(encoding='utf-8')}")
        return self

    def is_up(self):
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        with contextlib.suppress(OSError):
            return self.ask("GET", "/healthz")[0] == 200
        return False

    def stop(self):
        self.ended = True
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.log.read_text(encoding="utf-8")

    def kill(self):
        self.ended = True
        self.process.kill()
        self.process.wait(30)

    def port(self):
        text = self.log.read_text(encoding="utf-8")
        return int(text.rsplit("http://127.0.0.1:", 1)[1].split(",")[0])

    def token(self):
        return (self.directory / "token").read_text(encoding="ascii")

    def ask(self, method, path, body=None, headers=()):
        """Over the unix socket: status, JSON (or text), headers."""
        connection = UnixConnection(self.socket)
        data = json.dumps(body) if body is not None else None
        if path.startswith(SUBSCRIPTION) and "api-version" not in path:
            path += ("&" if "?" in path else "?") + VERSION
        try:
            connection.request(method, path, data, dict(headers))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        return response.status, value, response.headers

    def get(self, path):
        status, value, _ = self.ask("GET", path)
        assert status == 200, (path, status, value)
        return value

    def prepare(self):
        """The group and the environment."""
        assert self.ask("PUT", GROUP, {"location": "local"})[0] in (200, 201)
        assert self.ask("PUT", ENVIRONMENT, {"location": "local"})[0] in (200, 201)

    def operation(self, headers):
        """Wait for the operation of an answer; its last state."""
        url = headers["Azure-AsyncOperation"]
        path = url[url.index("/subscriptions"):]
        return until(lambda: (o := self.get(path))["status"] != "InProgress" and o, "the operation ends")

    def az(self, *arguments, **more):
        env = {**os.environ, "OOMLAB_SERVER": str(self.socket)}
        more.setdefault("timeout", 120)
        return subprocess.run([oomlab_binary(), *arguments], env=env, capture_output=True, text=True, check=False,
                              **more)


def app_body(command=None, image="host", cpu=0.25, memory="0.5Gi", env=(), port=None, **scale):
    container = {"name": "main", "image": image, "resources": {"cpu": cpu, "memory": memory},
                 "env": [{"name": k, "value": v} for k, v in env]}
    if command:
        container["command"] = list(command)
    configuration = {"activeRevisionsMode": "Single"}
    if port:
        configuration["ingress"] = {"external": True, "targetPort": port}
    return {"location": "local", "properties": {
        "managedEnvironmentId": ENVIRONMENT, "configuration": configuration,
        "template": {"containers": [container], "terminationGracePeriodSeconds": 2, "scale": {"minReplicas": 1, "maxReplicas": 1, **scale}}}}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def missing(what):
    """A program or a library of somebody else is not there."""
    if os.environ.get("OOMLAB_MUST_WORK"):
        raise FileNotFoundError(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


# For a program with Azure's SDK: who it is, by serve's `token`.
AZURE_LOGIN = '''
from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy

class Credential:
    def get_token(self, *scopes, **more):
        return AccessToken(token, 2**40)

class Authorize(SansIOHTTPPolicy):
    def on_request(self, request):
        request.http_request.headers["Authorization"] = "Bearer " + token
'''


@contextlib.contextmanager
def running(directory, *arguments):
    """Started, with the group and the environment; stopped in the end, where the test has not ended it. One that ended by
    itself is a failure."""
    server = Serve(directory, *arguments).start()
    server.prepare()
    yield server
    if not server.ended:
        server.stop()


@contextlib.contextmanager
def serve_images(directory):
    """A serve whose containers have root file systems of their own: none of their mounts may stay."""
    before = mounts()
    with running(directory, "--allow-any-size") as server:
        yield server
    assert mounts() == before


def serve_beside_a_run(place):
    """Started and prepared, on TCP, with a finished run in its user's state; `runs` is the directory of those."""
    run = place / "state" / "oomlab" / "runs" / FINISHED_RUN
    run.mkdir(parents=True)
    subprocess.run([make_run(), "lab", run], check=True, capture_output=True)
    server = Serve(place / "serve", "--tcp", "--allow-any-size", prefix=("env", f"XDG_STATE_HOME={place / 'state'}"))
    server.runs = run.parent
    server.start()
    server.prepare()
    return server
