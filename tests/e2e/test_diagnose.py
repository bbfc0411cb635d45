# SPDX-License-Identifier: Apache-2.0
"""oomlab diagnose over every fixture whose truth is known: the number of kills, their times and causes,
no other death called OOM, and every statement within what its source row can prove."""

import json
import sqlite3
import subprocess

import jsonschema
import pytest

from conftest import PYTHON, TREE, oomlab_binary

FIXTURES = TREE / "tests" / "fixtures"
AZURE = FIXTURES / "azure"
SCHEMA = json.loads((TREE / "docs" / "result.schema.json").read_text(encoding="utf-8"))
LEVELS = ["Measured", "Observed", "Correlated", "Strongly Suggested", "Inferred", "Not Proven"]
OOM = {"oom-container-limit", "oom-ancestor-limit", "oom-host"}
REPLICA = "app--rev1-5f44b556bc-qqmhv"


def ends(arm):
    return [life["end"] for life in arm["lifetimes"] if life["end"]["cause"] != "running"]


def diagnose(oomlab, *arguments, status=None):
    result = oomlab.result("diagnose", "--format", "json", *arguments, status=status)
    jsonschema.validate(result, SCHEMA)
    assert result["predictions"] == [] and result["gates"] == []
    assert all(item["source"]["table"] == "fact" for item in result["evidence"])
    return result


def only_arm(result):
    assert len(result["arms"]) == 1, [arm["name"] for arm in result["arms"]]
    return result["arms"][0]


def row(time, message, reason, replica=REPLICA, kind="Warning"):
    return json.dumps({"TimeStamp": time, "Type": kind, "ContainerAppName": "app", "RevisionName": "app--rev1",
                       "ReplicaName": replica, "Msg": message, "Reason": reason,
                       "EventSource": "ContainerAppController", "Count": 1})


def started(time):
    return row(time, "Started container 'app'", "ContainerStarted", kind="Normal")


def terminated(time, code, reason="ProcessExited"):
    return row(time, f"Container 'app' was terminated with exit code '{code}' and reason '{reason}'",
               "ContainerTerminated")


def exited(time, code):
    return row(time, f"Container 'app' was terminated with exit code '{code}'", "ProcessExited")


def metrics(values, name="WorkingSetBytes", first_minute=0):
    data = [{"timeStamp": f"2026-06-20T04:{first_minute + i:02}:00Z", **({} if v is None else {"maximum": v})}
            for i, v in enumerate(values)]
    return json.dumps({
        "cost": 0, "interval": "PT1M", "namespace": "Microsoft.App/containerapps",
        "value": [{"id": "/subscriptions/0/resourceGroups/g/providers/Microsoft.App/containerapps/app/providers/x",
                   "name": {"value": name}, "displayDescription": "", "timeseries": [
                       {"data": data, "metadatavalues": [{"name": {"value": "podname"}, "value": REPLICA}]}]}]})


@pytest.fixture
def source(tmp_path):
    def write(name, *lines):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path
    return write


# --- the recorded Azure labs ------------------------------------------------------------------------


def test_hard_oom_counts_seven_kills_not_nine_rows(oomlab):
    arm = only_arm(diagnose(oomlab, AZURE / "hard-oom-report.txt", status=3))
    assert arm["oom_kills"] == 7 and arm["restarts"] == 6 and arm["memory_limit_bytes"] == 512 << 20
    assert [end["at"][11:19] for end in ends(arm)] == [
        "04:10:52", "04:11:04", "04:11:26", "04:12:08", "04:13:31", "04:16:13", "04:21:15"]
    assert {(end["cause"], end["level"], end["exit_code"]) for end in ends(arm)} == {
        ("oom-container-limit", "Inferred", 137)}
    assert arm["verdict"]["class"] == "startup-demand" and arm["verdict"]["driver"] == "startup"
    assert arm["verdict"]["would_settle"].startswith("The memory curve")
    waits = [round(life["backoff_s"]) for life in arm["lifetimes"][1:]]
    assert waits == [10, 20, 40, 81, 160, 300]


def test_leak_report(oomlab):
    result = diagnose(oomlab, AZURE / "leak-report.txt", AZURE / "leak-revisions.json", status=3)
    arm = only_arm(result)
    assert arm["oom_kills"] == 1 and ends(arm)[0]["at"][11:19] == "04:17:07"
    assert arm["verdict"]["class"] == "leak" and arm["verdict"]["driver"] is None  # its requests are on no record
    assert arm["verdict"]["level"] == "Inferred" and arm["health_state"] == "Healthy"
    assert result["recommendation"]["action"] == "fix-leak"
    assert result["recommendation"]["memory_bytes"] is None


