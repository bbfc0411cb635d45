# SPDX-License-Identifier: Apache-2.0
"""oomlab diagnose over sampled metrics alone: that a container ended is seen, the moment is not. Ends are
counted by the restart counter, and a termination reason goes to the end that it is about."""

import json

import pytest

from conftest import TREE

FIXTURE = TREE / "tests" / "fixtures" / "prometheus"
OOM = {"oom-container-limit", "oom-ancestor-limit", "oom-host"}
LABELS = {"namespace": "n", "pod": "p", "container": "c"}
ZERO = 1795347400


def series(name, values, **labels):
    """`values`: one every 15 s; None is a scrape without it."""
    points = [[ZERO + 15 * i, str(v)] for i, v in enumerate(values) if v is not None]
    return {"metric": {"__name__": name, **LABELS, **labels}, "values": points}


def restarts(*values):
    return series("kube_pod_container_status_restarts_total", values)


def reason(word, *values):
    return series("kube_pod_container_status_last_terminated_reason", values, reason=word)


def starts(*values):
    return series("container_start_time_seconds", [ZERO + v for v in values])


def kills(*values):
    return series("container_oom_events_total", values)


@pytest.fixture
def ends(oomlab, tmp_path):
    def diagnose(*result):
        path = tmp_path / "answer.json"
        path.write_text(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": list(result)}}))
        (arm,) = oomlab.result("diagnose", "--format", "json", path)["arms"]
        assert arm["oom_kills"] == sum(life["end"]["cause"] in OOM for life in arm["lifetimes"])
        return [(life["end"]["cause"], life["end"]["level"]) for life in arm["lifetimes"]]
    return diagnose


KILLED = ("oom-container-limit", "Strongly Suggested")
UNKNOWN = ("unknown", "Not Proven")
RUNNING = ("running", "Observed")


def test_the_recorded_leak_is_three_kills(oomlab):
    result = oomlab.result("diagnose", "--format", "json", FIXTURE / "all-series.json", status=3)
    (arm,) = result["arms"]
    assert arm["oom_kills"] == 3 and arm["restarts"] == 3
    assert [life["end"]["cause"] for life in arm["lifetimes"]] == ["oom-container-limit"] * 3 + ["running"]
    assert arm["verdict"]["class"] == "leak"


def test_each_metric_in_a_file_of_its_own_says_the_same(oomlab):
    files = sorted(path for path in FIXTURE.glob("*.json") if path.name != "all-series.json")
    (arm,) = oomlab.result("diagnose", "--format", "json", *files, status=3)["arms"]
    assert arm["oom_kills"] == 3 and len(arm["lifetimes"]) == 4


def test_the_restart_counter_alone_proves_no_kill(ends):
    assert set(ends(restarts(0, 0, 1, 1, 2))) == {UNKNOWN}


def test_counter_and_reason_without_starts(ends):
    assert ends(restarts(0, 1, 1, 2, 2), reason("OOMKilled", None, 1, 1, 1, 1)) == [KILLED, KILLED]


def test_another_reason_is_another_end(ends):
    found = ends(restarts(0, 1, 1, 2, 2), reason("OOMKilled", None, 1, 1, None, None),
                 reason("Completed", None, None, None, 1, 1))
    assert found == [KILLED, ("exited", "Observed")]


def test_a_reason_that_lags_behind_the_start_is_not_the_new_end_s(ends):
    """cAdvisor shows the second start one scrape before kube-state-metrics shows how the container had ended."""
    found = ends(starts(0, 14, 14, 44, 44, 44), restarts(0, 1, 1, 1, 2, 2),
                 reason("OOMKilled", None, 1, 1, 1, None, None),
                 reason("Completed", None, None, None, None, 1, 1))
    assert found == [KILLED, ("exited", "Observed"), RUNNING]


def test_ends_between_two_samples_are_counted_and_not_guessed(ends):
    found = ends(starts(0, 0, 29, 29), restarts(0, 0, 3, 3), reason("OOMKilled", None, None, 1, 1))
    assert len(found) == 4 and found.count(KILLED) == 1 and found.count(UNKNOWN) == 2 and found[-1] == RUNNING


def test_an_end_before_the_recording_is_not_the_running_one_s(ends):
    assert ends(starts(-300, -300), restarts(4, 4), reason("OOMKilled", 1, 1)) == [KILLED, RUNNING]


def test_a_kill_counter_without_reasons(ends):
    assert ends(starts(0, 0, 29, 29), kills(0, 0, 1, 1)) == [KILLED, RUNNING]


def test_a_childs_kill_is_no_end(ends):
    assert ends(starts(0, 0, 0, 0, 0, 0), kills(0, 0, 1, 1, 1, 1)) == [RUNNING]


def test_a_childs_kill_long_before_an_ordinary_end(ends):
    found = ends(starts(0, 0, 0, 0, 0, 0, 0, 0, 104), kills(0, 1, 1, 1, 1, 1, 1, 1, 1), restarts(*[0] * 8, 1),
                 reason("Completed", *[None] * 8, 1))
    assert found == [("exited", "Observed"), RUNNING]


def scrape(kills, minute=None, started=1_699_900_000):
    labels = '{container="c",pod="p",namespace="n",id="/x"}'
    stamp = "" if minute is None else f" {(1_700_000_000 + 60 * minute) * 1000}"
    return (f"container_memory_working_set_bytes{labels} 5e8{stamp}\ncontainer_oom_events_total{labels} {kills}{stamp}\n"
            f"container_start_time_seconds{labels} {started}{stamp}\n")


@pytest.mark.parametrize("parts", [(0, 1, 2), (2, 0, 1), None])
def test_a_counter_that_rises_from_scrape_to_scrape(oomlab, tmp_path, parts):
    """One file, or a file a scrape in whichever order: the rise is one kill, the fall of a new container none."""
    scrapes = [scrape(3, 0), scrape(4, 1, 1_700_000_030), scrape(0, 2, 1_700_000_100)]
    if parts is None:
        scrapes, parts = ["".join(scrapes)], (0,)
    for number, text in enumerate(scrapes):
        (tmp_path / str(number)).write_text(text, encoding="utf-8")
    (arm,) = oomlab.result("diagnose", "--format", "json", *(tmp_path / str(part) for part in parts))["arms"]
    assert arm["oom_kills"] == 1
    assert [(life["end"]["cause"], life["end"]["level"]) for life in arm["lifetimes"]] == [KILLED, UNKNOWN, RUNNING]


def test_scrapes_without_times_follow_as_they_are_read(oomlab, tmp_path):
    (tmp_path / "all").write_text("".join(map(scrape, (1, 1, 2, 4, 0, 0))), encoding="utf-8")
    result = oomlab.result("diagnose", "--format", "json", tmp_path / "all")
    said = [item for item in result["evidence"] if "an out-of-memory record" in item["statement"]]
    assert [item["source"]["line"] for item in said] == [8, 11]
