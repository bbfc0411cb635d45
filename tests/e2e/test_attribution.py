# SPDX-License-Identifier: Apache-2.0
"""Who killed it, row by row, on this machine's kernel: tests/attribution/rows.py, each row once."""

import json
import os
import subprocess
import sys

import pytest

from conftest import PYTHON, TREE, oomlab_binary

RUNNER = TREE / "tests" / "attribution" / "rows.py"
sys.path.insert(0, str(RUNNER.parent))

from table import ROWS  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the rows make control groups: root only")


@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_row(row, tmp_path):
    env = {**os.environ, "OOMLAB": oomlab_binary(), "TMPDIR": str(tmp_path)}
    done = subprocess.run([PYTHON, str(RUNNER), "--json", "--row", row], env=env, text=True,
                          capture_output=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    if row in answer["skipped"]:
        pytest.skip(answer["skipped"][row])
    assert done.returncode == 0, json.dumps(answer["wrong"], indent=1)
    assert answer["rows"][row] == {**answer["rows"][row], "runs": 1, "right": 1}