@pytest.mark.parametrize("name, verdict", [
    ("healthy-report.txt", "inconclusive"),
    ("healthy-revisions.json", "inconclusive"),
    ("loganalytics-probe-failures.json", "not-memory"),
    ("system-logs-normal-start.ndjson", "not-memory"),
    ("metrics-working-set-bytes.json", "stable"),
    ("metrics-restart-count-by-replica.json", "inconclusive"),
    ("cgroup-v1-page-cache.json", "reclaimable-cache"),
])
def test_azure_without_a_kill(oomlab, name, verdict):
    result = diagnose(oomlab, AZURE / name, status=0)
    assert result["verdict"]["class"] == verdict
    assert all(arm["oom_kills"] == 0 for arm in result["arms"])
    assert not any(end["cause"] in OOM for arm in result["arms"] for end in ends(arm))


def test_restart_count_is_two_replicas(oomlab):
    arms = diagnose(oomlab, AZURE / "metrics-restart-count-by-replica.json")["arms"]
    assert len(arms) == 2 and all(arm["restarts"] == 1 for arm in arms)


# --- Azure's other deaths, and what a curve changes -------------------------------------------------


@pytest.mark.parametrize("code, reason, cause", [
    ("", "ProbeFailure", "killed-by-platform"),
    ("", "ManuallyStopped", "killed-by-platform"),
    ("1", "ProcessExited", "exited"),
    ("0", "ProcessExited", "exited"),
    ("143", "ProcessExited", "signalled"),
    ("139", "ProcessExited", "signalled"),
])
def test_azure_deaths_that_are_not_memory(oomlab, source, code, reason, cause):
    log = source("log", started("2026-06-20T04:10:00Z"), terminated("2026-06-20T04:20:00.1234567Z", code, reason))
    result = diagnose(oomlab, log, status=0)
    end, = ends(only_arm(result))
    assert end["cause"] == cause and result["verdict"]["class"] == "not-memory"
    assert end["exit_code"] == (int(code) if code else None)
    assert end["at"] == "2026-06-20T04:20:00.123456Z"


@pytest.mark.parametrize("code, reason", [("", "ImagePullFailure"), ("1", "ContainerCreateFailure")])
def test_azure_containers_that_never_ran(oomlab, source, code, reason):
    log = source("log", terminated("2026-06-20T04:20:00Z", code, reason))
    arm = only_arm(diagnose(oomlab, log, status=0))
    assert arm["lifetimes"] == [] and arm["verdict"]["class"] == "not-memory"
    assert reason in arm["verdict"]["summary"]


MIB = 1 << 20
KILLED = [started("2026-06-20T04:00:10Z"), terminated("2026-06-20T04:20:05Z", 137), exited("2026-06-20T04:20:09Z", 137),
          terminated("2026-06-20T04:20:05Z", 137), started("2026-06-20T04:20:15Z")]


@pytest.mark.parametrize("values, cause, level, verdict, status", [
    ([None], "oom-container-limit", "Inferred", "inconclusive", 3),
    ([20 * MIB + i * 25 * MIB for i in range(20)], "oom-container-limit", "Strongly Suggested", "leak", 3),
    ([100 * MIB + (i % 2) * MIB for i in range(20)], "killed-externally", "Inferred", None, 0),
])
def test_azure_137_with_a_curve(oomlab, source, values, cause, level, verdict, status):
    log, curve = source("log", *KILLED), source("curve", metrics(values, first_minute=1))
    arm = only_arm(diagnose(oomlab, log, curve, "--limit", "512Mi", status=status))
    end, = ends(arm)
    assert (end["cause"], end["level"]) == (cause, level)
    assert len(arm["lifetimes"]) == 2 and arm["oom_kills"] == (status == 3)
    assert LEVELS.index(arm["verdict"]["level"]) >= LEVELS.index("Strongly Suggested")
    if verdict:
        assert arm["verdict"]["class"] == verdict


def test_azure_rows_without_starts_repeat_and_echo(oomlab, source):
    log = source("log", terminated("2026-06-20T04:20:05Z", 137), terminated("2026-06-20T04:20:05Z", 137),
                 exited("2026-06-20T04:20:09Z", 137), terminated("2026-06-20T04:20:20Z", 137),
                 exited("2026-06-20T04:20:21Z", 137), terminated("2026-06-20T04:25:05Z", 137))
    assert only_arm(diagnose(oomlab, log, status=3))["oom_kills"] == 3


