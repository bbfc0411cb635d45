# SPDX-License-Identifier: Apache-2.0
"""cgroup v2 on a kernel that we boot ourselves: User Mode Linux (see uml.py)."""

import pytest

import conftest
from conftest import Machine


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
