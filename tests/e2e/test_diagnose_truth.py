# SPDX-License-Identifier: Apache-2.0
"""Every recorded fixture against the truth that its PROVENANCE.md tells: which containers, how each lifetime
ended and when, what is a kill and what is none; and every statement against the row it rests on. A fixture
without its truth here is a failure."""

import json
import re
import sqlite3

import pytest

from conftest import TREE

FIXTURES = TREE / "tests" / "fixtures"
LEVELS = ["Measured", "Observed", "Correlated", "Strongly Suggested", "Inferred", "Not Proven"]
OWN, ABOVE, EXITED, UNKNOWN, RUNNING = ("oom-container-limit", "oom-ancestor-limit", "exited", "unknown", "running")
OOM = {OWN, ABOVE, "oom-host"}
# What a row can prove at most when it is to say that a kill was for memory.
KILL_PROVES = {"kernel-log": "Observed", "kubernetes": "Strongly Suggested", "docker": "Strongly Suggested",
               "prometheus": "Strongly Suggested", "azure": "Strongly Suggested"}
HARD = ["04:10:52", "04:11:04", "04:11:26", "04:12:08", "04:13:31", "04:16:13", "04:21:15"]
POD = "leaky-89d4f945b-jn82r/hog"
FIRST, CHILD, AGAIN = (f"/oomlab-podman/libpod-{start}" for start in ("a9cd6c1d", "23bbccb3", "6e653850"))


def podman(first=None, child=None, again=(None,) * 4):
    """The kernel's view of podman-inspect.json; without `again` the recording has the first two kills."""
    arms = {FIRST: [(OWN, first)], CHILD: [(OWN, child)]}
    return {**arms, AGAIN: [(OWN, at) for at in again]} if again else arms


