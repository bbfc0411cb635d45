# SPDX-License-Identifier: Apache-2.0
"""oomlab diagnose over curves of which something is missing: what is missing is said, and the verdict does not
pretend that it was there."""

import json
import random

import pytest

ZERO = 1780000000
MIB = 1 << 20


def growing(count, step=60, rate=100e3, seed=1):
    noise = random.Random(seed)
    return [(ZERO + step * i, int(50e6 + rate * i + noise.gauss(0, 2e4))) for i in range(count)]


@pytest.fixture
def arm(oomlab, tmp_path):
    def diagnose(rows, *arguments):
        path = tmp_path / "curve.csv"
        path.write_text("time,memory_bytes\n" + "".join(f"{t},{m}\n" for t, m in rows))
        (found,) = oomlab.result("diagnose", "--format", "json", *arguments, path)["arms"]
        return found
    return diagnose


def caveats(arm):
    return {caveat["kind"]: caveat["text"] for caveat in arm["verdict"]["caveats"]}


def test_nothing_is_said_of_a_good_curve(arm):
    found = arm(growing(300, step=1))
    assert caveats(found) == {}


def test_a_curve_that_settles_nothing_says_what_it_shows(arm):
    verdict = arm(growing(240))["verdict"]
    assert verdict["class"] == "inconclusive"
    assert "1.6 KiB per second" in verdict["summary"] and "longer curve" in verdict["would_settle"]


@pytest.mark.parametrize("count, said", [(2, "more than 2 samples"), (5, "more than 5 samples")])
def test_few_samples(arm, count, said):
    found = arm(growing(count))
    assert found["verdict"]["class"] == "inconclusive" and said in caveats(found)["few-samples"]


def test_a_gap(arm):
    rows = growing(240)
    found = arm(rows[:60] + rows[140:])
    assert set(caveats(found)) == {"coarse-sampling", "gaps"}
    assert "No sample for 1 h 21 min (34 % of the time), from second 3540 on" in caveats(found)["gaps"]


def test_a_clock_that_jumps_ahead_is_a_gap(arm):
    rows = growing(240)
    found = arm(rows[:120] + [(t + 30 * 86400, m) for t, m in rows[120:]])
    assert "99 % of the time" in caveats(found)["gaps"] and found["verdict"]["class"] == "inconclusive"


def test_a_clock_that_was_set_back_ends_what_is_judged(arm):
    """Sorted by time, the two stretches would lie on top of each other and look like a cache that is full."""
    rows = growing(240)
    found = arm(rows[:121] + [(t - 7200, m) for t, m in rows[121:]])
    said = caveats(found)["clock-steps"]
    assert "once, by 1 h 59 min (line 123)" in said and "119 samples" in said
    assert found["verdict"]["class"] not in ("bounded-cache", "stable")
    assert found["verdict"]["growth"]["bytes_per_second"] == pytest.approx(100e3 / 60, rel=0.05)


@pytest.mark.parametrize("order", ["newest first", "two days in the wrong order", "in no order"])
def test_rows_in_another_order_are_no_clock(arm, order):
    rows = growing(240)
    told = {"newest first": rows[::-1], "two days in the wrong order": rows[120:] + rows[:120],
            "in no order": random.Random(7).sample(rows, len(rows))}[order]
    plain, found = arm(rows), arm(told)
    assert "clock-steps" not in caveats(found)
    assert found["verdict"]["summary"] == plain["verdict"]["summary"]


def test_rows_without_a_value_are_counted(oomlab, tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("time,memory_bytes\n" + "".join(f"{t},{'NaN' if i % 3 == 0 else m}\n"
                                                     for i, (t, m) in enumerate(growing(240))))
    done = oomlab("diagnose", path)
    assert done.returncode == 0 and "curve.csv: 80 of 240 rows have no value" in done.stderr
    assert "What the samples do not show" in done.stdout


@pytest.mark.parametrize("cell", ["+Inf", "-1", "", "NaN", "1e30", "null"])
def test_cells_that_can_be_no_size_are_counted(oomlab, tmp_path, cell):
    path = tmp_path / "curve.csv"
    path.write_text("time,memory_bytes\n" + "".join(f"{t},{cell if i % 3 == 0 else m}\n"
                                                     for i, (t, m) in enumerate(growing(240))))
    done = oomlab("diagnose", path)
    assert done.returncode == 0 and done.stderr.count("80 of 240 rows have no value") == 1


@pytest.mark.parametrize("row, said", [("1780000000,much", "'much' is no amount of bytes"),
                                       ("0,5e7", "'0' is no time"), ("0,5e7", "add that start's epoch")])
def test_what_is_no_number_is_refused_with_its_line(oomlab, tmp_path, row, said):
    path = tmp_path / "curve.csv"
    path.write_text(f"time,memory_bytes\n{ZERO},5e7\n{row}\n")
    done = oomlab("diagnose", path)
    assert done.returncode not in (0, 3) and said in done.stderr and "curve.csv:3" in done.stderr


def level(size, count=300, seed=2):
    noise = random.Random(seed)
    return [(ZERO + i, int(size + noise.gauss(0, 2e4))) for i in range(count)]


def test_two_sizes_at_one_time_are_told(arm):
    two = [row for pair in zip(level(100e6), level(400e6)) for row in pair]
    found = arm(two, "--limit", "512Mi")
    assert caveats(found)["conflicting-values"].startswith(
        "300 moments have two sizes each, the first (second 0) 95.4 MiB and 381.5 MiB; of each the higher is used.")
    assert found["verdict"]["class"] == "stable"


def test_a_clock_coarser_than_its_samples_is_no_conflict(arm):
    found = arm([(t - t % 2, m) for t, m in growing(300, step=1)])
    assert "conflicting-values" not in caveats(found)


@pytest.mark.parametrize("rows", [level(400e6), growing(300, step=1, rate=2e6)])
def test_a_curve_above_its_limit_gets_no_forecast_of_it(oomlab, tmp_path, rows):
    path = tmp_path / "curve.csv"
    path.write_text("time,memory_bytes\n" + "".join(f"{t},{m}\n" for t, m in rows))
    result = oomlab.result("diagnose", "--format", "json", "--limit", "256Mi", path)
    (found,) = result["arms"]
    assert "above the limit of 256.0 MiB" in caveats(found)["above-limit"]
    assert any("above the memory limit of 256.0 MiB, which no container can exceed" in row["statement"]
               for row in result["evidence"])
    said = result["recommendation"]["reason"]
    assert "256.0 MiB" not in said and "headroom" not in said, said


def test_another_limit_that_is_recorded_is_told(oomlab, tmp_path):
    def pod(limit, started):
        state = {"running": {"startedAt": started}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": "u",
                                                                "creationTimestamp": started},
                "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"memory": limit}}}]},
                "status": {"phase": "Running", "startTime": started, "containerStatuses": [
                    {"name": "c", "containerID": "containerd://" + "a" * 64, "restartCount": 0, "ready": True,
                     "state": state}]}}
    for name, limit, started in (("old", "256Mi", "2026-06-20T04:00:00Z"), ("new", "512Mi", "2026-06-21T04:00:00Z")):
        (tmp_path / name).write_text(json.dumps(pod(limit, started)))
    result = oomlab.result("diagnose", "--format", "json", tmp_path / "old", tmp_path / "new")
    assert [arm["memory_limit_bytes"] for arm in result["arms"]] == [512 * MIB]
    said = [row["statement"] for row in result["evidence"]]
    assert "p/c: another record has a memory limit of 256.0 MiB; the one that was told last counts here." in said, said
