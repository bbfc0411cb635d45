# SPDX-License-Identifier: Apache-2.0
"""Growth by kind of memory: real leaks of one kind under a real limit, in the result and in the report."""

import json

import jsonschema
import pytest

from conftest import TREE

LEAK = 256 << 10
KINDS = ("anon", "shmem", "kernel", "file_active", "file_inactive")
SCHEMA = json.loads((TREE / "docs" / "result.schema.json").read_text(encoding="utf-8"))


def run(oomlab, mode):
    done = oomlab("run", "--quiet", "--format", "json", "--sample-rate", "100/s", "--idle", "200ms", "--gap", "100ms",
                  "--cooldown", "200ms", "--rate", "200/s", "--ready", "http:/health", "--request", "GET /work",
                  "--memory", "64Mi", "--arms", "trigger", "--kills", "2", "--cycles", "2", "--per-cycle", "300",
                  "--env", f"MODE={mode}", "--env", f"LEAK_BYTES_PER_REQUEST={LEAK}", "--", "oomlab", "workload")
    if done.returncode == 4:
        pytest.skip(f"this machine cannot run a lab: {done.stderr.strip()}")
    assert done.returncode in (0, 3), done.stderr
    result = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    return result


@pytest.mark.parametrize(("mode", "kind", "words"), [("leak-per-request", "anon", "anonymous memory +2"),
                                                     ("shmem", "shmem", "shared memory +2")])
def test_a_leak_is_in_its_kind(oomlab, mode, kind, words):
    result = run(oomlab, mode)
    growth = result["arms"][0]["verdict"]["growth"]
    kinds = growth["by_kind"]
    assert kinds["per"] == "request" and set(kinds) <= {"per", *KINDS}
    assert kinds[kind] == pytest.approx(LEAK, rel=0.1)
    others = sum(abs(kinds[other]) for other in KINDS if other != kind and other in kinds)
    assert others < LEAK / 10
    report = (oomlab.state / "oomlab" / "runs" / result["run"]["id"] / "report.md").read_text(encoding="utf-8")
    (line,) = [line for line in report.splitlines() if line.startswith("Growth per request by kind of memory: ")]
    assert words in line
    assert "by_kind" not in result["verdict"]["growth"]  # it rests on several arms
