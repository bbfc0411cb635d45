# SPDX-License-Identifier: Apache-2.0
"""oomlab serve on cgroup v2: end-to-end tests in one boot of User Mode Linux, run there by the guest's own pytest."""

import conftest
import pytest
from conftest import Machine

# The life of an app, its end by kill -9 of serve too, and what a root file system of its own needs of the kernel. What does
# not depend on the kernel's control groups is tested on this machine alone.
CASES = [
    "test_serve_life.py::test_a_kill_is_told_by_every_verb",
    "test_serve_life.py::test_restart_and_metrics",
    "test_serve_life.py::test_traffic_goes_by_weight",
    "test_serve_life.py::test_stop_with_apps_leaves_nothing",
    "test_serve.py::test_state_survives_a_stop_and_a_kill",
    "test_serve_images.py::test_a_kill_inside_is_proven",
    "test_serve_images.py::test_kill_9_leaves_nothing_mounted",
    "test_serve_crash.py::test_kill_under_churn",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    machine = Machine("uml.py", "--memory", "1536M")
    env = {"OOMLAB_TEST_KILLS": "4", "OOMLAB_TEST_CHURN_S": "2"}
    return conftest.run_e2e(machine, tmp_path_factory.mktemp("uml-serve"), CASES, 300, env)


@pytest.mark.parametrize("case", CASES)
def test_serve(results, case):
    outcome, reason = results.get(case, ("failed", "the guest did not come to it"))
    if outcome == "skipped":
        pytest.skip(reason)
    assert outcome == "passed", reason
