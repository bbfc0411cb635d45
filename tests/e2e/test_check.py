# SPDX-License-Identifier: Apache-2.0
"""oomlab check: leaking and healthy services against budgets, and what a CI service reads of it."""

import json
import signal
import subprocess

import pytest

from conftest import PYTHON, SERVERS

pytestmark = pytest.mark.usefixtures("no_leftovers")

FAST = ("--quiet", "--idle", "200ms", "--gap", "100ms", "--cooldown", "200ms", "--rate", "200/s", "--request", "GET /work")
LEAKING = ("--env", "MODE=leak-per-request", "--env", "LEAK_BYTES_PER_REQUEST=256Ki")
WORKLOAD = ("--", "oomlab", "workload")
PYTHON_SHOP = ("--", PYTHON, str(SERVERS / "leaky.py"))


def check(oomlab, *arguments, status, **more):
    checked = oomlab.result("check", "--format", "json", *FAST, *arguments, status=status, **more)
    assert checked["schema"] == "oomlab.check/1"
    assert checked["pass"] == (status == 0)
    return {(row["scenario"], row["check"]): row for row in checked["checks"]}


def outcomes(rows):
    return {name: row["outcome"] for (_, name), row in rows.items()}


def read_junit(path):
    """As a CI service reads it: by a parser of JUnit files that is not ours (Debian's Python has it)."""
    program = ("import json, sys, junitparser\n"
               "xml = junitparser.JUnitXml.fromfile(sys.argv[1])\n"
               "print(json.dumps([[suite.name, suite.tests, suite.failures, suite.errors, suite.skipped, suite.time,"
               " [[case.classname, case.name, [[type(r).__name__, r.message] for r in case.result], case.system_out]"
               "  for case in suite]] for suite in xml]))")
    done = subprocess.run([PYTHON, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def interrupt(oomlab, verb, *arguments):
    """Run it, and end it as soon as its service is being started."""
    process = oomlab.popen(verb, *FAST[1:-2], "--memory", "64Mi", "--idle", "60s", *arguments, *WORKLOAD)
    for line in process.stderr:
        if "limit 64Mi" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


# --- verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [WORKLOAD, PYTHON_SHOP], ids=["c", "python"])
def test_a_healthy_service_passes(oomlab, service):
    rows = check(oomlab, "--memory", "128Mi", "--max-memory", "100Mi", "--max-growth", "32KiB/request", *service,
                 status=0)
    assert outcomes(rows) == dict.fromkeys(
        ("kills", "ends", "requests", "verdict", "growth-per-request", "memory"), "pass")
    growth = rows["service", "growth-per-request"]
    assert growth["most"] == 32768 and growth["unit"] == "bytes/request"
    assert growth["ci95"][0] <= growth["value"] <= growth["ci95"][1] <= 32768
    memory = rows["service", "memory"]
    assert 0 < memory["value"] <= memory["most"] == 100 << 20


@pytest.mark.parametrize("service", [WORKLOAD, PYTHON_SHOP], ids=["c", "python"])
def test_the_documented_budget_is_decided_with_the_defaults(oomlab, service):
    checked = oomlab.result("check", "--format", "json", "--memory", "256Mi", "--max-memory", "200Mi", "--max-growth",
                            "1KiB/request", *service, status=0, timeout=300)
    growth, = [row for row in checked["checks"] if row["check"] == "growth-per-request"]
    assert growth["outcome"] == "pass" and growth["ci95"][1] <= 1024
    arm, = oomlab.result("report", "last", "--format", "json")["arms"]
    assert "is within the budget of 1.0 KiB" in arm["stop_reason"]


@pytest.mark.parametrize(("leak", "service"), [(LEAKING, WORKLOAD), (("--env", "LEAK=1"), PYTHON_SHOP)],
                         ids=["c", "python"])
def test_a_leak_fails_before_it_is_killed(oomlab, leak, service):
    rows = check(oomlab, "--memory", "256Mi", "--max-growth", "1KiB/request", *leak, *service, status=3)
    found = outcomes(rows)
    assert found["growth-per-request"] == "fail" and found["kills"] == "pass"
    verdict = rows["service", "verdict"]
    assert verdict["outcome"] == "fail" and verdict["observed"] == "leak" and "within" not in verdict["allowed"], verdict
    growth = rows["service", "growth-per-request"]
    # Both retain 256 KiB a request; Python's objects have headers on top.
    assert growth["ci95"][0] <= growth["value"] <= growth["ci95"][1]
    assert 0.9 * 262144 <= growth["value"] <= 1.3 * 262144
    assert growth["ci95"][0] > 1024


def test_a_leak_fails_without_a_budget(oomlab):
    rows = check(oomlab, "--memory", "256Mi", *LEAKING, *WORKLOAD, status=3)
    assert outcomes(rows) == {"kills": "pass", "ends": "pass", "requests": "pass", "verdict": "fail"}
    assert rows["service", "verdict"]["observed"] == "leak"


def test_a_leak_within_its_budget_passes(oomlab):
    rows = check(oomlab, "--memory", "256Mi", "--max-growth", "1MiB/request", *LEAKING, *WORKLOAD, status=0)
    assert rows["service", "verdict"]["observed"] == "leak"


def test_a_kill_fails_and_ends_the_check(oomlab):
    rows = check(oomlab, "--memory", "32Mi", "--max-memory", "32Mi", *LEAKING, *WORKLOAD, status=3)
    found = outcomes(rows)
    assert found["kills"] == found["memory"] == found["verdict"] == "fail"
    assert rows["service", "kills"]["value"] == 1  # over at the first one
    assert "killed" in rows["service", "memory"]["observed"]


def test_too_much_memory_fails(oomlab):
    rows = check(oomlab, "--memory", "128Mi", "--max-memory", "1Mi", *WORKLOAD, status=3)
    assert {name for name, outcome in outcomes(rows).items() if outcome == "fail"} == {"memory"}


def test_requests_that_are_not_served_fail(oomlab):
    rows = check(oomlab, "--memory", "128Mi", "--request", "POST /none", *PYTHON_SHOP, status=3)
    assert rows["service", "requests"]["value"] == 0.5  # http.server answers POST with 501
    rows = check(oomlab, "--memory", "128Mi", "--request", "POST /none", "--max-failed", "50%", *PYTHON_SHOP,
                 status=0)
    assert outcomes(rows)["requests"] == "pass"


def test_an_end_of_its_own_fails(oomlab):
    program = SERVERS / "leaky.py"
    code = (f"import os, threading; threading.Timer(1, os._exit, [7]).start(); "
            f"exec(compile(open({str(program)!r}).read(), 'server', 'exec'))")
    rows = check(oomlab, "--memory", "128Mi", "--max-failed", "100", "--", PYTHON, "-c", code, status=3)
    assert outcomes(rows)["ends"] == "fail"
    assert "exited with exit code 7" in rows["service", "ends"]["observed"]


def test_inconclusive_fails_unless_allowed(oomlab):
    # Seconds say little of days: the interval cannot be below one byte a day.
    few = ("--memory", "128Mi", "--max-growth", "1/d", "--cycles", "5")
    rows = check(oomlab, *few, *WORKLOAD, status=3)
    assert outcomes(rows)["growth-per-time"] == "inconclusive"
    assert rows["service", "growth-per-time"]["reason"] == "the interval holds the budget; more requests narrow it"
    assert "fail" not in outcomes(rows).values()
    rows = check(oomlab, *few, "--allow-inconclusive", *WORKLOAD, status=0)
    assert outcomes(rows)["growth-per-time"] == "inconclusive"


def test_growth_above_the_budget_that_no_verdict_knows_of_says_so(oomlab):
    """Three KiB a request are above the budget; in a thousand requests they are under 1 % of the limit."""
    arguments = ("--memory", "512Mi", "--max-growth", "512/request", "--cycles", "5", "--per-cycle", "200",
                 "--env", "MODE=leak-per-request", "--env", "LEAK_BYTES_PER_REQUEST=3Ki", *WORKLOAD)
    growth = check(oomlab, *arguments, status=3)["service", "growth-per-request"]
    assert growth["outcome"] == "inconclusive" and growth["ci95"][0] > growth["most"]
    assert growth["reason"].startswith("the interval is above the budget, but the verdict, stable, knows of no growth")
    text = oomlab("check", *FAST, *arguments).stdout
    assert "INCONCLUSIVE growth-per-request of service: the interval is above the budget" in text
    assert "holds the budget" not in text


def test_requests_that_could_not_be_sent(oomlab):
    rows = check(oomlab, "--memory", "64Mi", "--max-growth", "1KiB/request", "--", "/bin/false", status=3)
    requests = rows["service", "requests"]
    assert requests["outcome"] == "fail"
    assert requests["observed"] == "none could be sent: it never became ready"


# --- lab files ------------------------------------------------------------------------------------

LAB = """
name: shop
memory: 256Mi
command: [oomlab, workload]
per-cycle: 60
scenarios:
  leaking:
    env: {MODE: leak-per-request, LEAK_BYTES_PER_REQUEST: 256Ki}
    patch-env: {MODE: healthy}
    expect: leak
  sound:
    env: {MODE: healthy}
    arms: control
    expect: healthy
"""


def test_every_scenario_of_a_lab_is_checked(oomlab, tmp_path):
    (tmp_path / "lab.yaml").write_text(LAB, encoding="utf-8")
    junit = tmp_path / "check.xml"
    rows = check(oomlab, tmp_path / "lab.yaml", "--junit", junit, status=3)
    assert rows["leaking", "verdict"]["outcome"] == "fail"  # what the lab expects is no excuse
    assert rows["sound", "verdict"]["outcome"] == "pass"
    result = oomlab.result("report", "last", "--format", "json")
    assert [arm["name"] for arm in result["arms"]] == ["trigger", "trigger"]
    assert result["gates"] == []
    suites = {suite[0]: suite for suite in read_junit(junit)}
    assert set(suites) == {"leaking", "sound"}
    for name, (_, tests, failures, errors, skipped, time, cases) in suites.items():
        own = {check: row for (scenario, check), row in rows.items() if scenario == name}
        assert tests == len(cases) == len(own) and errors == skipped == 0 and time > 0
        assert failures == sum(not row["pass"] for row in own.values())
        for classname, check_name, results, out in cases:
            assert classname == f"shop.{name}" and own[check_name]["observed"] in out
            assert [kind for kind, _ in results] == ([] if own[check_name]["pass"] else ["Failure"])


# --- what a log shows -----------------------------------------------------------------------------


def test_text_and_annotations(oomlab, tmp_path):
    junit = tmp_path / "check.xml"
    arguments = ("check", *FAST, "--memory", "128Mi", "--max-memory", "1Mi",
                 "--max-growth", "1/d", "--cycles", "5", "--junit", junit, *WORKLOAD)
    done = oomlab(*arguments, env={"GITHUB_ACTIONS": "true"})
    assert done.returncode == 3 and done.stderr == ""
    lines = done.stdout.splitlines()
    results = [line.split() for line in lines[1:lines.index("")]]
    assert [(words[0], words[2]) for words in results] == [
        ("PASS", "kills"), ("PASS", "ends"), ("PASS", "requests"), ("PASS", "verdict"),
        ("INCONCLUSIVE", "growth-per-time"), ("FAIL", "memory")]
    assert "FAIL: 2 of 6 checks do not pass" in lines
    annotations = [line for line in lines if line.startswith("::")]
    assert [line.split("::")[1] for line in annotations] == [
        "error title=oomlab check: growth-per-time of service", "error title=oomlab check: memory of service"]
    assert "(95 %25: " in annotations[0]
    done = oomlab(*arguments[:-3], "--allow-inconclusive", *WORKLOAD)
    assert "::error" not in done.stdout
    kinds = [kind for case in read_junit(junit)[0][6] for kind, _ in case[2]]
    assert kinds == ["Skipped", "Failure"]


def test_a_service_that_cannot_start_is_an_error_of_the_suite(oomlab, tmp_path):
    junit = tmp_path / "check.xml"
    done = oomlab("check", *FAST, "--memory", "64Mi", "--junit", junit, "--", tmp_path / "none")
    assert done.returncode == 2 and "none" in done.stderr and done.stdout == ""
    (_, tests, failures, errors, skipped, _, cases), = read_junit(junit)
    assert (tests, failures, errors, skipped) == (1, 0, 1, 0)
    assert cases[0][2][0][0] == "Error" and "none" in cases[0][2][0][1]


# --- usage ----------------------------------------------------------------------------------------

SERVICE = ("--memory", "64Mi", "--", "/bin/true")


@pytest.mark.parametrize(("arguments", "message"), [
    ((), "what is to be checked?"),
    (("--max-growth", "1KiB", *SERVICE), "--max-growth: '1KiB' is no growth"),
    (("--max-growth", "1KiB/week", *SERVICE), "is no growth"),
    (("--max-growth", "x/request", *SERVICE), "--max-growth: "),
    (("--max-growth", "1/s", "--max-growth", "2/h", *SERVICE), "growth in time was given before"),
    (("--max-memory", "0", *SERVICE), "--max-memory: a service needs more than nothing"),
    (("--max-memory", "128Mi", *SERVICE), "128Mi is more than the memory limit of 'service', 64Mi"),
    (("--max-failed", "101%", *SERVICE), "--max-failed: '101%' is no share"),
    (("--max-failed", "", *SERVICE), "--max-failed: '' is no share"),
    (("--raise", "1Gi", *SERVICE), "unknown option '--raise'"),
    (("--junit", "/nonexistent/x.xml", *SERVICE), "--junit: "),
])
def test_wrong_usage(oomlab, arguments, message):
    done = oomlab("check", *arguments)
    assert done.returncode == 2 and message in done.stderr and done.stdout == ""
