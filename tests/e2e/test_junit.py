# SPDX-License-Identifier: Apache-2.0
"""oomlab run --junit: a CI service's page of tests says what the run says. Of a check, see test_check.py."""

import pytest

from test_check import FAST, LAB, LEAKING, WORKLOAD, interrupt, read_junit

pytestmark = pytest.mark.usefixtures("no_leftovers")


def test_each_gate_of_a_lab_is_a_test(oomlab, tmp_path):
    junit, lab = tmp_path / "run.xml", tmp_path / "lab.yaml"
    # Short traffic: more memory is not used up in it, so that one gate at least does not hold.
    lab.write_text(LAB.replace("256Mi", "64Mi").replace("per-cycle: 60", "per-cycle: 60\nkills: 1"), encoding="utf-8")
    result = oomlab.result("run", "--format", "json", *FAST, "--junit", junit, lab, status=3)
    suites = {suite[0]: suite for suite in read_junit(junit)}
    assert list(suites) == ["leaking", "sound", "shop"]
    for name in ("leaking", "sound"):
        gates = [gate for gate in result["gates"] if gate["scenario"] == name]
        _, tests, failures, errors, skipped, _, cases = suites[name]
        assert tests == len(cases) == len(gates) > 0 and errors == skipped == 0
        assert failures == sum(not gate["pass"] for gate in gates)
        for gate, (classname, case, results, out) in zip(gates, cases):
            assert (classname, f"{name}/{case}") == (f"shop.{name}", gate["id"])
            assert gate["hypothesis"] in out and all(check["observed"] in out for check in gate["checks"])
            failed = [check for check in gate["checks"] if not check["pass"]]
            assert [kind for kind, _ in results] == (["Failure"] if failed else [])
            assert all(f"{check['id']}: {check['observed']} (must be: {check['threshold']})" in results[0][1] for check in failed)
    assert suites["leaking"][2] >= 1
    # The run is negative for its gates, which say so themselves.
    _, _, failures, _, _, seconds, [(classname, case, results, out)] = suites["shop"]
    assert (failures, classname, case, results) == (0, "shop", "verdict", [])
    assert result["verdict"]["summary"] in out and seconds == pytest.approx(result["run"]["duration_s"], abs=0.001)


def test_the_verdict_fails_where_the_gates_hold(oomlab, tmp_path):
    """A service that leaks does what the gate expects of a leak, and is no service to ship."""
    junit = tmp_path / "run.xml"
    arguments = ("run", "--format", "json", *FAST, "--junit", junit, "--memory", "64Mi", "--arms", "trigger", "--kills", "1")
    result = oomlab.result(*arguments, *LEAKING, *WORKLOAD, status=3)
    assert [(gate["id"], gate["pass"]) for gate in result["gates"]] == [("service/trigger-reproduces", True)]
    gates, (_, tests, failures, _, _, _, [(_, case, results, _)]) = read_junit(junit)
    assert gates[1:3] == [1, 0]
    assert (tests, failures, case) == (1, 1, "verdict")
    assert results[0][0] == "Failure" and result["verdict"]["summary"] in results[0][1]
    oomlab.result(*arguments, *WORKLOAD, status=0)  # in the place of the file before
    assert [suite[1:4] for suite in read_junit(junit)] == [[1, 0, 0]]


def test_what_could_not_be_carried_out_is_an_error(oomlab, tmp_path):
    junit, command = tmp_path / "run.xml", tmp_path / 'none <&>"'
    done = oomlab("run", *FAST, "--memory", "64Mi", "--junit", junit, "--", command)
    assert done.returncode == 2 and command.name in done.stderr
    (_, tests, failures, errors, _, _, [(_, _, results, _)]), = read_junit(junit)
    assert (tests, failures, errors) == (1, 0, 1) and results[0][0] == "Error" and command.name in results[0][1]


def test_an_interrupted_run_is_an_error(oomlab, tmp_path):
    junit = tmp_path / "run.xml"
    interrupt(oomlab, "run", "--junit", junit)
    (_, _, _, errors, _, _, [(_, _, results, _)]), = read_junit(junit)
    assert errors == 1 and results[0] == ["Error", "interrupted"]


def test_a_file_that_cannot_be_written_is_told_before_anything_runs(oomlab):
    done = oomlab("run", "--memory", "64Mi", "--junit", "/nonexistent/x.xml", "--", "/bin/true")
    assert done.returncode == 2 and "--junit: cannot write '/nonexistent/x.xml'" in done.stderr
    assert not list(oomlab.state.rglob("evidence.db"))
