# SPDX-License-Identifier: Apache-2.0
"""oomlab serve and the verbs of az against it: real containers, real kills."""

import json
import os
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import TREE, oomlab_binary
from serving import APPS, GROUP, Serve, app_body, free_port, until

# The first process of a container ignores SIGTERM unless it says otherwise.
SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"]


@pytest.fixture
def serve(tmp_path, no_leftovers):
    server = Serve(tmp_path / "serve", "--tcp")
    server.start()
    yield server
    if server.process.poll() is None:
        server.stop()


def create(serve, name, body):
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", body)
    assert status == 201, value
    return serve.operation(headers)


def revisions(serve, name):
    return serve.get(f"{APPS}/{name}/revisions")["value"]


def replicas(serve, name, revision):
    return serve.get(f"{APPS}/{name}/revisions/{revision}/replicas")["value"]


def test_the_walk_through(serve, tmp_path):
    """labs/memory-leak-oomkilled-az.sh, as it is written."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "oomlab").symlink_to(Path(oomlab_binary()).resolve())
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "OOMLAB_SERVER": str(serve.socket),
           "PORT": str(free_port())}
    done = subprocess.run([TREE / "labs" / "memory-leak-oomkilled-az.sh"], env=env, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"memory": "1Gi"' in done.stdout
    assert serve.ask("GET", APPS.replace("/rg/", "/rg-oom-lab/"))[0] == 404  # its group is gone, too


def test_a_kill_is_proven_in_the_system_log(serve):
    serve.prepare()
    body = app_body(image="builtin/leaky", env=[("MODE", "hard-oom")], port=free_port())
    assert create(serve, "killed", body)["status"] == "Succeeded"

    def kill():
        rows = serve.get(f"{APPS}/killed/oomlab/logs?type=system&tail=300")["value"]
        return [row for row in rows if row["Reason"] == "ContainerTerminated"]

    row = until(kill, "a kill")[0]
    assert row["Msg"] == "Container 'main' was terminated with exit code '137' and reason 'ProcessExited'"
    assert row["Type"] == "Warning"
    assert row["EventSource"] == "ContainerAppController"
    assert row["RevisionName"] == "killed--0000001"
    assert row["oomlab"]["cause"] == "oom-container-limit"
    assert row["oomlab"]["level"] in {"Measured", "Observed"}
    revision = revisions(serve, "killed")[0]["properties"]
    assert revision["healthState"] == "Unhealthy"
    until(lambda: "container_oom_events_total" in (text := serve.ask("GET", "/metrics")[1]) and any(
        line.startswith("container_oom_events_total{") and float(line.split()[-1]) >= 1
        for line in text.splitlines()), "the kill is in /metrics")


def test_single_mode_switches_when_the_new_revision_is_ready(serve):
    serve.prepare()
    create(serve, "web", app_body(image="builtin/leaky", env=[("MODE", "healthy")], port=free_port()))
    patch = {"properties": {"template": app_body(image="builtin/leaky", env=[("MODE", "hard-oom")])["properties"]["template"]}}
    status, _, headers = serve.ask("PATCH", f"{APPS}/web", patch)
    assert status == 202
    serve.operation(headers)
    first, second = (r["properties"] for r in revisions(serve, "web"))
    assert (first["active"], first["trafficWeight"], first["healthState"]) == (True, 100, "Healthy")
    assert (second["active"], second["trafficWeight"]) == (True, 0)
    patch["properties"]["template"]["containers"][0]["env"] = [{"name": "MODE", "value": "healthy"}]
    serve.operation(serve.ask("PATCH", f"{APPS}/web", patch)[2])
    until(lambda: [r["properties"]["active"] for r in revisions(serve, "web")] == [False, False, True],
          "only the newest is active")
    # The same template again is no new revision.
    assert serve.ask("PATCH", f"{APPS}/web", patch)[0] == 200
    assert len(revisions(serve, "web")) == 3


def fetch(port, path="/health"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


ECHO = """
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = (self.command + " " + self.path + " " + os.environ["TAG"] + " ").encode() + body
        self.send_response(200); self.send_header("Content-Length", str(len(text))); self.send_header("X-Own", "yes")
        self.end_headers(); self.wfile.write(text)
    do_GET = do_POST
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""


def test_ingress_forwards_splits_and_answers_503(serve):
    serve.prepare()
    port = free_port()
    command = ["/usr/bin/python3", "-c", ECHO]
    body = app_body(command, env=[("TAG", "one")], port=port)
    body["properties"]["configuration"]["activeRevisionsMode"] = "Multiple"
    body["properties"]["template"]["revisionSuffix"] = "one"
    create(serve, "split", body)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/a%20b?x=1&y=%26", data=b"body " * 50000, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["X-Own"] == "yes"
        assert answer.read() == b"POST /a%20b?x=1&y=%26 one " + b"body " * 50000
    template = json.loads(json.dumps(body["properties"]["template"]))
    template["revisionSuffix"] = "two"
    template["containers"][0]["env"][0]["value"] = "two"
    serve.operation(serve.ask("PATCH", f"{APPS}/split", {"properties": {"template": template}})[2])
    done = serve.az("containerapp", "ingress", "traffic", "set", "-n", "split", "-g", "rg", "--revision-weight",
                    "split--one=30", "split--two=70")
    assert done.returncode == 0, done.stderr
    answers = [fetch(port)[1].split()[2] for _ in range(200)]
    # Binomial(200, 0.3): outside of 25..100 with a probability below 1e-8.
    assert 25 < answers.count(b"one") < 100
    assert serve.ask("POST", f"{APPS}/split/revisions/split--one/deactivate")[0] == 200
    assert serve.ask("POST", f"{APPS}/split/revisions/split--two/deactivate")[0] == 200
    until(lambda: fetch(port)[0] == 503, "503 without a replica")


