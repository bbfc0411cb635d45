#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Records cases of the corpus: runs the real program under a real limit with `oomlab run`, and keeps what was
seen as a trace.

  tests/corpus/record.py [--build DIR] [--jobs N] [--missing] [CASE | SHAPE ...]

Needs root, cgroup v1, oomlab built with -Dtests=enabled, and the packages of `scripts/deps corpus`. Each case takes about
half a minute. The true growth of a leak is measured apart from that, in a long run of the same program without a limit; --truth
measures only that anew.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import convert
import shapes

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
TRACES = HERE / "traces"
NODE_RUNS = 5  # of which the median counts: from one to the next V8's heap differs by some per cent
GROWTH = 256 << 20  # bytes that a program must have grown by for its rate to be known


def build_programs(build, directory):
    """The C program is built with oomlab; a copy stays the same while cases are recorded."""
    shutil.copy(pathlib.Path(build) / "tests/corpus/corpus-service", directory)
    subprocess.run(["javac", "-d", str(directory), str(PROGRAMS / "Service.java")], check=True)


def command_of(case, programs):
    return [word.format(build=programs, programs=PROGRAMS) for word in case["command"]]


def environment_of(case, places):
    return {"SHAPE": case["shape"], "SCRATCH": places.scratch, "SHARED": places.shared,
            **{key: str(value) for key, value in case["env"].items()}}


def requests_of(case):
    """[(path, weight)]"""
    return [(text.split("*")[0], int(text.split("*")[1])) for text in case.get("requests", ["/work*1"])]


def lab_of(case, programs, places):
    """The lab file, as JSON, which is YAML."""
    lab = {
        "name": "corpus", "command": command_of(case, programs), "env": environment_of(case, places),
        "memory": case["memory"], "arms": "trigger,raise" if case["raise"] else "trigger",
        "requests": [{"path": path, "weight": weight, "headers": case.get("headers", {})}
                     for path, weight in requests_of(case)],
        "rate": case["rate"], "cycles": case["cycles"], "per-cycle": case["per_cycle"],
        "idle": case.get("idle", "2s"), "gap": case.get("gap", "500ms"), "cooldown": case.get("cooldown", "2s"),
        "kills": {"trigger": 3, "raise": 2}, "ready": "http:/health", "backoff": "200ms,500ms", "deadline": "150s",
        "ready-deadline": case.get("ready_deadline", "30s"),
    }
    if case["raise"]:
        lab["raise"] = case["raise"]
    if "liveness" in case:
        lab["liveness"] = case["liveness"]
    return lab


# --- the true growth -------------------------------------------------------------------------------------


class Cgroup:
    """A memory cgroup of our own, version 1, below the one that we are in."""

    def __init__(self, name):
        own = next(line.split(":")[2].strip() for line in open("/proc/self/cgroup") if ":memory:" in line)
        self.path = pathlib.Path("/sys/fs/cgroup/memory" + own) / name
        self.path.mkdir()

    def join(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def retained(self):
        """What cannot be taken back: anonymous, shared and kernel memory."""
        stat = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        kernel = int((self.path / "memory.kmem.usage_in_bytes").read_text())
        return int(stat["total_rss"]) + int(stat["total_shmem"]) + kernel

    def remove(self):
        deadline = time.monotonic() + 10
        while True:
            for pid in (self.path / "cgroup.procs").read_text().split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            try:
                self.path.rmdir()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


class Client:
    """Sends the case's requests one after the other."""

    def __init__(self, case, port):
        mix = [path for path, weight in requests_of(case) for _ in range(weight)]
        random.Random(1).shuffle(mix)
        self.mix, self.headers, self.sent = mix, case.get("headers", {}), 0
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path):
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def send(self, count):
        for _ in range(count):
            status = self.get(self.mix[self.sent % len(self.mix)])
            if status >= 500:
                raise RuntimeError(f"a request failed with {status}")
            self.sent += 1


def wait_ready(client, process):
    deadline = time.monotonic() + 30
    while True:
        try:
            if client.get("/health") == 200:
                return
        except OSError:
            client.connection.close()
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the program did not become ready")
        time.sleep(0.1)


def collect(case, client):
    """Only V8 has garbage on the floor of which the requests' rate cannot be read otherwise."""
    if case["language"] == "Node":
        for _ in range(2):
            client.get("/collect")
            time.sleep(0.05)  # pages are given back by threads of their own


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


