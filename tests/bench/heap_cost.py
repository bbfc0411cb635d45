#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the heap recorder costs, beside a library that only passes malloc() and free() on, heaptrack, jemalloc's profiler
and valgrind massif: heap_cost.py PAIRS MAKE_MAP RECORDER PASS_ON [WORK...], a work by a part of its name. A pair is a run
without a profiler and one with it, in turn the one and the other first; medians of the pairs' ratios, with the quartiles.
A line 'bar' says whether one holds."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOAD = ["/usr/bin/python3", str(HERE / "heap" / "load.py")]
RATE = 16384  # the default under 256Mi
LIGHT, HEAVY = 25, 1  # pairs of runs: on a machine with neighbours one may be off by half

# What runs, for a profiler that slows little and for one that slows much, and how much the recorder may cost by the
# clock. 3 % more is "no measurable cost": what two runs without a profiler differ by on a quiet machine. Without a bar:
# the first third of a second, in which the recorder learns at which places nothing stays.
WORKS = {
    "pairs, 1 thread": (["PAIRS", "1", "4", "1", "16", "2048"], ["PAIRS", "1", "1", "1", "16", "2048"], 1.06),
    "pairs, 4 threads, 8 deep": (["PAIRS", "4", "16", "8", "16", "4096"], ["PAIRS", "4", "1", "8", "16", "4096"], 1.08),
    "Python json": ([*LOAD, "json", "150"], [*LOAD, "json", "3"], 1.03),
    "Python json, begun": ([*LOAD, "json", "15"], [*LOAD, "json", "3"], None),
    "SQLite in memory": ([*LOAD, "sqlite", "40"], [*LOAD, "sqlite", "1"], 1.03),
    "SQLite in memory, begun": ([*LOAD, "sqlite", "6"], [*LOAD, "sqlite", "1"], None),
    "Redis, set and get": (["REDIS", "100000"], ["REDIS", "20000"], 1.03),
}


