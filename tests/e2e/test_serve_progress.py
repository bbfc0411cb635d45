# SPDX-License-Identifier: Apache-2.0
"""A revision that does not become ready: its operation ends, and says why; and what of it is kept, and comes right."""

import json
import subprocess

import pytest
from serving import APPS, ENVIRONMENT, WAIT, app_body, free_port, running, until

EXCEEDED = "Deployment Progress Deadline Exceeded. 0/1 replicas ready."
# It listens where its first argument says, once its second one is there.
SERVER = """
import http.server, os, sys, time
while len(sys.argv) > 2 and not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
http.server.HTTPServer(("127.0.0.1", int(os.environ.get(sys.argv[1], sys.argv[1]))),
                       http.server.SimpleHTTPRequestHandler).serve_forever()
"""


# What must happen before it can happen on a machine that is busy with other things, too.
PATIENT = pytest.mark.parametrize("serve", ["8s"], indirect=True)


@pytest.fixture
def serve(request, tmp_path, no_leftovers):
    deadline = getattr(request, "param", "2s")
    with running(tmp_path / "serve", "--allow-any-size", "--progress-deadline", deadline) as server:
        yield server


def server_body(*arguments, **more):
    return app_body(["/usr/bin/python3", "-c", SERVER, *map(str, arguments)], **more)


def create(serve, name, body):
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", body)
    assert status in (200, 201), value
    return serve.operation(headers)


def app(serve, name):
    return serve.get(f"{APPS}/{name}")["properties"]


def revision(serve, name, number=1):
    return serve.get(f"{APPS}/{name}/revisions/{name}--{number:07}")["properties"]


def rows(serve, name):
    done = serve.az("containerapp", "logs", "show", "-n", name, "-g", "rg", "--type", "system", "--tail", "300")
    return [json.loads(line) for line in done.stdout.splitlines()]


@PATIENT
def test_a_container_that_listens_elsewhere(serve):
    target, elsewhere = free_port(), free_port()
    ended = create(serve, "elsewhere", server_body(elsewhere, port=target))
    text = ended["error"]["message"]
    assert ended["status"] == "Failed"
    assert text.startswith(f"{EXCEEDED} The TargetPort {target} does not match the listening port {elsewhere}. ")
    assert "PORT" in text
    assert app(serve, "elsewhere")["provisioningState"] == "Failed"
    shown = revision(serve, "elsewhere")
    assert (shown["provisioningState"], shown["healthState"], shown["runningState"]) == ("Failed", "Unhealthy", "Failed")
    assert shown["provisioningError"] == shown["runningStateDetails"] == text
    assert text in [row["Msg"] for row in rows(serve, "elsewhere") if row["Reason"] == "RevisionProvisioningFailed"][0]


@PATIENT
def test_the_client_says_which_probe_fails(serve, tmp_path):
    body = app_body(None, image="builtin/leaky", port=free_port())
    body["properties"]["template"]["containers"][0]["probes"] = [
        {"type": "Readiness", "periodSeconds": 1, "httpGet": {
            "path": "/nothing", "port": body["properties"]["configuration"]["ingress"]["targetPort"]}}]
    file = tmp_path / "app.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    done = serve.az("containerapp", "create", "-n", "lost", "-g", "rg", "--environment", ENVIRONMENT, "--yaml", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{EXCEEDED} Probe of Readiness failed with status code: 404." in done.stderr
    # It is tried on, and what fails goes on to be told: at first once, then as many as came since, which doubles.
    counts = until(lambda: (c := [r["Count"] for r in rows(serve, "lost") if "status code: 404" in r["Msg"]
                                  and r["Reason"] == "ProbeFailed"]) and len(c) >= 3 and c, "it is told again")
    assert counts[0] == 1 and all(count >= sum(counts[:i]) for i, count in enumerate(counts))
    assert revision(serve, "lost")["replicas"] == 1


