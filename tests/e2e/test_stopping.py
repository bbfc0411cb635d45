# SPDX-License-Identifier: Apache-2.0
"""When `oomlab run` ends an arm: with real servers and real kills, settled early, undecided up to the
budget, or after exactly the numbers that were given."""

import json
import sqlite3

import pytest

from conftest import PYTHON, SERVERS

pytestmark = pytest.mark.usefixtures("no_leftovers")

SHOP = (PYTHON, str(SERVERS / "leaky.py"))


def run(oomlab, directory, *more, memory="96Mi", kib=512, leak=0, status=None):
    return oomlab.result(
        "run", "--memory", memory, "--request", "GET /search?q=x", "--env", f"LEAK={leak}", "--env", f"KIB={kib}",
        "--ready", "http:/health", "--rate", "100/s", "--idle", "200ms", "--gap", "200ms", "--cooldown", "200ms",
        "--output", directory, "--format", "json", *more, "--", *SHOP, status=status, timeout=240)


def arm(result, name):
    return next(a for a in result["arms"] if a["name"] == name)


def plan_of(directory):
    with sqlite3.connect(directory / "evidence.db") as database:
        return json.loads(database.execute("SELECT lab_json FROM run").fetchone()[0])["scenarios"][0]


def test_a_leak_stops_early(oomlab, tmp_path):
    result = run(oomlab, tmp_path / "run", "--budget", "2m", "--patch-env", "LEAK=0", "--arms",
                 "trigger,raise,patch,revert", "--sample-rate", "100/s", kib=256, leak=1, status=3)
    longest = plan_of(tmp_path / "run")["traffic"]["cycles"] * 100
    assert longest == 9900
    arms = {a["name"]: a for a in result["arms"]}
    assert {a["ended_because"] for a in arms.values()} == {"settled"}, arms
    assert arms["trigger"]["oom_kills"] >= 3 and "kills show leak" in arms["trigger"]["stop_reason"]
    assert arms["raise"]["oom_kills"] == 1 and "it was killed after" in arms["raise"]["stop_reason"]
    assert arms["patch"]["oom_kills"] == 0 and "it outlived" in arms["patch"]["stop_reason"]
    assert arms["revert"]["oom_kills"] == 1 and "killed again" in arms["revert"]["stop_reason"]
    assert result["verdict"]["class"] == "leak"
    # Each got whole cycles of the one sequence, and never the whole of it.
    assert len({a["requests"]["sequence_sha256"] for a in arms.values()}) == 1
    assert all(0 < a["requests"]["planned"] < longest and a["requests"]["planned"] % 100 == 0
               for a in arms.values())
    patch = arms["patch"]["requests"]
    assert patch["completed"] == patch["planned"]
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert all(a["stop_reason"] in report for a in arms.values())
    assert all(gate["pass"] for gate in result["gates"]), json.dumps(result["gates"], indent=1)


def test_phases_and_requests_are_those_that_were_sent(oomlab, tmp_path):
    result = run(oomlab, tmp_path / "run", "--arms", "trigger", kib=64, status=0)
    trigger = arm(result, "trigger")
    with sqlite3.connect(tmp_path / "run" / "evidence.db") as database:
        phases = database.execute("SELECT kind, cycle FROM phase ORDER BY started_ns").fetchall()
        sent = database.execute("SELECT count(*), count(DISTINCT seq), max(seq), max(cycle) FROM request").fetchone()
    planned = trigger["requests"]["planned"]
    assert sent == (planned, planned, planned - 1, planned // 100)
    assert [cycle for kind, cycle in phases if kind == "cycle"] == list(range(1, planned // 100 + 1))
    assert [kind for kind, _ in phases].count("cooldown") == 1 and phases[-1][0] == "cooldown"


def test_a_healthy_program_stops_when_settled(oomlab, tmp_path):
    result = run(oomlab, tmp_path / "run", "--budget", "2m", kib=64, status=0)
    trigger = arm(result, "trigger")
    assert [a["name"] for a in result["arms"]] == ["trigger"]
    assert trigger["ended_because"] == "settled", trigger["stop_reason"]
    assert trigger["stop_reason"].startswith("Settled: it outlived ")
    assert trigger["verdict"]["class"] in ("stable", "bounded-cache")
    requests = trigger["requests"]
    assert 400 <= requests["completed"] == requests["planned"] < 9900


def test_an_undecided_one_goes_to_the_budget_and_says_so(oomlab, tmp_path):
    # 16 KiB a request: far from the limit within the budget, and yet no level.
    result = run(oomlab, tmp_path / "run", "--budget", "11s", kib=16, leak=1)
    trigger = arm(result, "trigger")
    assert trigger["oom_kills"] == 0
    assert trigger["ended_because"] == "sequence-complete"
    assert trigger["stop_reason"].startswith("Not settled within the budget: after 9 cycles")
    assert trigger["requests"]["completed"] == trigger["requests"]["planned"] == 900
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert trigger["stop_reason"] in report
    assert "its budget was spent" in report and "all requests were sent" not in report


def test_confidence_asks_for_more_kills(oomlab, tmp_path):
    result = run(oomlab, tmp_path / "run", "--confidence", "90%", "--arms", "trigger", "--sample-rate", "100/s", kib=256,
                 leak=1, status=3)
    trigger = arm(result, "trigger")
    assert trigger["ended_because"] == "settled" and trigger["oom_kills"] >= 4, trigger["stop_reason"]
    assert "confidence 0.9 asks for 10 times" in trigger["stop_reason"]


def test_numbers_that_are_given_are_kept(oomlab, tmp_path):
    result = run(oomlab, tmp_path / "kills", "--kills", "2", "--arms", "trigger", "--per-cycle", "300", kib=1024, leak=1,
                 status=3)
    trigger = arm(result, "trigger")
    assert (trigger["oom_kills"], trigger["ended_because"], trigger["stop_reason"]) == (2, "kill-stop", None)
    result = run(oomlab, tmp_path / "cycles", "--cycles", "6", "--per-cycle", "50", kib=64)
    trigger = arm(result, "trigger")
    assert (trigger["ended_because"], trigger["stop_reason"]) == ("sequence-complete", None)
    assert trigger["requests"]["planned"] == trigger["requests"]["completed"] == 300
