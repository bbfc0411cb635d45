#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ten sites program under 'oomlab run --heap', killed by the kernel, against what it counted itself:
sites.py [--runs N] [--memory SIZE] [--processes N] [--oomlab PATH] [--json]. Exit status 1: a bar does not hold.
"""

import argparse
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
SITES = ["site_small", "site_zeroed", "site_grown", "site_aligned", "site_new", "site_pages", "site_thread",
         "site_cross", "site_large", "site_mapping"]
THREADS = {"site_thread", "site_cross"}  # begun by a thread; the others stand below leak_round and main
PAGE = 4096  # of each process's counters

# The bars: of each run the sum of the sites' errors over the truth; each site's deviations; the share of the intervals
# of 95 % that cover the truth.
ERROR_MOST = 0.04
THREAD_MOST = 4  # samples of what libc keeps for one thread
DEVIATIONS_MOST = 3
COVERED = (0.90, 0.99)


def build(directory):
    program = Path(directory) / "sites"
    source = TREE / "tests" / "heap" / "sites.cc"
    subprocess.run(["g++", "-O1", "-g", "-o", program, source, "-pthread"], check=True)
    return program


def new_counters(path, processes=1):
    Path(path).write_bytes(bytes(PAGE * processes))


def read_counters(path):
    """Bytes that each site held at the kill, all processes together."""
    data = Path(path).read_bytes()
    each = [struct.unpack_from(f"{len(SITES)}Q", data, at) for at in range(0, len(data), PAGE)]
    return dict(zip(SITES, map(sum, zip(*each))))


def run_arguments(run, memory, *options):
    """Of one life until the kill."""
    return ["run", "--quiet", "--memory", memory, "--arms", "trigger", "--kills", "1", "--ready", "none", "--idle", "0s",
            "--cycles", "1", "--per-cycle", "1", "--cooldown", "90s", "--output", run, *options, "--"]


def check_kill(run):
    result = json.loads((Path(run) / "result.json").read_text(encoding="utf-8"))
    assert result["arms"][0]["oom_kills"] >= 1, result["arms"][0]
    assert result["arms"][0]["lifetimes"][0]["end"]["cause"] == "oom-container-limit"
    return result


def by_site(heap):
    """Each site's stack; every stack must belong to one, and be whole. Apart from them only libc's own few bytes for a
    thread that was alive at the kill may have been sampled."""
    found = {}
    for stack in heap["stacks"]:
        functions = [frame["function"] for frame in stack["frames"]]
        site = [name for name in SITES if name in functions]
        if not site and any(name.startswith("__pthread_create") for name in functions):
            assert stack["bytes"] <= THREAD_MOST * heap["rate_bytes"], functions
            continue
        assert len(site) == 1 and site[0] not in found, functions
        place = stack["frames"][functions.index(site[0])]
        below = functions[functions.index(site[0]) + 1:]
        assert below[:2] == ["leak_round", "main"] or site[0] in THREADS and below[0] == "start_thread", functions
        assert place["file"].endswith("tests/heap/sites.cc") and place["line"] > 0
        found[site[0]] = stack
    return found


def summed_error(found, truth):
    errors = sum(abs((found[site]["bytes"] if site in found else 0) - truth[site]) for site in SITES)
    return errors / sum(truth.values())


def one_run(oomlab, program, directory, memory, processes):
    counters, run = directory / "counters", directory / "run"
    new_counters(counters, processes)
    command = [program, counters, str(processes)]
    done = subprocess.run([oomlab, *run_arguments(run, memory, "--heap"), *command], capture_output=True, text=True,
                          check=False)
    assert done.returncode in (0, 3), done.stderr
    host = check_kill(run)["run"]["host"]
    shown = subprocess.run([oomlab, "heap", run, "--top", "0", "--format", "json"], capture_output=True, text=True,
                           check=True)
    heap = json.loads(shown.stdout)
    return {"truth": read_counters(counters), "found": by_site(heap), "rate_bytes": heap["rate_bytes"],
            "samples": heap["samples"], "dropped": heap["dropped"], "lost_stacks": heap["lost_stacks"],
            "torn": heap["torn"], "cgroup_version": host["cgroup_version"]}


def deviations(runs, site):
    """Of each run, in standard deviations as the interval states them: its half width is 1.96 of those."""
    for run in runs:
        stack = run["found"][site]
        low, high = stack["ci95_bytes"]
        error = stack["bytes"] - run["truth"][site]
        width = (high - low) / (2 * 1.96)
        yield error / width if width > 0 else math.copysign(math.inf, error) if error else 0.0


def summary(runs):
    """What the bars are about."""
    errors = [summed_error(run["found"], run["truth"]) for run in runs]
    sites = {}
    for site in SITES:
        ratios = [run["found"][site]["bytes"] / run["truth"][site] - 1 for run in runs]
        covered = [run["found"][site]["ci95_bytes"][0] <= run["truth"][site] <= run["found"][site]["ci95_bytes"][1]
                   for run in runs]
        sites[site] = {"share": statistics.mean(run["truth"][site] / sum(run["truth"].values()) for run in runs),
                       "bias": statistics.mean(ratios), "deviation": statistics.pstdev(ratios),
                       "farthest": max(map(abs, deviations(runs, site))), "covered": sum(covered),
                       "beyond": sum(abs(value) > DEVIATIONS_MOST for value in deviations(runs, site))}
    # An interval of no width is a site of which every object was sampled: exact, and no proof of 95 %.
    inexact = [run["found"][site] for run in runs for site in SITES
               if run["found"][site]["ci95_bytes"][1] > run["found"][site]["bytes"] * 1.0001]
    inexact_covered = sum(low <= truth <= high for run in runs for site in SITES
                          for (low, high), truth, size in [(run["found"][site]["ci95_bytes"], run["truth"][site],
                                                            run["found"][site]["bytes"])] if high > size * 1.0001)
    return {"errors": errors, "sites": sites, "intervals": len(inexact), "covered": inexact_covered}


def print_summary(runs, found):
    print(f"{len(runs)} kills, cgroup v{runs[0]['cgroup_version']}, one sample in {runs[0]['rate_bytes']} bytes, "
          f"{min(run['samples'] for run in runs)} to {max(run['samples'] for run in runs)} samples")
    print(f"{'site':14}{'share':>8}{'bias':>9}{'deviation':>11}{'farthest':>10}{'covered':>9}")
    for name, site in found["sites"].items():
        print(f"{name:14}{site['share']:8.1%}{site['bias']:+9.2%}{site['deviation']:11.2%}"
              f"{site['farthest']:8.2f}sd{site['covered']:6}/{len(runs)}")
    beyond = sum(site["beyond"] for site in found["sites"].values())
    print(f"single sites beyond {DEVIATIONS_MOST} standard deviations: {beyond} of {found['intervals']}, by chance "
          f"{0.0027 * found['intervals']:.1f}")


def bars(runs, found):
    """(what, whether it holds)."""
    worst = max(found["errors"])
    # The mean of the runs: a single site of a single run is beyond 3 deviations once in 370 times by chance.
    biases = {name: abs(site["bias"]) / (site["deviation"] / len(runs) ** 0.5)
              for name, site in found["sites"].items() if site["deviation"] > 1e-4}
    share = found["covered"] / found["intervals"]
    yield (f"sum of errors over the truth: mean {statistics.mean(found['errors']):.2%}, worst {worst:.2%}, at most "
           f"{ERROR_MOST:.0%}", worst <= ERROR_MOST)
    yield (f"farthest mean of a site: {max(biases.values()):.2f} of its standard deviations, at most {DEVIATIONS_MOST}",
           max(biases.values()) <= DEVIATIONS_MOST)
    yield (f"intervals that cover the truth: {found['covered']} of {found['intervals']} ({share:.1%}), "
           f"{COVERED[0]:.0%} to {COVERED[1]:.0%}", COVERED[0] <= share <= COVERED[1])
    yield "nothing dropped, lost or torn", not any(run[key] for run in runs for key in ("dropped", "lost_stacks", "torn"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--memory", default="256Mi")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--oomlab", default=os.environ.get("OOMLAB", str(TREE / "build" / "oomlab")))
    parser.add_argument("--program", type=Path, help="the program, built already")
    parser.add_argument("--json", action="store_true", help="each run's figures instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oomlab-sites-") as scratch:
        program = options.program or build(scratch)
        runs = []
        for number in range(options.runs):
            directory = Path(scratch) / str(number)
            directory.mkdir()
            runs.append(one_run(options.oomlab, program, directory, options.memory, options.processes))
    if options.json:
        json.dump(runs, sys.stdout)
        return 0
    found = summary(runs)
    print_summary(runs, found)
    holds = True
    for text, good in bars(runs, found):
        print(f"bar {text}: {'holds' if good else 'FAILS'}")
        holds = holds and good
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
