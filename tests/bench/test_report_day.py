# SPDX-License-Identifier: Apache-2.0
"""The report of a day at 20 Hz with ten replicas, 17 million samples, which stand in the evidence of a synthetic run in
place of its own: under 3 MiB and in bounded memory, and a sample of a day costs no more time than one of two hours."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "e2e"))

from test_report import make_run  # noqa: E402  (beside the path)

OOMLAB = os.environ.get("OOMLAB", str(TREE / "build" / "oomlab"))
REPLICAS = 10
PERIOD_NS = 50_000_000
HOUR = 3_600_000_000_000 // PERIOD_NS
# A slow rise to a plateau of a quarter of the limit, a daily wave, noise, and one spike that no chart may lose.
SAMPLES = """
WITH RECURSIVE tick(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM tick WHERE k + 1 < ?1)
INSERT INTO sample (lifetime_id, at_ns, usage_bytes, working_set_bytes, anon_bytes, file_bytes, shmem_bytes, kernel_bytes,
                    active_file_bytes, oom_kill)
SELECT replica.id, ?2 + tick.k * ?3 + replica.rowid * 1000000, bytes + 2097152, bytes, bytes * 9 / 10, 3145728, 4096,
       524288, 1048576, 0
FROM (SELECT k, 16777216 + min(k, 500000) * 64 + (k * 7919) % 1048576
             + CASE WHEN k = ?1 / 2 THEN 100000000 ELSE 0 END AS bytes FROM tick) AS tick, replica
"""


def make_day(directory, ticks):
    """The trigger's arm of a synthetic run, with so many samples of each replica; the highest of them in bytes."""
    directory.mkdir()
    subprocess.run([make_run(), "service", directory], check=True, stdout=subprocess.DEVNULL)
    evidence = sqlite3.connect(directory / "evidence.db", isolation_level=None)
    evidence.execute("PRAGMA synchronous = OFF")
    evidence.execute("BEGIN")
    (began,) = evidence.execute("SELECT started_ns FROM arm WHERE id = 1").fetchone()
    columns = [row[1] for row in evidence.execute("PRAGMA table_info(lifetime)")]
    first = dict(zip(columns, evidence.execute("SELECT * FROM lifetime WHERE arm_id = 1 ORDER BY id").fetchone()))
    evidence.execute("DELETE FROM sample WHERE lifetime_id IN (SELECT id FROM lifetime WHERE arm_id = 1)")
    evidence.execute("CREATE TEMP TABLE replica (id)")
    for number in range(REPLICAS):
        row = {**first, "id": 1000 + number, "replica": f"ca-oom--r1-6d8f-x{number}", "idx": 1}
        evidence.execute(f"INSERT INTO lifetime ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                         list(row.values()))
        evidence.execute("INSERT INTO replica VALUES (?)", (row["id"],))
    evidence.execute("UPDATE arm SET ended_ns = ? WHERE id = 1", (began + ticks * PERIOD_NS,))
    evidence.execute(SAMPLES, (ticks, began, PERIOD_NS))
    evidence.execute("COMMIT")
    (peak,) = evidence.execute("SELECT max(working_set_bytes) FROM sample WHERE lifetime_id >= 1000").fetchone()
    evidence.close()
    return peak


def report(directory):
    """Seconds of processor and of clock, and KiB of memory."""
    begun = time.monotonic()
    process = subprocess.Popen([OOMLAB, "report", directory], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss


def test_a_day_of_ten_replicas(tmp_path):
    hours = int(os.environ.get("OOMLAB_BENCH_HOURS", "24"))
    make_day(tmp_path / "short", 2 * HOUR)
    short, _, _ = report(tmp_path / "short")
    peak = make_day(tmp_path / "day", hours * HOUR)
    spent, took, memory = report(tmp_path / "day")
    page = (tmp_path / "day" / "report.html").read_text(encoding="utf-8")
    size = (tmp_path / "day" / "evidence.db").stat().st_size
    shutil.rmtree(tmp_path / "day")  # gigabytes, which pytest would keep
    samples = REPLICAS * hours * HOUR
    print(f"{samples} samples ({size >> 20} MiB): report in {took:.1f} s, "
          f"{spent:.1f} s of processor, {memory >> 10} MiB of memory, {len(page) >> 10} KiB")
    print(f"bar: under 3 s: {'holds' if took < 3 else 'missed'}")
    assert f"Highest sample {peak / (1 << 20):.1f} MiB of {samples} samples" in page
    assert len(page) < 3 << 20
    assert memory < 256 << 10
    assert spent <= 1.5 * short * hours / 2
