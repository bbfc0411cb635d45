# SPDX-License-Identifier: Apache-2.0
"""What the tests in virtual machines share: the build, a machine, and the suites that run inside."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

TREE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD_DIR", TREE / "build")).resolve()
sys.path.insert(0, str(TREE / "tests"))

sys.path.insert(0, str(TREE / "tests" / "attribution"))

import cmocka  # noqa: E402
from table import ROWS  # noqa: E402

UNAVAILABLE = 77


class Machine:
    """A command for one boot: uml.py or qemu.py with its options."""

    def __init__(self, script: str, *options: str):
        self.argv = [sys.executable, str(TREE / "tests" / "vm" / script), "run", *options]

    def run(self, share: Path, command: list[str], deadline_s: int, env: dict | None = None):
        """Boot and run; a skip (with its reason) when this machine cannot boot the guest."""
        settings = {"OOMLAB_MUST_WORK": os.environ.get("OOMLAB_MUST_WORK", "0"), **(env or {})}
        argv = [*self.argv, "--share", str(share), "--deadline", str(deadline_s)]
        argv += [f"--env={key}={value}" for key, value in settings.items()]
        done = subprocess.run([*argv, "--", *command], capture_output=True, text=True, check=False)
        if done.returncode == UNAVAILABLE and "guest:" in done.stderr:
            pytest.skip(done.stderr.strip().splitlines()[-1])
        print(done.stdout + done.stderr)
        return done


def kernel_tests() -> list[dict]:
    """The meson tests of suite `kernel`: what a system test of the C parts is."""
    listing = subprocess.run(
        ["meson", "introspect", str(BUILD), "--tests"], capture_output=True, text=True, check=True
    )
    return [test for test in json.loads(listing.stdout) if "oomlab:kernel" in test["suite"]]


def run_kernel_tests(machine: Machine, share: Path, deadline_s: int) -> dict[str, cmocka.Result]:
    """All of them in one boot, one after the other. Name → result."""
    tests = kernel_tests()
    script = []
    for number, test in enumerate(tests):
        env = [f"{key}={value}" for key, value in test["env"].items()]
        command = shlex.join(["timeout", str(test["timeout"]), "env", *env, *test["cmd"]])
        script.append(f"{command} > /mnt/share/{number}.log 2>&1")
        script.append(f"echo $? > /mnt/share/{number}.status")
        script.append(f"echo {test['name']} done")
    (share / "run").write_text("\n".join(script), encoding="utf-8")
    done = machine.run(share, ["sh", "/mnt/share/run"], deadline_s)
    assert done.returncode == 0, "the guest did not finish"
    results = {}
    for number, test in enumerate(tests):
        output = (share / f"{number}.log").read_text(encoding="utf-8", errors="replace")
        status = int((share / f"{number}.status").read_text(encoding="ascii"))
        results[test["name"]] = cmocka.parse(test["name"], output, status)
    return results


def report_cases(result: cmocka.Result, record_property) -> None:
    """Hand the cases to the runner that counts them, and fail for those that failed."""
    for name in result.passed:
        record_property("passed_case", name)
    for name, reason in result.skipped:
        record_property("skipped_case", f"{name}: {reason}")
    if result.skipped and not result.passed and not result.failed:
        pytest.skip(result.skipped[0][1])
    if result.failed:
        print(result.output)
    assert not result.failed


def run_small_lab(
    machine: Machine, share: Path, deadline_s: int, options: list[str] | None = None
) -> tuple[int, dict]:
    """The built-in lab at an eighth of its size. Exit status and result.json."""
    argv = [str(BUILD / "oomlab"), "run", "--quiet", "--format", "json", *(options or [])]
    command = shlex.join([*argv, "labs/small.yaml"])
    done = machine.run(share, ["sh", "-c", f"{command} > /mnt/share/result.json"], deadline_s)
    text = (share / "result.json").read_text(encoding="utf-8")
    assert text, done.returncode
    return done.returncode, json.loads(text)


def assert_lab_holds(status: int, result: dict) -> None:
    """What the built-in lab promises, whatever kernel it runs on."""
    failed = {gate["id"]: gate["checks"] for gate in result["gates"] if not gate["pass"]}
    assert result["gates"] and not failed
    assert status == 0
    kills = {(arm["scenario"], arm["name"]): arm["oom_kills"] for arm in result["arms"]}
    least = {("leak", "trigger"): 3, ("hard", "trigger"): 3, ("leak", "raise"): 2}
    assert ("leak", "trigger") in kills
    assert all(count >= least.get(arm, 0) for arm, count in kills.items()), kills
    assert not any(count for (_, arm), count in kills.items() if arm in ("patch", "fix", "control"))
    for arm in result["arms"]:
        for lifetime in arm["lifetimes"]:
            if lifetime["end"]["cause"].startswith("oom-"):
                assert lifetime["end"]["level"] == "Measured", lifetime["end"]


def run_rows(machine: Machine, share: Path, deadline_s: int, rows: list[str] | None = None,
             env: dict | None = None) -> dict:
    """The attribution rows (tests/attribution) in one boot, OOMLAB_ROW_RUNS times each (1). What
    was found is kept for the summary too; the rows' names select some."""
    runs = int(os.environ.get("OOMLAB_ROW_RUNS", "1"))
    command = ["/usr/bin/python3", str(TREE / "tests/attribution/rows.py"), "--json"]
    command += [f"--row={name}" for name in rows or []]
    text = shlex.join([*command, "--runs", str(runs)])
    settings = {"OOMLAB": str(BUILD / "oomlab"), "OOMLAB_ROW_DEADLINE": "90", **(env or {})}
    command = ["sh", "-c", f"{text} > /mnt/share/rows.json"]
    done = machine.run(share, command, deadline_s * runs, settings)
    text = (share / "rows.json").read_text(encoding="utf-8")
    assert text, f"the guest did not finish: {done.returncode}"
    kept = BUILD / "attribution" / f"{share.name}.json"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(text, encoding="utf-8")
    return json.loads(text)


def assert_row_right(found: dict, name: str) -> None:
    if name in found["skipped"]:
        pytest.skip(found["skipped"][name])
    wrong = [fault for fault in found["wrong"] if fault["row"] == name]
    assert not wrong, json.dumps(wrong, indent=1)
    row = found["rows"][name]
    assert row["runs"] >= 1 and row["right"] == row["runs"]


def run_e2e(machine: Machine, share: Path, cases: list[str], deadline_s: int, env: dict) -> dict[str, tuple[str, str]]:
    """These end-to-end tests ("FILE::TEST") in one boot. Name → passed, skipped or failed, and why."""
    command = ["/usr/bin/python3", "-u", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--tb=short", "--durations=9",
               "--junitxml=/mnt/share/junit.xml", *(f"tests/e2e/{case}" for case in cases)]
    settings = {"OOMLAB": str(BUILD / "oomlab"), "BUILD_DIR": str(BUILD), "PYTHONDONTWRITEBYTECODE": "1", **env}
    done = machine.run(share, command, deadline_s, settings)
    assert (share / "junit.xml").exists(), f"the guest did not finish: {done.returncode}"
    results = {}
    for case in ElementTree.parse(share / "junit.xml").iter("testcase"):
        name = f"{case.get('classname').rpartition('.')[2]}.py::{case.get('name')}"
        outcome, reason = "passed", ""
        for element in case:
            if element.tag in ("failure", "error", "skipped") and outcome != "failed":
                outcome = "skipped" if element.tag == "skipped" else "failed"
                reason = f"{element.get('message')}\n{element.text or ''}"
        results[name] = outcome, reason
    return results