def test_replicas_restart_activate_and_deactivate(serve):
    serve.prepare()
    create(serve, "many", app_body(SLEEP, minReplicas=3, maxReplicas=3))
    assert len(replicas(serve, "many", "many--0000001")) == 3
    path = f"{APPS}/many/revisions/many--0000001"
    assert serve.get(path)["properties"]["runningState"] == "RunningAtMaxScale"
    assert serve.ask("POST", f"{path}/restart")[0] == 200
    until(lambda: all(r["properties"]["containers"][0]["restartCount"] == 1
                      for r in replicas(serve, "many", "many--0000001")), "each was restarted once")
    assert serve.ask("POST", f"{path}/deactivate")[0] == 200
    until(lambda: replicas(serve, "many", "many--0000001") == [], "no replica is left")
    assert serve.get(path)["properties"]["runningState"] == "Stopped"
    assert serve.ask("POST", f"{path}/activate")[0] == 200
    until(lambda: serve.get(path)["properties"]["healthState"] == "Healthy", "it runs again")


def test_state_survives_a_stop_and_a_kill(serve):
    serve.prepare()
    create(serve, "stays", app_body(SLEEP))
    pids = set()
    for end in (serve.stop, serve.kill):
        end()
        serve.start()
        found = until(lambda: replicas(serve, "stays", "stays--0000001"), "a replica")
        assert len(found) == 1
        until(lambda: serve.get(f"{APPS}/stays/revisions/stays--0000001")["properties"]["healthState"] == "Healthy",
              "it is healthy again")
        pids.add(found[0]["name"])
    assert len(pids) == 2
    rows = serve.get(f"{APPS}/stays/oomlab/logs?type=system&tail=300")["value"]
    none = serve.get(f"{APPS}/stays/oomlab/logs?type=system&tail=0")
    assert none["value"] == [] and none["next"] > 0  # where --follow --tail 0 goes on from
    assert serve.get(f"{APPS}/stays/oomlab/logs?type=system&after={none['next']}")["value"] == []
    assert [r["Reason"] for r in rows].count("RevisionCreation") == 1
    assert [r["Reason"] for r in rows].count("AssigningReplica") == 3


def test_metrics_are_missing_where_nothing_was_measured(serve):
    serve.prepare()
    create(serve, "measured", app_body(SLEEP))
    path = f"{APPS}/measured/providers/Microsoft.Insights/metrics?metricnames=WorkingSetBytes,Replicas&aggregation=Average"

    def points():
        value = serve.get(path)["value"]
        return [p for p in value[0]["timeseries"][0]["data"] if "average" in p] and value

    value = until(points, "a value")
    assert [m["name"]["value"] for m in value] == ["WorkingSetBytes", "Replicas"]
    assert value[0]["unit"] == "Bytes"
    data = value[0]["timeseries"][0]["data"]
    assert len(data) == 60
    assert "average" not in data[0]
    assert all(0 < p["average"] < 512 << 20 for p in data if "average" in p)
    split = serve.get(path + "&$filter=revisionName%20eq%20'*'")["value"][0]["timeseries"][0]
    assert split["metadatavalues"][0]["value"] == "measured--0000001"
    status, error, _ = serve.ask("GET", path.replace("Replicas", "Nothing"))
    assert status == 400
    assert "Valid metrics" in error["error"]["message"]


@pytest.mark.parametrize(("change", "code"), [
    ({"cpu": 0.5, "memory": "0.5Gi"}, "ContainerAppInvalidResourceTotal"),
    ({"cpu": 0.3, "memory": "0.6Gi"}, "ContainerAppInvalidResourceTotal"),
    ({"image": "docker.io/library/nginx"}, "InvalidParameterValueInContainerTemplate"),
    ({"image": "dir:/../etc"}, "InvalidParameterValueInContainerTemplate"),
    ({"command": []}, "InvalidParameterValueInContainerTemplate"),
])
def test_refused_templates(serve, change, code):
    serve.prepare()
    body = app_body(change.pop("command", SLEEP), **change)
    status, value, _ = serve.ask("PUT", f"{APPS}/refused", body)
    assert (status, value["error"]["code"]) == (400, code)
    assert serve.ask("GET", f"{APPS}/refused")[0] == 404


