# SPDX-License-Identifier: Apache-2.0
"""oomlab diagnose over a pod's own record and what Prometheus sampled of it at the same time: both tell the same
lifetimes, the one in whole seconds and the other from scrape to scrape."""

import json
from datetime import datetime, timezone

import pytest

LABELS = {"namespace": "n", "pod": "p", "container": "c"}
ZERO = 1764000000
STEP = 30
LIFE = 240  # samples
MIB = 1 << 20


def stamp(seconds):
    return datetime.fromtimestamp(ZERO + seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(delay=0, code=137, reason="OOMKilled"):
    """Started for the second time after two hours, and for the third after four, both times `delay` s late."""
    ended = {"exitCode": code, "reason": reason, "startedAt": stamp(7200 + delay), "finishedAt": stamp(14400)}
    status = {"name": "c", "restartCount": 2, "containerID": "containerd://" + "a" * 64,
              "state": {"running": {"startedAt": stamp(14400 + delay)}}, "lastState": {"terminated": ended}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "256Mi"}}}]},
            "status": {"phase": "Running", "containerStatuses": [status]}}


def series(name, value, step=STEP, **labels):
    points = [[ZERO + step * i, str(value(i * step // STEP))] for i in range(3 * LIFE * STEP // step)]
    return {"metric": {"__name__": name, **LABELS, **labels}, "values": points}


def memory(value, step=STEP):
    return series("container_memory_working_set_bytes", lambda i: int(value(i) * MIB) + i % 7 * 40000, step)


def climbing(i):
    return 50 + 205 * (i % LIFE) / LIFE


def restarts(value=lambda i: i // LIFE):
    return series("kube_pod_container_status_restarts_total", value)


def limit(value=lambda i: 256 * MIB):
    return series("kube_pod_container_resource_limits", value, resource="memory", unit="byte")


@pytest.fixture
def told(oomlab, tmp_path):
    """The result over a pod's record (or none) and some series."""
    def run(record, *result, status=None):
        paths = []
        answer = {"status": "success", "data": {"resultType": "matrix", "result": list(result)}}
        for name, value in (("pod.json", record), ("answer.json", answer)):
            if value:
                paths.append(tmp_path / name)
                paths[-1].write_text(json.dumps(value), encoding="utf-8")
        return oomlab.result("diagnose", "--format", "json", *paths, status=status)
    return run


def lifetimes(result):
    (arm,) = result["arms"]
    return [(life["started_at"] is not None, life["end"].get("at") is not None, life["end"]["cause"])
            for life in arm["lifetimes"]]


@pytest.mark.parametrize("delay", [0, 12])
@pytest.mark.parametrize("counted", [True, False])
def test_a_start_at_the_edge_of_the_counter_is_one_lifetime(told, delay, counted):
    result = told(pod(delay), memory(climbing), limit(), *([restarts()] if counted else []), status=3)
    recorded = [(True, True, "oom-container-limit"), (True, False, "running")]
    assert lifetimes(result) == ([(False, False, "unknown")] if counted else []) + recorded
    assert result["arms"][0]["verdict"]["class"] == "leak"


def test_a_start_that_a_metric_shows_before_the_counter_rises_is_the_counted_one(told):
    start = series("container_start_time_seconds", lambda i: ZERO + LIFE * STEP)
    start["values"] = start["values"][LIFE:]
    result = told(None, memory(climbing), restarts(lambda i: int(i > LIFE)), start)
    assert lifetimes(result) == [(False, False, "unknown"), (True, False, "running")]


@pytest.mark.parametrize("step", [10, 30])
def test_the_next_processs_sample_in_the_second_of_the_end_is_not_the_old_ones(told, step):
    """Of the process before, too, whose end the counter alone shows."""
    (arm,) = told(pod(12), memory(climbing, step), restarts(), limit(), status=3)["arms"]
    assert arm["verdict"]["class"] == "leak" and "steadily" in arm["verdict"]["summary"]
    for life in arm["lifetimes"]:
        size = life["working_set"]
        assert size["last_bytes"] > 250 * MIB and size["last_bytes"] == pytest.approx(size["peak_bytes"], rel=0.01)


def test_a_samples_small_fall_at_the_end_is_its_own(told):
    (arm,) = told(pod(12), memory(lambda i: climbing(i) if i % LIFE else 160), limit(), status=3)["arms"]
    assert arm["lifetimes"][0]["working_set"]["last_bytes"] == pytest.approx(160 * MIB, rel=0.01)


def test_a_rise_of_the_oom_counter_with_a_restart_is_its_kill(told):
    result = told(None, memory(climbing), restarts(), limit(),
                  series("container_oom_events_total", lambda i: i // LIFE), status=3)
    (arm,) = result["arms"]
    assert [(life["end"]["cause"], life["end"]["level"]) for life in arm["lifetimes"]] == [
        ("oom-container-limit", "Strongly Suggested")] * 2 + [("running", "Observed")]
    assert arm["oom_kills"] == 2 and arm["verdict"]["class"] == "leak"


def flat(_):
    return 100


def test_what_is_not_recorded_is_not_called_not_for_memory(told):
    (arm,) = told(None, memory(flat), restarts(), limit(), status=0)["arms"]
    assert [life["end"]["cause"] for life in arm["lifetimes"]] == ["unknown", "unknown", "running"]
    assert arm["verdict"]["class"] == "inconclusive" and "no record says how" in arm["verdict"]["summary"]


def test_a_recorded_end_is_told_beside_one_that_is_not(told):
    (arm,) = told(pod(code=1, reason="Error"), memory(flat), restarts(), limit(), status=0)["arms"]
    said = arm["verdict"]["summary"]
    assert "exit code 1" in said and "1 other time is not recorded" in said


def test_a_counter_that_begins_anew_counts_on(told):
    result = told(None, memory(flat), restarts(lambda i: 5 if i < 300 else int(i >= 600)), limit())
    (arm,) = result["arms"]
    said = " ".join(item["statement"] for item in result["evidence"])
    assert arm["restarts"] == 6 and "counted 6 restarts" in said
    assert f"began anew by {stamp(9000)[:-1]}" in said and "5 before, 1 since" in said
    assert [life["end"]["cause"] for life in arm["lifetimes"]] == ["unknown", "running"]