class Calibration:
    """A case's program in a cgroup of its own, without a limit."""

    def __init__(self, case, programs, places):
        port = free_port()
        self.case, self.cgroup = case, Cgroup(f"corpus-{os.getpid()}-{port}")
        environment = {"PATH": os.environ["PATH"], "PORT": str(port), **environment_of(case, places)}
        self.process = subprocess.Popen(command_of(case, programs), env=environment, preexec_fn=self.cgroup.join,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = Client(case, port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cgroup.remove()
        self.process.wait()

    def retained(self):
        collect(self.case, self.client)
        return self.cgroup.retained()

    def warm_up(self):
        every = int(self.case["env"].get("EVERY", 1))
        count = max(int(self.case["env"].get("AFTER", 0)), 60 if self.case["driver"] == "time" else 200)
        self.client.send(count + -count % (every * len(self.client.mix)))

    def per_second(self, span):
        start, before = time.monotonic(), self.retained()
        seconds = round(span["seconds"]) if self.case["language"] == "Node" else 30
        time.sleep(seconds)
        return (self.retained() - before) / (time.monotonic() - start), seconds

    def per_request(self, per_second, span):
        """In steps, so that garbage does not count as growth: few of them where a collection takes its time."""
        start, before, first = time.monotonic(), self.retained(), self.client.sent
        step = int(self.case["env"].get("EVERY", 1)) * len(self.client.mix)
        if self.case["language"] == "Node":
            count = span["requests"] - first
            self.client.send(max(count - count % step, step))
            grown = self.retained() - before
        else:
            grown = 0
            while grown < GROWTH and time.monotonic() < start + 15 and self.client.sent < 60000:
                self.client.send(step * 6)
                grown = self.retained() - before
        return (grown - per_second * (time.monotonic() - start)) / (self.client.sent - first), self.client.sent - first


def calibrate(case, span, programs, places):
    """{"request": (bytes, over), "second": ...}: the true growth. What an object costs in V8 depends on how large its heap
    has become (beyond some 400 MiB a Map's entries take a fifth more), so that the truth of a trace is that of its span:
    {"requests", "seconds"} of its longest lifetime. The others cost the same all the way; a long run tells it best."""
    truths = []
    for _ in range(NODE_RUNS if case["language"] == "Node" else 1):
        with Calibration(case, programs, places) as run:
            wait_ready(run.client, run.process)
            run.warm_up()
            truths.append(truth := {})
            if case["rate_of"] in ("second", "both"):
                truth["second"] = run.per_second(span)
            if case["rate_of"] in ("request", "both"):
                truth["request"] = run.per_request(truth.get("second", (0,))[0], span)
    return {unit: (statistics.median(truth[unit][0] for truth in truths), over) for unit, (_, over) in truths[0].items()}


# --- recording -------------------------------------------------------------------------------------------


class Places:
    """Directories for a program's files, on the disk and in memory, that are gone afterwards."""

    def __init__(self):
        self.scratch = tempfile.mkdtemp(prefix="corpus-", dir="/var/tmp")
        self.shared = tempfile.mkdtemp(prefix="corpus-", dir="/dev/shm")
        for path in (self.scratch, self.shared):
            os.chmod(path, 0o777)  # nginx and others change their user

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for path in (self.scratch, self.shared):
            shutil.rmtree(path, ignore_errors=True)


def observe(case, arguments, programs, home):
    """Run the experiment; the evidence file."""
    lab = pathlib.Path(home) / "corpus.yaml"
    with Places() as places:
        lab.write_text(json.dumps(lab_of(case, programs, places)))
        run = subprocess.run([arguments.build + "/oomlab", "run", "--quiet", "--format", "json", "--output", home + "/run", str(lab)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if run.returncode not in (0, 3):
        raise RuntimeError(f"oomlab run ended with {run.returncode}: {run.stderr.strip()[-500:]}")
    return home + "/run/evidence.db"


def record(case, arguments, programs):
    with tempfile.TemporaryDirectory(prefix="corpus-", dir="/var/tmp") as home:
        trace = convert.trace_of(case["id"], observe(case, arguments, programs, home))
    return write_with_truth(case, trace, programs)


def renew_truth(case, _, programs):
    """Measure the true growth anew; what was recorded stays."""
    trace = (TRACES / f"{case['id']}.trace").read_text()
    return write_with_truth(case, "".join(line for line in trace.splitlines(True) if not line.startswith("truth ")), programs)


def write_with_truth(case, trace, programs):
    lines = trace.splitlines()
    if case["rate_of"]:
        with Places() as places:
            lines[3:3] = convert.truth_lines(calibrate(case, convert.longest_span(trace), programs, places))
    text = "\n".join(lines) + "\n"
    (TRACES / f"{case['id']}.trace").write_text(text)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--missing", action="store_true", help="only those without a trace")
    parser.add_argument("--truth", action="store_true", help="only measure the true growth anew")
    parser.add_argument("names", nargs="*", metavar="CASE|SHAPE")
    arguments = parser.parse_args()
    cases = [case for case in shapes.all_cases()
             if not arguments.names or case["id"] in arguments.names or case["shape"] in arguments.names]
    if not cases:
        sys.exit(f"none of {', '.join(arguments.names)} is a case or a shape of shapes.py")
    TRACES.mkdir(exist_ok=True)
    if arguments.missing:
        cases = [case for case in cases if not (TRACES / f"{case['id']}.trace").exists()]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="corpus-programs-") as programs:
        build_programs(arguments.build, programs)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            jobs = {pool.submit(renew_truth if arguments.truth else record, case, arguments, programs): case for case in cases}
            for job in concurrent.futures.as_completed(jobs):
                case = jobs[job]
                try:
                    text = job.result()
                    print(f"{case['id']}: {len(text)} bytes", flush=True)
                except (RuntimeError, OSError, subprocess.SubprocessError, http.client.HTTPException) as error:
                    failed += 1
                    print(f"{case['id']}: {error}", file=sys.stderr, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
