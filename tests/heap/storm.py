#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The heap recorder in a storm (storm.cc): killed at random moments, while signals interrupt every thread. Before each
kill every thread must still come around, and after it the map must be whole and say what the program held.

storm.py --build DIR [--runs N] [--seed N] [--soak SECONDS]   a soak: one long run, looked at as often as runs are asked for
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
WORKERS = ["keep", "churn", "new", "produce", "consume", "threads", "fork", "load", "map"]
RATE = 4096
# No thread may stand still for so long: a deadlock never ends, a busy machine's pause does.
STANDSTILL_S = 60
LONGEST_DELAY_S = 0.03
# What the threads other than keep() may hold at one moment: rings, the belt, a child's ring, a mapping.
OTHERS_MOST = 16 * 4096 * 4 + 16 * 4096 + 64 * 2000 + 65536
STANDARD_DEVIATIONS = 6  # by chance one run in 500 million


def build(directory):
    """The program and the library that it loads."""
    program, library = Path(directory) / "storm", Path(directory) / "libloaded.so"
    subprocess.run(["g++", "-O1", "-g", "-o", program, TREE / "tests" / "heap" / "storm.cc", "-pthread", "-ldl"], check=True)
    subprocess.run(["gcc", "-O1", "-g", "-shared", "-fPIC", "-o", library, TREE / "tests" / "heap" / "loaded.c"], check=True)
    return program, library


class Storm:
    """One process under the recorder, with a map of its own."""

    def __init__(self, build_directory, program, library, directory):
        self.tools = Path(build_directory) / "tests" / "heap"
        self.map, self.counters = Path(directory) / "map", Path(directory) / "counters"
        self.map.unlink(missing_ok=True)  # a child of the last one may still have it mapped
        subprocess.run([self.tools / "make-heap-map", self.map, str(RATE)], check=True)
        self.counters.write_bytes(bytes(4096))
        env = {**os.environ, "OOMLAB_HEAP": str(self.map),
               "LD_PRELOAD": str(Path(build_directory) / "preload" / "liboomlab-heap.so")}
        self.process = subprocess.Popen([program, self.counters, library], env=env, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(f"it ended before it was ready: {self.process.wait()}")

    def numbers(self):
        data = self.counters.read_bytes()
        return [int.from_bytes(data[at:at + 8], sys.byteorder) for at in range(0, 8 * (len(WORKERS) + 1), 8)]

    def await_progress(self):
        """Every thread comes around once more from now on."""
        before, deadline = self.numbers(), time.monotonic() + STANDSTILL_S
        while True:
            assert self.process.poll() is None, f"it ended by itself: {self.process.returncode}"
            still = [name for name, was, now in zip(WORKERS, before, self.numbers()) if was == now]
            if not still:
                return
            assert time.monotonic() < deadline, f"for {STANDSTILL_S} s these stood still: {still}\n{self.where()}"
            time.sleep(0.001)

    def where(self):
        """What its threads wait for."""
        tasks = sorted(Path(f"/proc/{self.process.pid}/task").iterdir())
        return "\n".join(f"{task.name} {(task / 'wchan').read_text()} {(task / 'syscall').read_text().strip()}"
                         for task in tasks)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def check(self):
        """After the kill."""
        held = self.numbers()[-1]
        found = json.loads(subprocess.run([self.tools / "check-heap-map", self.map], check=True, capture_output=True,
                                          text=True).stdout)
        spread = STANDARD_DEVIATIONS * found["variance"] ** 0.5
        assert found["broken_stacks"] == found["lost_stacks"] == 0, found
        # A sample is dropped where another thread was interrupted while it cleared the same bit. Each can be at one of
        # 65,536, all the time at worst.
        assert found["dropped"] == found["dropped_bit"] <= 1 + found["taken"] * len(WORKERS) / 65536, found
        # Each thread, and each child's, may have been in the middle of one.
        assert found["torn"] <= len(WORKERS) + 2, found
        assert held - spread <= found["bytes"] <= held + OTHERS_MOST + spread, (held, found)
        return held, found


def one_run(build_directory, programs, directory, chance):
    storm = Storm(build_directory, *programs, directory)
    try:
        time.sleep(chance.uniform(0, LONGEST_DELAY_S))  # the random moment is the test
        storm.await_progress()
        time.sleep(chance.uniform(0, LONGEST_DELAY_S / 10))
    finally:
        storm.kill()
    return storm.check()


def soak(build_directory, programs, directory, seconds, looks):
    """One process for so long; every thread comes around between two looks."""
    storm = Storm(build_directory, *programs, directory)
    try:
        for look in range(looks):
            time.sleep(seconds / looks)  # the length of the soak
            storm.await_progress()
            print(f"{(look + 1) * seconds / looks:.0f} s: {dict(zip(WORKERS, storm.numbers()))}", flush=True)
    finally:
        storm.kill()
    return storm.check()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default=TREE / "build", type=Path)
    parser.add_argument("--runs", default=1000, type=int)
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--soak", default=0, type=float)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="oomlab-storm-", dir="/dev/shm") as scratch:
        programs = build(scratch)
        if options.soak:
            print(*soak(options.build, programs, scratch, options.soak, options.runs))
            return
        torn = samples = 0
        for run in range(options.runs):
            held, found = one_run(options.build, programs, scratch, chance)
            torn += found["torn"]
            samples += found["samples"]
            if (run + 1) % 100 == 0:
                print(f"{run + 1} kills: {held} bytes held, {found['bytes']} found; {samples} samples in all, {torn} torn",
                      flush=True)


if __name__ == "__main__":
    main()