def test_azure_containers_of_one_replica_are_told_apart(oomlab, source):
    side = terminated("2026-06-20T04:20:06Z", 1).replace("'app'", "'side'")
    log = source("log", row("2026-06-20T04:10:00Z", "Probe of Liveness failed", "ProbeFailed"),
                 started("2026-06-20T04:10:01Z"), started("2026-06-20T04:10:02Z").replace("'app'", "'side'"),
                 terminated("2026-06-20T04:20:05Z", 137), side)
    arms = diagnose(oomlab, log)["arms"]
    codes = {arm["name"].rpartition("/")[2]: [life["end"]["exit_code"] for life in arm["lifetimes"]
                                              if life["end"]["exit_code"] is not None] for arm in arms}
    assert codes["app"] == [137] and codes["side"] == [1]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_last_row_that_is_cut_off_is_said(oomlab, tmp_path, end):
    rows = [started("2026-06-20T04:10:01Z"), terminated("2026-06-20T04:20:05Z", 137)]
    log = tmp_path / "log"
    log.write_text("\n".join([*rows, started("2026-06-20T04:20:09Z")[:120]]) + end)
    assert f"{log}:3: the file seems to be cut off" in oomlab("diagnose", log).stderr
    log.write_text("\n".join(rows) + end)
    assert "cut off" not in oomlab("diagnose", log).stderr


@pytest.mark.parametrize("value", ["-5", "+Inf", "-Inf"])
def test_an_impossible_sample_is_left_out_and_said(oomlab, tmp_path, value):
    scrape, labels = tmp_path / "scrape", 'container="c",pod="p",namespace="n"'
    name = "container_memory_working_set_bytes"
    scrape.write_text(f"{name}{{{labels}}} 5e8 1700000000000\n{name}{{{labels}}} {value} 1700000060000\n")
    assert f"{scrape}:2: {name}: a value of" in oomlab("diagnose", scrape).stderr


