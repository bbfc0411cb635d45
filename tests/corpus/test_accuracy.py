# SPDX-License-Identifier: Apache-2.0
"""Replays the corpus through the judge: the bars of bars.py hold, and the catalogue and the traces are one."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import accuracy  # noqa: E402
import bars  # noqa: E402
import shapes  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", HERE.parent.parent / "build"))


@pytest.fixture(scope="module")
def catalogue():
    return accuracy.load_catalogue()


@pytest.fixture(scope="module")
def judged(catalogue):
    return accuracy.judge(str(BUILD / "tests/corpus/judge"), catalogue)


@pytest.mark.parametrize("bar", [bar for bar in bars.BARS if bar[5] == bars.ASSERTED], ids=lambda bar: "-".join(map(str, bar[:5])))
def test_bar(judged, bar):
    part, view, measure, comparison, bound, _ = bar
    value = getattr(accuracy.pick(judged, part, view), measure)
    assert value >= bound if comparison == ">=" else value <= bound, f"{measure} is {value:.4f}"


def test_every_view_is_judged(judged, catalogue):
    seen = {(row["case"], row["view"]) for row in judged}
    assert seen == {(name, view) for name in catalogue for view in accuracy.VIEWS}


def test_catalogue_is_up_to_date():
    check = subprocess.run([sys.executable, HERE / "catalogue.py", "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def test_no_shape_is_in_both_parts(catalogue):
    parts = {}
    for row in catalogue.values():
        assert parts.setdefault(row["shape"], row["part"]) == row["part"]
    assert set(parts.values()) == {"tuning", "test"}


def test_size(catalogue):
    """As large as it was meant to be, and small enough for a repository."""
    assert len(catalogue) >= 120 and len({row["shape"] for row in catalogue.values()}) >= 40
    assert sum(row["label"] == "leak" and row["parameters"]["raise"] is not None for row in catalogue.values()) >= 40
    sizes = [path.stat().st_size for path in (HERE / "traces").iterdir()]
    assert sum(sizes) < 4 << 20 and max(sizes) < 64 << 10


def test_killed_leaks_died_by_their_limit(catalogue):
    """A case that was recorded with more memory was killed without: it has a question to answer."""
    for name, row in catalogue.items():
        if row["parameters"]["raise"] is None:
            continue
        lines = (HERE / "traces" / f"{name}.trace").read_text().splitlines()
        arm = next(i for i, line in enumerate(lines) if line.startswith("arm raise"))
        assert any("cause oom-container-limit" in line for line in lines[:arm] if line.startswith("lifetime")), name


def test_truths_agree_with_the_programs():
    """What was measured is what the program keeps: the block that it allocates, and little beside it."""
    for case in shapes.all_cases():
        if case["shape"] not in ("c-request", "c-tmpfs", "py-sessions", "node-buffers", "java-direct"):
            continue
        truth = accuracy.load_catalogue()[case["id"]]["bytes_per_request"]
        assert case["env"]["SIZE"] <= truth <= case["env"]["SIZE"] * 1.1 + 1024, case["id"]