def test_pages_errors_and_versions(serve):
    serve.prepare()
    for i in range(5):
        assert serve.ask("PUT", f"{GROUP}{i}", {"location": "local"})[0] == 201
    names = []
    link = "/subscriptions/sub/resourceGroups?$top=2"
    while link:
        page = serve.get(link)
        names += [g["name"] for g in page["value"]]
        link = page.get("nextLink", "")
        link = link[link.index("/subscriptions"):] if link else None
    assert names == ["rg", "rg0", "rg1", "rg2", "rg3", "rg4"]
    assert serve.ask("GET", f"{APPS}?api-version=2021-01-01")[1]["error"]["code"] == "InvalidApiVersionParameter"
    assert serve.ask("GET", f"{APPS}/none")[1]["error"]["code"] == "ResourceNotFound"
    assert serve.ask("PUT", f"{GROUP.replace('/rg', '/none')}/providers/Microsoft.App/containerApps/a", {})[1][
        "error"]["code"] == "ResourceGroupNotFound"
    assert serve.ask("DELETE", f"{APPS}/none")[0] == 204
    assert serve.ask("POST", GROUP)[0] == 405
    assert serve.ask("GET", "/nothing")[0] == 404


def test_az_verbs_print_as_az(serve):
    serve.prepare()
    az = serve.az
    assert az("containerapp", "create", "-n", "cli", "-g", "rg", "--environment", "env", "--image", "host",
              "--command", "/bin/sh", "-c", "echo hello; " + SLEEP[2], "--cpu", "0.25", "--memory", "0.5Gi",
              "--env-vars", "A=1", "B=two words", "-o", "none").returncode == 0
    show = ("containerapp", "show", "-n", "cli", "-g", "rg")
    assert az(*show, "--query", "properties.template.containers[0].resources.memory").stdout == '"0.5Gi"\n'
    assert az(*show, "--query", "properties.template.containers[0].env[].value", "-o", "tsv").stdout == "1\ntwo words\n"
    assert az(*show, "--query", "name", "-o", "yaml").stdout.startswith("cli")
    assert az(*show, "--query", "nothing.here").stdout == ""
    assert az(*show, "-o", "none").stdout == ""
    assert az(*show, "--query", "name[").returncode == 2
    assert az("containerapp", "show", "-n", "none", "-g", "rg").returncode == 3
    assert az("containerapp", "show", "-g", "rg").returncode == 2
    table = az("containerapp", "revision", "list", "-n", "cli", "-g", "rg", "-o", "table").stdout.splitlines()
    assert table[0].split() == ["CreatedTime", "Active", "Replicas", "TrafficWeight", "HealthState",
                                "ProvisioningState", "Name"]
    assert set(table[1]) == {"-", " "} and len(table) == 3  # as knack has it
    rows = ("--query", "[{a: 'x', b: null, c: {d: `1`}}, {a: 'y', e: `true`}]")
    table = [line.split() for line in az(*show, *rows, "-o", "table").stdout.splitlines()]
    assert table == [["A", "E"], ["-", "----"], ["x"], ["y", "True"]]
    assert az(*show, *rows, "-o", "tsv").stdout == "x\tNone\t\ny\tTrue\n"
    assert az(*show, "--query", "`true`", "-o", "tsv").stdout == "true\n"
    assert az(*show, "--query", "'0x1f'", "-o", "yaml").stdout.startswith("'0x1f'")
    done = az("containerapp", "update", "-n", "cli", "-g", "rg", "--container-name", "other", "--cpu", "0.5")
    assert done.returncode == 2 and "has no container 'other'" in done.stderr
    done = az("containerapp", "list", "-g", "none")
    assert done.returncode == 3 and "Resource group 'none' could not be found." in done.stderr
    until(lambda: "hello" in az("containerapp", "logs", "show", "-n", "cli", "-g", "rg", "--format", "text").stdout,
          "the console log")
    done = az("containerapp", "update", "-n", "cli", "-g", "rg", "--cpu", "0.5", "--memory", "0.5Gi")
    assert done.returncode == 1
    assert "[cpu: 0.5, memory: 1.0Gi]" in done.stderr
    assert az("containerapp", "update", "-n", "cli", "-g", "rg", "--set-env-vars", "A=2", "--remove-env-vars", "B",
              "-o", "none").returncode == 0
    assert az(*show, "--query", "properties.template.containers[0].env", "-o", "tsv").stdout == "A\t2\n"
    assert az("rest", "--url", f"{APPS}/cli?api-version=2024-03-01", "--query", "name", "-o", "tsv").stdout == "cli\n"
    assert az("containerapp", "delete", "-n", "cli", "-g", "rg", "--yes").returncode == 0
    assert az("containerapp", "list", "-g", "rg", "-o", "tsv").stdout == ""


def test_the_socket_is_its_owners(serve):
    assert stat.S_IMODE(serve.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE((serve.directory / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE((serve.directory / "state.db").stat().st_mode) == 0o600


def test_a_second_serve_is_refused(serve):
    done = subprocess.run([oomlab_binary(), "serve", "--state", serve.directory], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 2
    assert "another oomlab serve uses" in done.stderr
    assert serve.get("/healthz") == "ok\n"