def test_azure_formats_say_the_same(oomlab, source):
    """The same rows as NDJSON, as JSON of Log Analytics, as CSV and as a table."""
    times = ["2026-06-20T04:10:51.2104727Z", "2026-06-20T04:10:52.1597439Z"]
    texts = ["Started container 'app'", "Container 'app' was terminated with exit code '137' and reason 'ProcessExited'"]
    reasons = ["ContainerStarted", "ContainerTerminated"]
    cells = list(zip(texts, reasons, times))
    names = ["Log_s", "Reason_s", "TimeGenerated"]
    widths = [max(map(len, column)) for column in zip(names, *cells)]
    table = ["  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in [names, *cells]]
    table.insert(1, "  ".join("-" * w for w in widths))
    sources = [
        source("ndjson", started(times[0]), terminated(times[1].replace("T", " ").replace("Z", " +0000 UTC"), 137)),
        source("json", json.dumps([dict(zip(names, c)) for c in cells], indent=2)),
        source("csv", ",".join(names), *(",".join(f'"{x}"' for x in c) for c in cells)),
        source("table", *table),
    ]
    found = [only_arm(diagnose(oomlab, s, status=3)) for s in sources]
    assert {(a["oom_kills"], a["lifetimes"][0]["started_at"], ends(a)[0]["at"]) for a in found} == {
        (1, "2026-06-20T04:10:51.210472Z", "2026-06-20T04:10:52.159743Z")}


def test_standard_input_and_carriage_returns(oomlab, source):
    log = source("log", *KILLED)
    text = "\ufeff" + log.read_text(encoding="utf-8").replace("\n", "\r\n")
    log.write_text(text, encoding="utf-8", newline="")
    with log.open("rb") as stdin:
        process = oomlab.popen("diagnose", "--format", "json", "-")
        process.communicate(timeout=60)  # the helper gives no standard input: an empty source
        assert process.returncode == 2
        done = subprocess.run([*process.args[:1], "diagnose", "--format", "json", "-"], stdin=stdin,
                              capture_output=True, env=oomlab.env, check=False, timeout=60)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["arms"][0]["oom_kills"] == 1


# --- every fixture: levels, sources, names ----------------------------------------------------------


def all_fixtures():
    names = [p for p in sorted(FIXTURES.rglob("*")) if p.is_file() and p.name != "PROVENANCE.md"]
    assert len(names) > 20
    return names


@pytest.mark.parametrize("path", all_fixtures(), ids=lambda p: str(p.relative_to(FIXTURES)))
def test_every_statement_rests_on_its_row(oomlab, tmp_path, path):
    out = tmp_path / "out"
    result = diagnose(oomlab, path, "--output", out)
    db = sqlite3.connect(out / "evidence.db")
    db.row_factory = sqlite3.Row
    lines = path.read_bytes().split(b"\n")
    assert json.loads((out / "result.json").read_text(encoding="utf-8")) == result
    statements = {item["id"]: item for item in result["evidence"]}
    for item in result["evidence"]:
        fact = db.execute("SELECT f.*, s.name FROM fact f JOIN source s ON s.id = f.source_id WHERE f.id = ?",
                          (item["source"]["row"],)).fetchone()
        assert fact and item["source"]["file"] == fact["name"] == str(path)
        assert 0 <= item["source"]["line"] == fact["line"] <= len(lines)
        assert LEVELS.index(item["level"]) >= LEVELS.index("Observed")
        cause = next((c for c in OOM if f", {c}: " in item["statement"]), None)
        if cause and fact["origin"] != "kernel-log":  # only the kernel's own log proves a kill
            assert LEVELS.index(item["level"]) >= LEVELS.index("Strongly Suggested"), item
    for holder in [result, *result["arms"]]:
        because = holder["verdict"]["because"]
        assert set(because) <= set(statements)
        if holder["verdict"]["class"] != "inconclusive":
            assert because
    for arm in result["arms"]:
        kernel = db.execute("SELECT count(*) FROM fact f JOIN place p ON p.id = f.place_id WHERE p.arm_id = ?"
                            " AND f.origin = 'kernel-log' AND f.kind = 'oom-kill'", (arm["row"],)).fetchone()[0]
        for end in ends(arm):
            if end["cause"] in OOM:
                assert end["proof"], end
                assert kernel or LEVELS.index(end["level"]) >= LEVELS.index("Strongly Suggested")


# --- sources that are broken or hostile -------------------------------------------------------------


@pytest.mark.parametrize("data, words", [
    (b"", "the source is empty"),
    (b"hello\nworld\n", ":1:1: no known format"),
    (bytes(range(256)) * 40, "binary"),
    (b"\xff\xfe{\x00}\x00", "UTF-16"),
    (b'[{"Log_s": "x", "Reason_s": "y"},\n {"Log_s": ', ":2:2: the JSON value that begins here has no end"),
    (b'[{"Log_s": "x", "Reason_s": "y"}\n', "the list has no end"),
    (b'[\n {"Log_s": "x"},\n {"Log_s": nope}\n]\n', ":3:"),
    (b'TimeGenerated,Log_s\n2026-06-20T04:10:51Z,"never closed\n', ":2:22: the quote that begins here has no end"),
])
def test_broken_sources_are_told_with_their_place(oomlab, tmp_path, data, words):
    path = tmp_path / "source"
    path.write_bytes(data)
    done = oomlab("diagnose", path)
    assert done.returncode == 2 and words in done.stderr and done.stdout == "", done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_answer_that_is_an_error(oomlab, source):
    done = oomlab("diagnose", source("bad", '{"status":"error","errorType":"bad_data","error":"1:50: parse error"}'))
    assert done.returncode == 2 and "Prometheus refused the query" in done.stderr


def test_a_directory_and_a_missing_file(oomlab, tmp_path):
    assert "it is a directory" in oomlab("diagnose", tmp_path).stderr
    assert oomlab("diagnose", tmp_path / "none").returncode == 2
    assert oomlab("diagnose").returncode == 2
    assert oomlab("diagnose", "--limit", "x", AZURE / "leak-report.txt").returncode == 2


@pytest.mark.parametrize("name", ["hard-oom-report.txt", "loganalytics-probe-failures.json",
                                  "system-logs-normal-start.ndjson", "metrics-working-set-bytes.json"])
def test_truncated_anywhere(oomlab, tmp_path, name):
    data = (AZURE / name).read_bytes()
    for length in range(1, len(data), len(data) // 12):
        path = tmp_path / "cut"
        path.write_bytes(data[:length])
        done = oomlab("diagnose", path)
        assert done.returncode in (0, 2, 3), done.stderr
        assert done.returncode != 2 or str(path) in done.stderr


def test_bytes_that_are_no_utf8(oomlab, source):
    log = source("log", *KILLED)
    log.write_bytes(log.read_bytes().replace(b"'app'", b"'a\xffp'"))
    result = diagnose(oomlab, log, status=3)
    assert only_arm(result)["oom_kills"] == 1


def test_nothing_is_left_behind(oomlab, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setitem(oomlab.env, "TMPDIR", str(scratch))
    assert oomlab("diagnose", AZURE / "leak-report.txt").returncode == 3
    assert oomlab("diagnose", "/dev/null").returncode == 2
    assert list(scratch.iterdir()) == []


# A child's peak is at least what its parent had at the fork, and pytest has much: a small parent measures.
MEASURE = """import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)"""


def test_memory_stays_bounded(oomlab, tmp_path):
    """A gigabyte of log in which few lines matter, under 64 MiB."""
    noise = row("2026-06-20T04:10:51Z", "Pulling image 'x'" + "." * 700, "PullingImage", kind="Normal") + "\n"
    path = tmp_path / "large.ndjson"
    with path.open("w", encoding="utf-8") as file:
        block = noise * 1000
        for i in range((1 << 30) // len(block)):
            file.write(block)
            if i in (10, 500):
                file.write(terminated(f"2026-06-20T04:{10 + i // 100}:05Z", 137) + "\n")
    command = [PYTHON, "-c", MEASURE, oomlab_binary(), "diagnose", "--format", "json", path]
    done = subprocess.run(command, env=oomlab.env, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["arms"][0]["oom_kills"] == 2
    assert int(done.stderr.split()[-1]) < 64 * 1024, f"{done.stderr} KiB"


# --- text for people --------------------------------------------------------------------------------


def test_text_says_proven_likely_and_what_would_settle(oomlab):
    done = oomlab("diagnose", AZURE / "hard-oom-report.txt")
    assert done.returncode == 3 and done.stderr == ""
    for words in ("OOM kills  7", "Proven by the records", "Likely, or not proven", "What would settle it",
                  "az monitor metrics list", "as a kubelet's back-off does"):
        assert words in done.stdout, words
    assert "OOM" not in done.stdout.split("Proven by the records")[1].split("Likely")[0]


def test_a_curve_is_told_by_its_ends_and_unknown_waits_are_dashes(oomlab, tmp_path):
    rows = [f"2026-11-20T10:{minute:02}:00Z,{50_000_000 + 3_000_000 * minute}" for minute in range(50)]
    rows += [f"2026-11-20T10:{minute:02}:00Z,{197_000_000 - 10_000 * minute}" for minute in range(50, 60)]
    (tmp_path / "memory.csv").write_text("\n".join(["time,bytes", *rows, ""]), encoding="utf-8")
    result = oomlab.result("diagnose", "--format", "json", "--limit", "256Mi", tmp_path / "memory.csv", status=None)
    said = {item["source"]["line"]: item["statement"] for item in result["evidence"]}
    assert "47.7 MiB at 2026-11-20T10:00:00.000000Z, the first of 60 points" in said[2]
    assert "highest recorded memory was 187.9 MiB, at 2026-11-20T10:49:00" in said[51]
    assert "187.3 MiB at 2026-11-20T10:59:00.000000Z, the last" in said[61]
    text = oomlab("diagnose", "--limit", "256Mi", tmp_path / "memory.csv").stdout
    (row,) = [line for line in text.splitlines() if line.startswith("1 ")]
    assert "0.0 s" not in row and row.split()[1:5] == ["-", "-", "-", "-"]


def test_a_leak_is_told_how_long_its_limit_lasts(oomlab, tmp_path):
    """48.8 KiB a second from 47.7 MiB on: 256 MiB after 1 h 13 min."""
    rows = [f"2026-11-20T10:{minute:02}:00Z,{50_000_000 + 3_000_000 * minute}" for minute in range(60)]
    (tmp_path / "memory.csv").write_text("\n".join(["time,bytes", *rows, ""]), encoding="utf-8")
    result = oomlab.result("diagnose", "--format", "json", "--limit", "256Mi", tmp_path / "memory.csv", status=3)
    own, double, fourfold = result["recommendation"]["forecasts"]
    assert [row["limit_bytes"] for row in (own, double, fourfold)] == [268435456 * 2**i for i in range(3)]
    for row in (own, double, fourfold):
        exact = (row["limit_bytes"] - 50e6) / 50e3
        assert row["seconds"]["low"] <= exact <= row["seconds"]["high"] and row["requests"] is None
        assert abs(row["seconds"]["value"] - exact) < 0.01 * exact
        assert abs(row["seconds_left"]["value"] - (exact - 59 * 60)) < 0.01 * exact
    assert "No limit holds: at this traffic it would die every 1 h 13 min at 256.0 MiB" in (
        result["recommendation"]["reason"])
    assert result["recommendation"]["rules"] == [] and result["recommendation"]["memory_bytes"] is None
