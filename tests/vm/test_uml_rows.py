# SPDX-License-Identifier: Apache-2.0
"""Who killed it, row by row, on cgroup v2: every attribution row in one boot of User Mode Linux."""

import conftest
import pytest
from conftest import Machine


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return conftest.run_rows(Machine("uml.py"), tmp_path_factory.mktemp("uml-rows"), 1200)


@pytest.mark.parametrize("name", [row.name for row in conftest.ROWS])
def test_who_killed_it(rows, name):
    conftest.assert_row_right(rows, name)
