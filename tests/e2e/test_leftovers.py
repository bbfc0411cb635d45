# SPDX-License-Identifier: Apache-2.0
"""Nothing stays behind: after fifty ordinary runs, and after runs killed at random moments."""

import os
import random
import subprocess
import time
from pathlib import Path

from conftest import PYTHON, cgroups_of, mounts, oomlab_binary, run_ids

SHORT = ("run", "--memory", "48Mi", "--raise", "64Mi", "--port", "auto", "--request", "GET /work", "--rate", "100/s",
         "--cycles", "1", "--per-cycle", "60", "--idle", "0", "--gap", "0", "--cooldown", "0",
         "--ready", "http:/health", "--kills", "1", "--format", "json",
         "--env", "MODE=leak-per-request", "--env", "LEAK_BYTES_PER_REQUEST=4194304")


def processes_of(marker):
    """The processes whose environment carries the marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(condition, deadline_s=10):
    end = time.monotonic() + deadline_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def run_short(oomlab, marker, **more):
    return oomlab.popen(*SHORT, "--", oomlab_binary(), "workload", env={"OOMLAB_TEST_MARKER": marker},
                        **more)


def test_fifty_runs_leave_nothing(oomlab):
    marker = f"fifty-{os.getpid()}-{time.monotonic_ns()}"
    before = mounts()
    for i in range(50):
        process = run_short(oomlab, marker)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 3, err
        assert '"oom-container-limit"' in out
        assert processes_of(marker) == [], f"run {i}"
        assert cgroups_of(run_ids(oomlab.state)) == set(), f"run {i}"
        assert mounts() == before, f"run {i}"
    assert len(run_ids(oomlab.state)) == 50


def test_killed_runs_are_swept_by_the_next_one(oomlab):
    marker = f"killed-{os.getpid()}-{time.monotonic_ns()}"
    before = mounts()
    chance = random.Random(20261122)
    for _ in range(20):
        process = run_short(oomlab, marker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 1.5))  # the random moment is the test
        process.kill()
        process.wait()
        # The containers die with their owner, by the kernel's hand.
        assert wait_until(lambda: processes_of(marker) == [])
    process = run_short(oomlab, marker)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert processes_of(marker) == []
    ids = run_ids(oomlab.state)
    assert len(ids) > 10  # most were killed late enough to have begun
    assert cgroups_of(ids) == set()
    assert mounts() == before


def test_a_living_neighbour_is_left_alone(oomlab):
    """Two at the same time: the second's start must not sweep the first."""
    marker = f"neighbour-{os.getpid()}-{time.monotonic_ns()}"
    first = run_short(oomlab, marker)
    second = run_short(oomlab, marker)
    for process in (first, second):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 3, err
        assert out.count('"oom-container-limit"') >= 2
    assert processes_of(marker) == []


def test_no_descriptor_reaches_the_container(oomlab, tmp_path):
    script = tmp_path / "fds.py"
    script.write_text("import os; print(sorted(os.listdir('/proc/self/fd'), key=int), flush=True)\n")
    directory = tmp_path / "run"
    oomlab("run", "--memory", "64Mi", "--port", "auto", "--output", directory, "--", PYTHON, script)
    log = next(directory.glob("console-*.log")).read_text(encoding="utf-8")
    # 0, 1, 2 and the descriptor of the listing itself.
    assert "['0', '1', '2', '3']" in log
