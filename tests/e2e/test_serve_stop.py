# SPDX-License-Identifier: Apache-2.0
"""How containers begin and end: many at once while others are answered, a stop right after the start, and processes that a
command has left behind."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from serving import APPS, VERSION, WAIT, Serve, app_body, until

MANY = 100


@pytest.fixture
def serve(tmp_path, no_leftovers):
    server = Serve(tmp_path / "serve", "--allow-any-size", "--max-memory", "100Gi").start()
    server.prepare()
    yield server
    if server.process.poll() is not None:
        return
    try:
        server.stop()
    except subprocess.TimeoutExpired:  # a signal was lost, and the grace is long
        server.kill()
        raise


def create(serve, name, body):
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", body)
    assert status == 201, value
    return headers


def replicas(serve, name):
    return serve.get(f"{APPS}/{name}/revisions/{name}--0000001/replicas?$top=1000")["value"]


# --- many replicas -----------------------------------------------------------------------------


def read_answer(stream):
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline().strip()):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, json.loads(stream.read(length))


def test_requests_are_answered_while_many_replicas_start(serve):
    """The order of events tells: what comes behind the PUT on the same connection is answered before all are there."""
    body = json.dumps(app_body(["/bin/sh", "-c", WAIT], memory="16Mi", minReplicas=MANY, maxReplicas=MANY)).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(serve.socket))
        connection.sendall(f"PUT {APPS}/many?{VERSION} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
                           .encode() + body +
                           f"GET {APPS}/many/revisions/many--0000001?{VERSION} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        stream = connection.makefile("rb")
        status, app = read_answer(stream)
        assert (status, app["properties"]["provisioningState"]) == (201, "InProgress")
        status, revision = read_answer(stream)
    assert status == 200
    assert 1 <= revision["properties"]["replicas"] < MANY
    assert revision["properties"]["runningState"] == "Processing"
    until(lambda: serve.get(f"{APPS}/many")["properties"]["provisioningState"] == "Succeeded", "all are there", 120)
    assert len(replicas(serve, "many")) == MANY
    assert serve.get(f"{APPS}/many/revisions/many--0000001")["properties"]["healthState"] == "Healthy"


def test_a_delete_in_the_middle_of_a_start(serve):
    headers = create(serve, "many", app_body(["/bin/sh", "-c", WAIT], memory="16Mi", minReplicas=MANY, maxReplicas=MANY))
    status, _, deleted = serve.ask("DELETE", f"{APPS}/many")
    assert status == 202
    assert serve.operation(deleted)["status"] == "Succeeded"
    assert serve.operation(headers)["status"] != "InProgress"
    assert serve.ask("GET", f"{APPS}/many")[0] == 404


def test_serve_stops_in_the_middle_of_a_start(serve):
    create(serve, "many", app_body(["/bin/sh", "-c", WAIT], memory="16Mi", minReplicas=MANY, maxReplicas=MANY))
    serve.stop()
    serve.start()
    until(lambda: len(replicas(serve, "many")) == MANY, "the next serve starts all", 120)


def test_what_is_still_to_be_started_counts(tmp_path, no_leftovers):
    own = Serve(tmp_path / "serve", "--allow-any-size", "--max-replicas", "60", "--max-memory", "100Gi").start()
    own.prepare()
    body = app_body(["/bin/sh", "-c", WAIT], memory="16Mi", minReplicas=40, maxReplicas=40)
    create(own, "first", body)
    status, value, _ = own.ask("PUT", f"{APPS}/second", body)
    assert (status, value["error"]["code"]) == (409, "LocalCapacityExceeded")
    assert "40 replicas run and 40 more are wanted" in value["error"]["message"]
    own.stop()


# --- a stop right after the start ----------------------------------------------------------------


def test_a_stop_before_the_handler_is_there(serve, tmp_path):
    """The kernel drops SIGTERM for a first process that does not handle it yet: it comes once it does, and once."""
    go, ready, terms = tmp_path / "go", tmp_path / "ready", tmp_path / "terms"
    script = f"until [ -e {go} ]; do sleep 0.02; done; trap 'echo x >> {terms}; exit 0' TERM; touch {ready}; {WAIT[WAIT.index('while'):]}"
    body = app_body(["/bin/sh", "-c", script])
    body["properties"]["template"]["terminationGracePeriodSeconds"] = 600
    serve.operation(create(serve, "late", body))
    status, _, headers = serve.ask("DELETE", f"{APPS}/late")
    assert status == 202
    assert not terms.exists()
    go.touch()
    assert serve.operation(headers)["status"] == "Succeeded"  # long before the grace is over
    assert ready.exists()
    assert terms.read_text() == "x\n"


WAITERS = {
    "a signalfd": "import ctypes, os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); "
                  "fd = ctypes.CDLL(None).signalfd(-1, (ctypes.c_ulong * 16)(1 << 14), 0); os.read(fd, 128)",
    "sigwait": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); signal.sigwait({signal.SIGTERM})",
    "an init's loop": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
                      "while not signal.sigtimedwait({signal.SIGTERM}, 0.05): pass",
    "a busy one": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
                  "while signal.SIGTERM not in signal.sigpending(): pass",
    "a handler": "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nwhile True: time.sleep(1)",
}


@pytest.mark.parametrize("program", WAITERS.values(), ids=WAITERS)
def test_whoever_waits_for_the_signal_gets_it(serve, program):
    """Also who has no handler: the grace would be far longer than the deadline."""
    body = app_body(["/usr/bin/python3", "-c", program])
    body["properties"]["template"]["terminationGracePeriodSeconds"] = 600
    serve.operation(create(serve, "waits", body))
    assert serve.operation(serve.ask("DELETE", f"{APPS}/waits")[2])["status"] == "Succeeded"


def test_a_delete_right_after_the_create(serve):
    for i in range(5):
        body = app_body(["/bin/sh", "-c", WAIT])
        body["properties"]["template"]["terminationGracePeriodSeconds"] = 600
        create(serve, f"short{i}", body)
        assert serve.operation(serve.ask("DELETE", f"{APPS}/short{i}")[2])["status"] == "Succeeded"


def test_a_program_without_a_handler_is_killed_after_its_grace(serve):
    body = app_body(["/bin/sleep", "1000"])
    body["properties"]["template"]["terminationGracePeriodSeconds"] = 1
    serve.operation(create(serve, "deaf", body))
    assert serve.operation(serve.ask("DELETE", f"{APPS}/deaf")[2])["status"] == "Succeeded"


# --- what a command leaves behind --------------------------------------------------------------


def processes_of(mark):
    """Processes whose command line holds this word."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (directory / "cmdline").read_bytes().decode(errors="replace").split("\0"):
                found.append(int(directory.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("end", ["restart", "delete", "stop", "kill"])
def test_a_daemon_of_a_command_is_the_containers(serve, end):
    """As in Kubernetes: it goes on when the command has ended, counts as the container's, and ends with it."""
    mark = f"daemon-of-{end}-{os.getpid()}"
    serve.operation(create(serve, "host", app_body(["/bin/sh", "-c", WAIT])))
    done = serve.az("containerapp", "exec", "-n", "host", "-g", "rg", "--command",
                    f"sh -c 'setsid sh -c \"while :; do sleep 1000; done\" {mark} >/dev/null 2>&1 </dev/null & echo begun'")
    assert (done.returncode, done.stdout) == (0, "begun\n"), done.stderr
    # Before it executes its sleep, its child looks as itself.
    (daemon,) = until(lambda: len(found := processes_of(mark)) == 1 and found, "the daemon is there")
    cgroups = Path(f"/proc/{daemon}/cgroup").read_text(encoding="ascii")
    assert "host--0000001" in cgroups
    assert serve.az("containerapp", "exec", "-n", "host", "-g", "rg", "--command", "true").returncode == 0
    assert processes_of(mark) == [daemon]
    if end == "restart":
        assert serve.ask("POST", f"{APPS}/host/revisions/host--0000001/restart")[0] == 200
    elif end == "delete":
        serve.operation(serve.ask("DELETE", f"{APPS}/host")[2])
    else:
        getattr(serve, end)()
    until(lambda: processes_of(mark) == [], "it ended with the container")
    if end == "kill":
        serve.start()  # clears up
