# SPDX-License-Identifier: Apache-2.0
"""cgroup v2 on a kernel that we boot ourselves: User Mode Linux (see uml.py)."""

import json
import shlex
import subprocess
import sys

import pytest

import conftest
from conftest import Machine

sys.path.insert(0, str(conftest.TREE / "tests" / "heap"))

import sites  # noqa: E402


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    share = tmp_path_factory.mktemp("uml")
    return conftest.run_kernel_tests(Machine("uml.py"), share, deadline_s=600)


@pytest.mark.parametrize("name", [test["name"] for test in conftest.kernel_tests()])
def test_kernel(results, name, record_property):
    conftest.report_cases(results[name], record_property)


def test_lab(tmp_path):
    status, result = conftest.run_small_lab(Machine("uml.py"), tmp_path, deadline_s=600)
    assert result["run"]["host"]["cgroup_version"] == 2
    conftest.assert_lab_holds(status, result)


@pytest.mark.parametrize("processes", [1, 3])
def test_heap_profile(tmp_path, processes):
    """Ten leaking sites under memory.oom.group: the kernel kills all processes at once, and what each held is known."""
    program = sites.build(tmp_path)
    command = ["/usr/bin/python3", "tests/heap/sites.py", "--runs", "1", "--memory", "256Mi", "--processes", str(processes),
               "--oomlab", str(conftest.BUILD / "oomlab"), "--program", "/mnt/share/sites", "--json"]
    done = Machine("uml.py", "--memory", "640M").run(
        tmp_path, ["sh", "-c", f"{shlex.join(command)} > /mnt/share/found.json"], deadline_s=300)
    assert done.returncode == 0
    assert program.exists()
    (run,) = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert run["cgroup_version"] == 2 and run["rate_bytes"] == 16384
    assert (run["dropped"], run["lost_stacks"], run["torn"]) == (0, 0, 0)
    assert sum(run["truth"].values()) > 0.88 * (256 << 20)  # each process has libraries and tables of its own
    assert set(run["found"]) == set(sites.SITES)
    assert sites.summed_error(run["found"], run["truth"]) <= sites.ERROR_MOST
    # By chance one run in 2,000 has a site of which the estimate is beyond 4 standard deviations.
    assert max(abs(value) for site in sites.SITES for value in sites.deviations([run], site)) < 4


def test_heap_profile_of_a_killed_worker(tmp_path):
    """Where memory.oom.group is not set (as Docker does) the kernel kills the worker alone: what it held is kept."""
    sources = conftest.TREE / "tests" / "heap"
    subprocess.run(["gcc", "-O1", "-g", "-o", tmp_path / "prefork", sources / "prefork.c"], check=True)
    oomlab, group = shlex.quote(str(conftest.BUILD / "oomlab")), "/sys/fs/cgroup/oomlab-*/prefork--*/memory.oom.group"
    done = Machine("uml.py", "--memory", "256M").run(
        tmp_path, ["sh", "-c", f"(until for file in {group}; do echo 0 > $file; done; do sleep 0.05; done) 2> /dev/null & "
                   f"{oomlab} run --quiet --memory 64Mi --arms trigger --ready tcp --rate 100/s --cycles 4 --per-cycle 20 "
                   "--gap 200ms --cooldown 200ms --kills 1 --heap --output /mnt/share/run -- /mnt/share/prefork again; "
                   f"{oomlab} heap /mnt/share/run --format json > /mnt/share/found.json"], deadline_s=300)
    assert done.returncode == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    heap = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert result["run"]["host"]["cgroup_version"] == 2 and len(result["arms"][0]["lifetimes"]) == 1
    assert heap["moment"] == "kill" and 0.9 < heap["coverage"] < 1.05
    assert "worker_keeps" in [frame["function"] for frame in heap["stacks"][0]["frames"]]
    assert 50 << 20 < heap["stacks"][0]["bytes"] < 60 << 20