FIX = {"/oomlab-fix": [(OWN, None)] * 7, "/oomlab-fix/child,task=x": [(ABOVE, None)]}
KILLER = "oom-userspace-killer"
LEAKY = {"leaky-0/hog": [(RUNNING, None)]}
# Fixture: the start of a container's name: its ends, each (cause, time of day or None).
TRUTH = {
    "azure/cgroup-v1-page-cache.json": {"ca-mempct-cache--fd5zbm1-": [(RUNNING, None)]},
    "azure/hard-oom-report.txt": {"ca-oom-hard--18xosgl-": [(OWN, at) for at in HARD]},
    "azure/hard-oom-revisions.json": {"ca-oom-hard--18xosgl": []},
    "azure/healthy-report.txt": {"ca-oom-healthy--dfl8p2o": []},
    "azure/healthy-revisions.json": {"ca-oom-healthy--dfl8p2o": []},
    "azure/leak-report.txt": {"ca-oom-leak--y1hn6jn-": [(OWN, "04:17:07"), (RUNNING, None)]},
    "azure/leak-revisions.json": {"ca-oom-leak--y1hn6jn": []},
    "azure/loganalytics-probe-failures.json": {"ca-labrevision-zfnp6h--0000001": []},
    "azure/metrics-restart-count-by-replica.json": {
        "ca-crashloop-d38538--4h6vseg-75f884db5-shcj2": [], "ca-crashloop-d38538--4h6vseg-75f884db5-pd64k": []},
    "azure/metrics-working-set-bytes.json": {"ca-loadtest-d38538": [(RUNNING, None)]},
    "azure/system-logs-normal-start.ndjson": {"ca-imgsize-acerjw--0000001-": []},
    # Podman's OOMKilled: false proves nothing, so its kills alone are unknown, and never called anything else.
    "container/podman-inspect.json": {
        "oomlab-hard": [(UNKNOWN, "14:39:41")], "oomlab-child": [(EXITED, "14:39:42")],
        "oomlab-e137": [(UNKNOWN, "14:39:43")], "oomlab-ok": [(EXITED, "14:39:43")],
        "oomlab-steady": [(RUNNING, None)], "oomlab-stopped": [(UNKNOWN, "14:39:44")],
        "oomlab-restart": [(UNKNOWN, "14:39:46")]},
    "csv/sadf-d.csv": {"vm": [(RUNNING, None)]},
    "csv/sar-r.txt": {"vm": [(RUNNING, None)]},
    "kernel-log/linux-6.1-cgroup-v2.kmsg": {"/oomlab-v2/in": [(ABOVE, None), (OWN, None)]},
    "kernel-log/linux-6.18-cgroup-v1.dmesg": FIX,
    "kernel-log/linux-6.18-cgroup-v1.dmesg-json": {"/oomlab-diag-fix": [(OWN, None)]},
    "kernel-log/linux-6.18-cgroup-v1.kmsg": FIX,
    "kernel-log/podman-cgroup-v1.dmesg": podman(again=()),
    "kernel-log/podman-cgroup-v1.dmesg-T": podman("14:39:41", "14:39:42", ()),
    "kernel-log/podman-cgroup-v1.dmesg-iso": podman("14:39:41", "14:39:42", ()),
    "kernel-log/podman-cgroup-v1.dmesg-x": podman(again=()),
    "kernel-log/podman-cgroup-v1.journal-json": podman(
        "14:39:41", "14:39:42", ("14:39:45", "14:39:45", "14:39:46", "14:39:46")),
    "kernel-log/podman-cgroup-v1.journal-short": podman(
        "14:39:41", "14:39:42", ("14:39:45", "14:39:45", "14:39:46", "14:39:46")),
    "kernel-log/podman-cgroup-v1.journal-short-iso": podman(
        "14:39:41", "14:39:42", ("14:39:45", "14:39:45", "14:39:46", "14:39:46")),
    "kernel-log/podman-cgroup-v1.journal-short-monotonic": podman(),
    "kernel-log/podman-cgroup-v1.kmsg": podman(),
    "kubernetes/events-leaky.json": {POD: [(UNKNOWN, None)]},
    "kubernetes/leaky-crashloop-pod.json": {POD: [(OWN, "11:33:57")]},
    "kubernetes/leaky-crashloop-pod.yaml": {POD: [(OWN, "11:33:57")]},
    "kubernetes/leaky-describe.txt": {POD: [(OWN, "11:33:57"), (OWN, "11:36:43")]},
    "kubernetes/metrics-cadvisor-excerpt.txt": {"hostnet/hog": [(RUNNING, None)], "steady/hog": [(RUNNING, None)]},
    "kubernetes/steady-pod.json": {"steady/hog": [(RUNNING, None)]},
    "user-space-killer/earlyoom-1.7.journal-json": {"python3": [(KILLER, "14:09:23")]},
    "user-space-killer/earlyoom-1.7.journal-short": {"python3": [(KILLER, "14:09:23")]},
    "user-space-killer/earlyoom-1.7.journal-short-iso": {"python3": [(KILLER, "14:09:23")]},
    "prometheus/all-series.json": {"leaky-0/hog": [(OWN, None)] * 3 + [(RUNNING, None)]},
    "prometheus/container_memory_cache.json": LEAKY,
    "prometheus/container_memory_rss.json": LEAKY,
    "prometheus/container_memory_usage_bytes.json": {},
    "prometheus/container_memory_working_set_bytes.json": LEAKY,
    "prometheus/container_oom_events_total.json": LEAKY,
    "prometheus/container_spec_memory_limit_bytes.json": {"leaky-0/hog": []},
    "prometheus/container_start_time_seconds.json": {"leaky-0/hog": [(UNKNOWN, None)] * 3 + [(RUNNING, None)]},
    "prometheus/kube_pod_container_status_last_terminated_reason.json": {"leaky-0/hog": [(OWN, None)]},
    "prometheus/kube_pod_container_status_restarts_total.json": {"leaky-0/hog": [(UNKNOWN, None)] * 3},
}
# Fixtures of a leak or a kill of which the file shows too little: they may be called nothing better than open.
OPEN = {"prometheus/container_memory_working_set_bytes.json", "prometheus/container_memory_rss.json",
        "prometheus/container_start_time_seconds.json", "kubernetes/events-leaky.json"}


def recorded():
    return [str(path.relative_to(FIXTURES)) for path in sorted(FIXTURES.rglob("*"))
            if path.is_file() and path.name != "PROVENANCE.md"]


