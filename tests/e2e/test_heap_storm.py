# SPDX-License-Identifier: Apache-2.0
"""The heap recorder in a storm: threads, forks, libraries that go, signals, and SIGKILL at random moments. `make heap-storm`
does it a thousand times."""

import random
import sys

import pytest

from conftest import TREE
from test_heap_programs import BUILD, MAKE_MAP, RECORDER

sys.path.insert(0, str(TREE / "tests" / "heap"))

import storm  # noqa: E402  (beside the path)

KILLS = 20

pytestmark = pytest.mark.usefixtures("no_leftovers")


def test_killed_at_random_moments(tmp_path):
    if not RECORDER.exists() or not MAKE_MAP.exists():
        pytest.skip("the recorder was not built: it needs x86-64 and glibc 2.35")
    programs = storm.build(tmp_path)
    chance = random.Random()
    samples = 0
    for _ in range(KILLS):
        _, found = storm.one_run(BUILD, programs, tmp_path, chance)
        samples += found["samples"]
    assert samples > 100 * KILLS
