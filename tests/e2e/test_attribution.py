# SPDX-License-Identifier: Apache-2.0
"""Who killed it, row by row, on this machine's kernel: tests/attribution/rows.py, each row once, or
OOMLAB_ROW_RUNS times."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PYTHON, TREE, oomlab_binary

RUNNER = TREE / "tests" / "attribution" / "rows.py"
sys.path.insert(0, str(RUNNER.parent))

from table import ROWS  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the rows make control groups: root only")


@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_row(row, tmp_path):
    env = {**os.environ, "OOMLAB": oomlab_binary(), "TMPDIR": str(tmp_path)}
    runs = int(os.environ.get("OOMLAB_ROW_RUNS", "1"))
    command = [PYTHON, str(RUNNER), "--json", "--runs", str(runs), "--row", row]
    done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=120 * runs,
                          check=False)
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    kept = Path(os.environ.get("BUILD_DIR", TREE / "build"), "attribution", f"host-{row}.json")
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(done.stdout, encoding="utf-8")  # for the matrix in the summary
    if row in answer["skipped"]:
        pytest.skip(answer["skipped"][row])
    assert done.returncode == 0, json.dumps(answer["wrong"], indent=1)
    assert answer["rows"][row] == {**answer["rows"][row], "runs": runs, "right": runs}
