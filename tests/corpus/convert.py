# SPDX-License-Identifier: Apache-2.0
"""An evidence file as a compact trace: README.md describes the format."""
import sqlite3

UNIT = 4096
COLUMNS = ("working_set_bytes", "anon_bytes", "file_bytes", "inactive_file_bytes", "shmem_bytes", "kernel_bytes")
OOM = ("oom-container-limit", "oom-ancestor-limit", "oom-host")
CLD_EXITED = 1


def milliseconds(at_ns, from_ns):
    return round((at_ns - from_ns) / 1e6)


def or_dash(value):
    return "-" if value is None else str(value)


def cause_of(row):
    """As the verdict sees it: what we stopped because the arm was over outlived the arm."""
    if row["cause"] in ("killed-by-platform", "exited", "signalled") and row["platform_kill"] in ("stop", "deadline"):
        return "running"
    return row["cause"]


def child_kills_of(row):
    if row["oom_kill_start"] is None or row["oom_kill_end"] is None:
        return 0
    if (row["oom_group_kill_end"] or 0) > (row["oom_group_kill_start"] or 0):
        return 0
    return max(0, row["oom_kill_end"] - row["oom_kill_start"] - (row["cause"] in OOM))


def requests_done(database, lifetime):
    """When this lifetime completed its requests. 5xx and no answer do not count."""
    return [row[0] for row in database.execute(
        "SELECT done_ns FROM request WHERE lifetime_id = ? AND status BETWEEN 1 AND 499 ORDER BY done_ns", (lifetime,))]


def sample_lines(database, lifetime, started_ns, done):
    """One line a sample, each number the difference to the line before; '-' where absent."""
    columns = ", ".join(COLUMNS)
    before = [0] * (2 + len(COLUMNS))
    answered = 0
    for row in database.execute(f"SELECT at_ns, {columns} FROM sample WHERE lifetime_id = ? ORDER BY at_ns", (lifetime,)):
        while answered < len(done) and done[answered] <= row[0]:
            answered += 1
        now = [milliseconds(row[0], started_ns), answered]
        now += [None if value is None else round(value / UNIT) for value in row[1:]]
        yield " ".join("-" if value is None else str(value - last) for value, last in zip(now, before))
        before = [last if value is None else value for value, last in zip(now, before)]


def lifetime_lines(database, arm_id, row):
    started = row["started_ns"]
    uptime = milliseconds(row["ended_ns"], started)
    done = requests_done(database, row["id"])
    exit_code = None if row["wait_code"] is None else row["wait_status"] + (0 if row["wait_code"] == CLD_EXITED else 128)
    ready = None if row["ready_ns"] is None else milliseconds(row["ready_ns"], started)
    yield (f"lifetime {row['idx']} ready {or_dash(ready)} uptime {uptime} requests {len(done)} cause {cause_of(row)} "
           f"level {row['level'].replace(' ', '_')} peak {or_dash(row['peak_bytes'])} exit {or_dash(exit_code)} "
           f"platform {row['platform_kill']} children {child_kills_of(row)}")
    for kind, cycle, start, end in database.execute(
            "SELECT kind, cycle, started_ns, ended_ns FROM phase WHERE arm_id = ? ORDER BY started_ns", (arm_id,)):
        if end is None or end <= started or start >= row["ended_ns"]:
            continue
        yield f"span {kind} {cycle} {milliseconds(start, started)} {milliseconds(end, started)}"
    samples = list(sample_lines(database, row["id"], started, done))
    yield f"samples {len(samples)}"
    yield from samples


def arm_lines(database, arm):
    yield f"arm {arm['name']} limit {arm['memory_limit_bytes']}"
    for row in database.execute(
            "SELECT l.id, l.idx, l.started_ns, l.ready_ns, e.* FROM lifetime l JOIN lifetime_end e ON e.lifetime_id = l.id "
            "WHERE l.arm_id = ? ORDER BY l.id", (arm["id"],)).fetchall():
        yield from lifetime_lines(database, arm["id"], row)


def truth_lines(truth):
    return [f"truth {unit} {rate:.3f} over {over}" for unit, (rate, over) in truth.items()]


def longest_span(trace):
    """Of the trace's lifetime with the most requests, and of the longest: {"requests", "seconds"}."""
    words = [line.split() for line in trace.splitlines() if line.startswith("lifetime ")]
    return {"requests": max(int(word[word.index("requests") + 1]) for word in words),
            "seconds": max(int(word[word.index("uptime") + 1]) for word in words) / 1000}


def trace_of(case_id, evidence):
    """The text of the trace of all arms in the evidence file; without the truth."""
    database = sqlite3.connect(f"file:{evidence}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    run = database.execute("SELECT kernel, cgroup_version, sample_rate_hz FROM run").fetchone()
    lines = ["oomlab-trace 1", f"case {case_id}",
             f"recorded kernel {run['kernel']} cgroup {run['cgroup_version']} rate {run['sample_rate_hz']:g}"]
    for arm in database.execute("SELECT id, name, memory_limit_bytes FROM arm ORDER BY id").fetchall():
        lines += arm_lines(database, arm)
    database.close()
    return "\n".join(lines) + "\nend\n"