def test_what_is_kept_and_what_comes_right(serve, tmp_path):
    gate = tmp_path / "gate"
    assert create(serve, "late", server_body("PORT", gate, port=free_port()))["status"] == "Failed"
    assert "Probe of Readiness failed" in revision(serve, "late")["provisioningError"]
    serve.kill()
    serve.start()
    assert app(serve, "late")["provisioningState"] == "Failed"
    until(lambda: "provisioningError" in revision(serve, "late"), "it is given up again")
    gate.touch()
    until(lambda: app(serve, "late")["provisioningState"] == "Succeeded", "it is ready")
    shown = revision(serve, "late")
    assert (shown["provisioningState"], shown["healthState"]) == ("Provisioned", "Healthy")
    assert "provisioningError" not in shown and "runningStateDetails" not in shown
    assert app(serve, "late")["runningStatus"] == "Running"
    serve.stop()
    serve.start()
    assert app(serve, "late")["provisioningState"] == "Succeeded"


@PATIENT
def test_in_progress_is_kept(serve):
    status, value, _ = serve.ask("PUT", f"{APPS}/begun", server_body("PORT", "/nonexistent/gate", port=free_port()))
    assert status == 201, value
    assert value["properties"]["provisioningState"] == "InProgress"
    assert value["properties"]["runningStatus"] == "Progressing"
    serve.kill()
    serve.start()
    assert app(serve, "begun")["provisioningState"] == "InProgress"
    until(lambda: app(serve, "begun")["provisioningState"] == "Failed", "it is given up")


def test_a_failed_start_is_kept(serve):
    assert create(serve, "broken", app_body(["/nonexistent/program"]))["status"] == "Failed"
    assert (app(serve, "broken")["provisioningState"], app(serve, "broken")["runningStatus"]) == ("Failed", "Stopped")
    serve.stop()
    serve.start()
    assert app(serve, "broken")["provisioningState"] == "Failed"


@PATIENT
@pytest.mark.parametrize("how", ["deactivate", "replace", "delete"])
def test_one_that_is_stopped_before_it_was_ready(serve, how):
    status, value, headers = serve.ask("PUT", f"{APPS}/ended", server_body("PORT", "/nonexistent/gate", port=free_port()))
    assert status == 201, value
    if how == "deactivate":
        assert serve.ask("POST", f"{APPS}/ended/revisions/ended--0000001/deactivate")[0] == 200
    elif how == "replace":
        assert create(serve, "ended", app_body(["/bin/sh", "-c", WAIT]))["status"] == "Succeeded"
    else:
        assert serve.ask("DELETE", f"{APPS}/ended")[0] == 202
    ended = serve.operation(headers)
    assert ended["status"] == "Failed"
    assert ("deleted" if how == "delete" else "deactivated before it was ready") in ended["error"]["message"]
    if how == "delete":
        return
    shown = revision(serve, "ended")
    assert (shown["active"], shown["provisioningState"], shown["runningState"]) == (False, "Deprovisioned", "Stopped")
    assert app(serve, "ended")["provisioningState"] == ("Failed" if how == "deactivate" else "Succeeded")
    assert app(serve, "ended")["runningStatus"] == ("Stopped" if how == "deactivate" else "Running")


def test_a_startup_probe_that_restarts_it_is_no_progress(serve):
    body = app_body(None, image="builtin/leaky", port=free_port())
    body["properties"]["template"]["containers"][0]["probes"] = [
        {"type": "Startup", "periodSeconds": 1, "failureThreshold": 1, "httpGet": {
            "path": "/nothing", "port": body["properties"]["configuration"]["ingress"]["targetPort"]}}]
    ended = create(serve, "restarted", body)
    assert ended["status"] == "Failed" and EXCEEDED in ended["error"]["message"]


@pytest.mark.parametrize("text", ["0", "x", "-1s"])
def test_deadlines_that_are_none(serve, text):
    done = serve.az("serve", "--progress-deadline", text, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