class Bench:
    """Runs one work under one profiler."""

    def __init__(self, pairs, make_map, recorder, pass_on, scratch):
        self.pairs, self.make_map, self.recorder, self.pass_on = pairs, make_map, recorder, pass_on
        self.scratch = Path(scratch)

    def profiler(self, name):
        """The command before the command, and its environment."""
        jemalloc = {"LD_PRELOAD": "libjemalloc.so.2"}
        if name == "oomlab":
            # In shared memory, as in a container: a file on a disk would be written back now and then.
            with tempfile.NamedTemporaryFile(prefix="oomlab-bench-", dir="/dev/shm", delete=False) as file:
                subprocess.run([self.make_map, file.name, str(RATE)], check=True)
            return [], {"LD_PRELOAD": self.recorder, "OOMLAB_HEAP": file.name}
        if name == "pass on":
            return [], {"LD_PRELOAD": self.pass_on}
        if name == "heaptrack":
            return ["heaptrack", "-o", str(self.scratch / "heaptrack")], {}
        if name == "massif":
            return ["valgrind", "--quiet", "--tool=massif", f"--massif-out-file={self.scratch / 'massif'}"], {}
        if name == "jemalloc prof":
            return [], {**jemalloc, "MALLOC_CONF": f"prof:true,lg_prof_sample:19,prof_prefix:{self.scratch / 'jeprof'}"}
        return [], jemalloc if name == "jemalloc" else {}

    def run(self, work, profiler):
        """(by the clock, of processors), in a unit of the work's own."""
        before, more = self.profiler(profiler)
        env = {**os.environ, "PYTHONMALLOC": "malloc", **more}
        try:
            if work[0] == "REDIS":
                return self.redis(before, env, work[1])
            command = [self.pairs if word == "PAIRS" else word for word in work]
            done = subprocess.run([*before, *command], env=env, capture_output=True, text=True, check=True)
            for line in done.stdout.splitlines():
                words = line.split()
                if len(words) == 2 and words[0].replace(".", "", 1).isdigit():
                    return float(words[0]), float(words[1])
            raise AssertionError(done.stdout + done.stderr)
        finally:
            if "OOMLAB_HEAP" in more:
                os.unlink(more["OOMLAB_HEAP"])

    def redis(self, before, env, requests):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        command = [*before, "redis-server", "--port", port, "--save", "", "--dir", str(self.scratch)]
        server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.ask(port, "ping", deadline_s=60)
            used, begun = self.processor_s(port), time.perf_counter()
            subprocess.run(["redis-benchmark", "-p", port, "-q", "-t", "set,get", "-n", requests, "-P", "16", "-r", "100000",
                            "-d", "100"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            took = time.perf_counter() - begun
            return took / int(requests), (self.processor_s(port) - used) / int(requests)
        finally:
            subprocess.run(["redis-cli", "-p", port, "shutdown", "nosave"], check=False, capture_output=True)
            server.wait(timeout=60)

    @staticmethod
    def ask(port, *words, deadline_s=0):
        end = time.monotonic() + deadline_s
        while True:
            done = subprocess.run(["redis-cli", "-p", port, *words], capture_output=True, text=True, check=False)
            if done.returncode == 0 and "refused" not in done.stdout + done.stderr or time.monotonic() > end:
                return done.stdout

    def processor_s(self, port):
        lines = dict(line.split(":") for line in self.ask(port, "info", "cpu").splitlines() if ":" in line)
        return float(lines["used_cpu_sys"]) + float(lines["used_cpu_user"])


class Ratios:
    """Of pairs of runs, without a profiler and with it."""

    def __init__(self, bench, work, baseline, profiler, times):
        pairs = [self.pair(bench, work, (baseline, profiler), turn) for turn in range(times)]
        self.clocks = sorted(with_it[0] / plain[0] for plain, with_it in pairs)
        self.clock = statistics.median(self.clocks)
        self.processor = statistics.median(with_it[1] / plain[1] for plain, with_it in pairs)
        self.least = min(with_it[1] for _, with_it in pairs) / min(plain[1] for plain, _ in pairs)

    @staticmethod
    def pair(bench, work, profilers, turn):
        """Without and with, whichever ran first."""
        runs = {profiler: bench.run(work, profiler) for profiler in (profilers if turn % 2 == 0 else profilers[::-1])}
        return runs[profilers[0]], runs[profilers[1]]

    def __str__(self):
        quarter = len(self.clocks) // 4
        spread = f" ({self.clocks[quarter]:.2f}-{self.clocks[-1 - quarter]:.2f})" if quarter else ""
        return f"{self.clock:.2f}{spread}; {self.processor:.2f}; {self.least:.2f}"


def main():
    files, wanted = sys.argv[1:5], sys.argv[5:]
    missing = [tool for tool in ("heaptrack", "valgrind", "redis-server", "redis-benchmark") if not shutil.which(tool)]
    if missing:
        print(f"not installed: {', '.join(missing)}; scripts/deps bench")
        return 77
    unknown = [word for word in wanted if not any(word in name for name in WORKS)]
    if unknown:
        print(f"no work has {' or '.join(unknown)} in its name; there are: {'; '.join(WORKS)}", file=sys.stderr)
        return 2
    holds = []
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors. Ratio of the time by the clock: median "
          f"(quartiles) of {LIGHT} pairs, {HEAVY} for heaptrack and massif; of processor time: median; least to least")
    print("| work | recorder | passing on | jemalloc, prof to plain | heaptrack | massif |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="oomlab-bench-") as scratch:
        bench = Bench(*files, scratch)
        for name, (work, small, most) in WORKS.items():
            if wanted and not any(word in name for word in wanted):
                continue
            ours = Ratios(bench, work, "none", "oomlab", LIGHT)
            cells = [ours, Ratios(bench, work, "none", "pass on", LIGHT),
                     Ratios(bench, work, "jemalloc", "jemalloc prof", LIGHT),
                     Ratios(bench, small, "none", "heaptrack", HEAVY),
                     Ratios(bench, small, "none", "massif", HEAVY)]
            print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)
            holds.append((name, ours, most))
    print(f"load average {os.getloadavg()[0]:.1f}")
    for name, ours, most in holds:
        if most is None:
            continue
        print(f"bar {name}: {ours.clock:.3f} by the clock, at most {most}: {'holds' if ours.clock <= most else 'FAILS'} "
              f"({ours.processor:.3f} of processor time, least to least {ours.least:.3f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
