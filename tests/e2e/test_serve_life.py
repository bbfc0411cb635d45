# SPDX-License-Identifier: Apache-2.0
"""The life of small apps through the verbs of az, from a kill to the end of serve: quick enough for a guest's slow kernel
(tests/vm/test_uml_serve.py)."""

import json
import urllib.request
from pathlib import Path

import pytest
from serving import APPS, free_port, running, until

SIZE = ("--cpu", "0.25", "--memory", "32Mi")
LEAKY = ("--image", "builtin/leaky", *SIZE)
CGROUP_V2 = (Path("/sys/fs/cgroup") / "cgroup.controllers").exists()
WAIT_S = 60


@pytest.fixture
def serve(tmp_path, no_leftovers):
    with running(tmp_path / "serve", "--allow-any-size") as server:
        yield server


def text(serve, *arguments):
    done = serve.az(*arguments)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def az(serve, *arguments):
    printed = text(serve, *arguments)
    return json.loads(printed) if printed.strip() else None


def app(serve, *arguments):
    return az(serve, "containerapp", *arguments, "--resource-group", "rg")


def create(serve, name, *arguments):
    return app(serve, "create", "--name", name, "--environment", "env", *LEAKY, *arguments)


def of(name, revision):
    return ("--name", name, "--revision", f"{name}--{revision}")


def container(serve, name, revision):
    """The container of the only replica, or None."""
    replicas = app(serve, "replica", "list", *of(name, revision))
    return replicas[0]["properties"]["containers"][0] if len(replicas) == 1 else None


def until_healthy(serve, name, revision):
    until(lambda: app(serve, "revision", "show", *of(name, revision))["properties"]["healthState"] == "Healthy",
          f"{name}--{revision} is healthy", WAIT_S)


def test_a_kill_is_told_by_every_verb(serve):
    create(serve, "killed", "--env-vars", "MODE=hard-oom", "HARD_OOM_MB=50", "--target-port", str(free_port()),
           "--ingress", "external")

    def ends():
        rows = text(serve, "containerapp", "logs", "show", "--name", "killed", "--resource-group", "rg",
                    "--type", "system", "--tail", "100").splitlines()
        return [row for row in map(json.loads, rows) if row["Reason"] == "ContainerTerminated"]

    end = until(ends, "the kill is in the system log", WAIT_S)[0]
    assert end["Msg"] == "Container 'killed' was terminated with exit code '137' and reason 'ProcessExited'"
    assert end["oomlab"]["cause"] == "oom-container-limit"
    # Version 1 has no counter of its kills that says whose they were.
    assert end["oomlab"]["level"] in ({"Measured"} if CGROUP_V2 else {"Measured", "Observed"})
    (revision,) = app(serve, "revision", "list", "--name", "killed")
    assert revision["properties"]["healthState"] == "Unhealthy"
    until(lambda: (c := container(serve, "killed", "0000001")) and c["restartCount"] >= 1, "it is restarted", WAIT_S)
    app(serve, "delete", "--name", "killed", "--yes")
    assert app(serve, "list") == []


def test_restart_and_metrics(serve):
    create(serve, "stays", "--env-vars", "MODE=healthy", "--target-port", str(free_port()), "--ingress", "external")
    until_healthy(serve, "stays", "0000001")
    app(serve, "revision", "restart", *of("stays", "0000001"))
    until(lambda: (c := container(serve, "stays", "0000001")) and c["restartCount"] == 1 and c["ready"],
          "it was restarted and is ready", WAIT_S)

    def value(metric, aggregation):
        found = az(serve, "monitor", "metrics", "list", "--resource", f"{APPS}/stays", "--metric", metric,
                   "--aggregation", aggregation)
        points = found["value"][0]["timeseries"][0]["data"]
        return max((point[aggregation.lower()] for point in points if aggregation.lower() in point), default=0)

    until(lambda: value("WorkingSetBytes", "Average") > 0, "its memory is a metric", WAIT_S)
    assert value("WorkingSetBytes", "Average") < 32 << 20
    until(lambda: value("RestartCount", "Maximum") == 1, "its restart is a metric", WAIT_S)


def test_traffic_goes_by_weight(serve):
    port = free_port()
    create(serve, "split", "--env-vars", "MODE=healthy", "--target-port", str(port), "--ingress", "external",
           "--revision-suffix", "one")
    app(serve, "revision", "set-mode", "--name", "split", "--mode", "multiple")
    app(serve, "update", "--name", "split", "--set-env-vars", "MODE=healthy", "ROUND=2", "--revision-suffix", "two")
    until_healthy(serve, "split", "one")
    until_healthy(serve, "split", "two")
    app(serve, "ingress", "traffic", "set", "--name", "split", "--revision-weight", "split--one=100", "split--two=0")
    weights = {r["name"]: r["properties"]["trafficWeight"] for r in app(serve, "revision", "list", "--name", "split")}
    assert weights == {"split--one": 100, "split--two": 0}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
        assert answer.status == 200
    app(serve, "revision", "deactivate", *of("split", "two"))
    until(lambda: app(serve, "replica", "list", *of("split", "two")) == [], "no replica of the second is left", WAIT_S)


def test_stop_with_apps_leaves_nothing(serve):
    create(serve, "left", "--env-vars", "MODE=healthy", "--min-replicas", "2", "--max-replicas", "2",
           "--target-port", str(free_port()), "--ingress", "external")
    until_healthy(serve, "left", "0000001")  # before it handles signals, a container's first process ignores them
    assert len(app(serve, "replica", "list", *of("left", "0000001"))) == 2
    serve.stop()  # the fixture looks for what is left