def not_weaker(level, than):
    return LEVELS.index(level) <= LEVELS.index(than)


def test_every_fixture_has_its_truth():
    assert set(recorded()) == set(TRUTH)
    for name in recorded():
        provenance = (FIXTURES / name).parent / "PROVENANCE.md"
        assert provenance.is_file(), f"{name}: nobody says where it comes from"


@pytest.mark.parametrize("name", recorded())
def test_ends_times_and_causes(oomlab, name):
    truth = TRUTH[name]
    result = oomlab.result("diagnose", "--format", "json", FIXTURES / name)
    assert len(result["arms"]) == len(truth), [arm["name"] for arm in result["arms"]]
    for start, ends in truth.items():
        exact = [arm for arm in result["arms"] if arm["name"] == start]
        arm, = exact or [arm for arm in result["arms"] if arm["name"].startswith(start)]
        found = [(life["end"]["cause"], life["end"]["at"] and life["end"]["at"][11:19]) for life in arm["lifetimes"]]
        assert found == ends, arm["name"]
        assert arm["oom_kills"] == sum(cause in OOM for cause, _ in ends)
    if name in OPEN:
        assert result["verdict"]["class"] == "inconclusive" and result["verdict"]["would_settle"]


def source_text(path, line, origin):
    """The source row: a line, or of JSON and YAML the object that begins there."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    if line == 0:
        return "\n".join(lines)
    whole = path.suffix in (".json", ".yaml") or path.name.endswith("dmesg-json") or origin == "kubernetes"
    return "\n".join(lines[line - 1:]) if whole else lines[line - 1]


@pytest.mark.parametrize("name", recorded())
def test_every_statement_is_within_its_row(oomlab, tmp_path, name):
    out = tmp_path / "out"
    result = oomlab.result("diagnose", "--format", "json", FIXTURES / name, "--output", out)
    db = sqlite3.connect(out / "evidence.db")
    db.row_factory = sqlite3.Row
    sampled = {row[0] for row in db.execute("SELECT p.arm_id FROM fact f JOIN place p ON p.id = f.place_id"
                                            " WHERE f.kind = 'sample'")}
    arms = {arm["name"]: arm["row"] for arm in result["arms"]}
    walked = set()
    for item in result["evidence"]:
        fact = db.execute("SELECT * FROM fact WHERE id = ?", (item["source"]["row"],)).fetchone()
        assert fact and fact["line"] == item["source"]["line"]
        text = source_text(FIXTURES / name, fact["line"], fact["origin"])
        assert text.strip(), item
        said = item["statement"]
        arm = next(row for arm, row in arms.items() if said.startswith(arm + ": "))
        assert not_weaker("Observed", item["level"]), item  # nobody here measured anything
        cause = re.search(r": lifetime \d+, ([a-z-]+): ", said)
        if cause and cause[1] in OOM:
            most = KILL_PROVES[fact["origin"]]
            if fact["origin"] == "azure" and arm not in sampled:
                most = "Inferred"
            assert not_weaker(most, item["level"]), item
        if cause and cause[1] in ("killed-externally", "signalled"):
            assert not_weaker("Strongly Suggested", item["level"]), item
        if cause and cause[1] == KILLER:
            assert fact["kind"] == "killer-kill" and fact["reason"] in text, item
        code = re.search(r"with exit code (\d+)", said)
        if code:
            assert code[1] in text, item
        if "the kernel log at" in said:
            assert fact["origin"] == "kernel-log" and re.search("[Kk]ill", text), item
            assert fact["pid"] is None or str(fact["pid"]) in text, item
        walked.add(item["id"])
    for holder in [result, *result["arms"]]:
        assert set(holder["verdict"]["because"]) <= walked
    for arm in result["arms"]:
        weakest = max((life["end"]["level"] for life in arm["lifetimes"] if life["end"]["cause"] in OOM),
                      key=LEVELS.index, default="Observed")
        assert not_weaker(weakest, arm["verdict"]["level"]) or arm["verdict"]["class"] == "not-memory", arm["name"]
        for life in arm["lifetimes"]:
            if life["end"]["cause"] in OOM:
                assert life["end"]["proof"], arm["name"]


def test_podman_with_the_kernel_log_of_the_same_minute(oomlab):
    """Together: the main processes' kills proven, the child's kill no end, the others never called OOM."""
    result = oomlab.result("diagnose", "--format", "json", FIXTURES / "container" / "podman-inspect.json",
                           FIXTURES / "kernel-log" / "podman-cgroup-v1.journal-json", status=3)
    ends = {arm["name"]: arm["lifetimes"][-1]["end"] for arm in result["arms"]}
    assert len(ends) == 7
    assert (ends["oomlab-hard"]["cause"], ends["oomlab-hard"]["level"]) == (OWN, "Observed")
    assert (ends["oomlab-restart"]["cause"], ends["oomlab-restart"]["level"]) == (OWN, "Observed")
    assert ends["oomlab-child"]["cause"] == EXITED
    assert not {ends[name]["cause"] for name in ("oomlab-e137", "oomlab-ok", "oomlab-stopped")} & OOM
    assert json.dumps(result).count("oom-child") >= 1
    verdicts = {arm["name"]: arm["verdict"] for arm in result["arms"]}
    assert verdicts["oomlab-child"]["class"] == "inconclusive" and "more memory" in verdicts["oomlab-child"][
        "would_settle"]
    assert verdicts["oomlab-ok"]["class"] == "not-memory"


def test_of_quick_restarts_each_kill_has_its_end(oomlab):
    """Four kills within 1.3 s; `podman inspect` knows the last of the four ends, and that there were three restarts."""
    result = oomlab.result("diagnose", "--format", "json", FIXTURES / "container" / "podman-inspect.json",
                           FIXTURES / "kernel-log" / "podman-cgroup-v1.journal-json", status=3)
    arm, = (arm for arm in result["arms"] if arm["name"] == "oomlab-restart")
    lives = arm["lifetimes"]
    assert [life["end"]["cause"] for life in lives] == [OWN] * 4 and arm["oom_kills"] == 4
    assert [life["started_at"] is None for life in lives] == [True, True, True, False]
    # A kernel log alone does not tell the main process from a child.
    assert [life["end"]["level"] for life in lives] == ["Strongly Suggested"] * 3 + ["Observed"]
    assert arm["verdict"]["class"] == "startup-demand"
    log = (FIXTURES / "kernel-log" / "podman-cgroup-v1.journal-json").read_text(encoding="utf-8")
    pids = [line.split("Killed process ")[1].split()[0] for line in log.splitlines() if "Killed process " in line]
    statement, = (item["statement"] for item in result["evidence"] if item["id"] in arm["verdict"]["because"]
                  and item["statement"].count("lifetime 4, oom-container-limit"))
    assert f"(pid {pids[-1]})" in statement and lives[3]["started_at"].startswith("2026-11-22T14:39:46.3")


def test_advice_on_page_cache_names_the_working_set(oomlab):
    """The snapshot: usage 739.7 MiB, working set 71.5 MiB, the process's own 17.8 MiB."""
    result = oomlab.result("diagnose", "--format", "json", FIXTURES / "azure" / "cgroup-v1-page-cache.json", status=0)
    assert "working set was 71.5 MiB of 1.0 GiB, 17.8 MiB without page cache" in result["recommendation"]["reason"]


@pytest.mark.parametrize("name, old, new", [
    ("container/podman-inspect.json", '"ExitCode": 137', '"ExitCode": 999'),
    ("kubernetes/leaky-crashloop-pod.json", '"exitCode": 137', '"exitCode": -5'),
    ("kubernetes/leaky-describe.txt", "Exit Code:    137", "Exit Code:    137000"),
    ("azure/hard-oom-report.txt", "exit code '137'", "exit code '1370'")])
def test_an_impossible_exit_code_is_left_out_and_said(oomlab, tmp_path, name, old, new):
    text = (FIXTURES / name).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "source").write_text(text.replace(old, new), encoding="utf-8")
    done = oomlab("diagnose", tmp_path / "source")
    assert "is none that Linux knows (0 to 255): left out" in done.stderr
    said = " ".join(done.stdout.split()).replace(str(tmp_path), "")  # where pytest-55 has a -5
    assert new.split()[-1].strip("'") not in said
