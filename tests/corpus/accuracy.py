#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How right the verdict is on the corpus, and beside it the rules that people use today.

  tests/corpus/accuracy.py [--judge PROGRAM] [--write FILE] [--misses]

--misses prints each case that was not judged as its label says, with the verdict's own words.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys

import bars
import rules

HERE = pathlib.Path(__file__).resolve().parent
CLASSES = ["leak", "startup-demand", "peak-demand", "bounded-cache", "reclaimable-cache", "stable", "not-memory",
           "inconclusive"]
VIEWS = ["full", "trigger-only", "every-15s", "every-60s", "half", "one-lifetime", "no-requests", "gaps",
         "minute-no-requests"]
PARTS = ["tuning", "test"]
DRIVEN = {"requests": ("per_request", "bytes_per_request"), "time": ("per_second", "bytes_per_second")}
HEALTHY = {"bounded-cache", "reclaimable-cache", "stable", "not-memory"}


def load_catalogue():
    return {row["id"]: row for row in json.loads((HERE / "catalogue.json").read_text())}


def judge(program, catalogue):
    """[{... the judge's words, "truth": the catalogue's row}]"""
    traces = [str(HERE / "traces" / f"{name}.trace") for name in catalogue]
    lines = subprocess.run([program, *traces], check=True, capture_output=True, text=True).stdout.splitlines()
    judged = [json.loads(line) for line in lines]
    for row in judged:
        row["truth"] = catalogue[row["case"]]
    return judged


def share(count, of):
    return count / of if of else float("nan")


class Measures:
    """The figures of some judged cases."""

    def __init__(self, rows):
        self.rows = rows
        leaks = [row for row in rows if row["truth"]["label"] == "leak"]
        called = [row for row in rows if row["class"] == "leak"]
        found = [row for row in leaks if row["class"] == "leak"]
        self.cases, self.leaks = len(rows), len(leaks)
        self.precision = share(len(found), len(called))
        self.recall = share(len(found), len(leaks))
        self.false_alarms = sum(row["truth"]["label"] in HEALTHY for row in called)
        self.accuracy = share(sum(is_right(row) for row in rows), len(rows))
        self.inconclusive = share(sum(row["class"] == "inconclusive" for row in rows), len(rows))
        self.wrong = share(sum(not is_right(row) and row["class"] != "inconclusive" for row in rows), len(rows))
        self.take_growth(found)
        self.take_raise(leaks)

    def take_growth(self, found):
        self.errors, self.covered = [], []
        for row in found:
            if row["truth"]["driver"] not in DRIVEN:
                continue
            ours, theirs = DRIVEN[row["truth"]["driver"]]
            truth, estimate = row["truth"][theirs], row[ours]
            if not truth:
                continue
            known = estimate["known"]
            self.errors.append((abs(estimate["value"] / truth - 1) if known else float("inf"), row["case"]))
            inside = known and None not in (estimate["low"], estimate["high"]) and estimate["low"] <= truth <= estimate["high"]
            self.covered.append((inside, row["case"]))
        self.growth_judged = len(self.errors)
        self.growth_within_10_percent = share(sum(error <= 0.10 for error, _ in self.errors), len(self.errors))
        self.interval_covers = share(sum(inside for inside, _ in self.covered), len(self.covered))

    def take_raise(self, leaks):
        """The leak's own forecast for the raised limit: of requests, or of seconds where time drives."""
        self.forecasts = []
        self.raise_undecided = self.raise_without = 0
        for row in leaks:
            if "predictions" not in row:
                continue
            metric = "seconds-to-kill" if row["truth"]["driver"] == "time" else "requests-to-kill"
            mine = [p for p in row["predictions"] if p["hypothesis"] == "leak" and p["metric"] == metric]
            if not mine:
                self.raise_without += 1
            elif mine[0]["outcome"] == "undecided":
                self.raise_undecided += 1
            else:
                self.forecasts.append((mine[0]["outcome"] == "holds", row["case"], mine[0]))
        self.raise_judged = len(self.forecasts)
        self.raise_inside = share(sum(holds for holds, *_ in self.forecasts), len(self.forecasts))


def is_right(row):
    return row["class"] == row["truth"]["label"] or row["class"] in row["truth"]["also"]


def pick(judged, part, view):
    return Measures([row for row in judged if row["view"] == view and part in (row["truth"]["part"], "both")])


# --- the rules of today ----------------------------------------------------------------------------------


def lifetimes_of(name):
    """The trigger arm's lifetimes out of a trace, for the rules: they know nothing of src/analysis."""
    lives, limit, state, spans, ready = [], 0, None, [], 0.0
    for line in (HERE / "traces" / f"{name}.trace").read_text().splitlines():
        word = line.split()
        if word[0] == "arm":
            if word[1] != "trigger":
                break
            limit = int(word[3])
        elif word[0] == "lifetime":
            ready = 0.0 if word[3] == "-" else int(word[3]) / 1000
            state, spans = [0] * 8, []
            lives.append((limit, [], spans, int(word[5]) / 1000))
        elif word[0] == "span" and word[1] == "cycle":
            spans.append((int(word[3]) / 1000, int(word[4]) / 1000))
        elif state and word[0].lstrip("-").isdigit():
            state = [last if text == "-" else last + int(text) for last, text in zip(state, word)]
            if ready <= state[0] / 1000 <= lives[-1][3]:
                lives[-1][1].append((state[0] / 1000, state[1], state[2] * 4096, state[3] * 4096))
    return lives


def longest_life(name, per_cycle):
    limit, samples, spans, uptime = max(lifetimes_of(name), key=lambda life: life[3])
    cycles = [(start, end) for start, end in spans if start >= 0 and end < uptime]
    return rules.Lifetime(limit, samples, cycles, per_cycle)


def judge_by_rules(catalogue):
    """{rule: {case: alarm}}"""
    lives = {name: longest_life(name, row["parameters"]["per_cycle"]) for name, row in catalogue.items()}
    return {rule: {name: alarm(life) for name, life in lives.items()} for rule, alarm in rules.RULES.items()}


def rule_figures(alarms, catalogue, part):
    rows = [(alarms[name], row["label"] == "leak") for name, row in catalogue.items() if part in (row["part"], "both")]
    hits = sum(alarm and leak for alarm, leak in rows)
    false = sum(alarm and not leak for alarm, leak in rows)
    return share(hits, hits + false), share(hits, sum(leak for _, leak in rows)), false


# --- the page --------------------------------------------------------------------------------------------


def percent(value):
    return "–" if value != value else f"{100 * value:.1f} %"


def matrix(rows):
    count = collections.Counter((row["truth"]["label"], row["class"]) for row in rows)
    lines = ["| truth | " + " | ".join(CLASSES) + " |", "|---" * (len(CLASSES) + 1) + "|"]
    for label in CLASSES[:-1]:
        cells = [str(count[label, name] or "") for name in CLASSES]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def part_section(judged, catalogue, by_rules, part):
    full = pick(judged, part, "full")
    shapes = len({row["truth"]["shape"] for row in full.rows})
    lines = [f"## The {part} part", "", f"{full.cases} cases of {shapes} program shapes, {full.leaks} of them leaks.", "",
             *matrix(full.rows), "",
             "Columns are verdicts. A cell off the diagonal is an error unless the catalogue allows that class as well (`also`).", "",
             "| | precision of `leak` | recall of `leak` | false alarms | accuracy | inconclusive |", "|---|---|---|---|---|---|",
             f"| oomlab, trigger and raise | {percent(full.precision)} | {percent(full.recall)} | {full.false_alarms} | "
             f"{percent(full.accuracy)} | {percent(full.inconclusive)} |"]
    alone = pick(judged, part, "trigger-only")
    lines.append(f"| oomlab, trigger alone | {percent(alone.precision)} | {percent(alone.recall)} | {alone.false_alarms} | "
                 f"{percent(alone.accuracy)} | {percent(alone.inconclusive)} |")
    for rule, alarms in by_rules.items():
        precision, recall, false = rule_figures(alarms, catalogue, part)
        lines.append(f"| {rule} | {percent(precision)} | {percent(recall)} | {false} | | |")
    lines += ["", "False alarms: `leak` on a case that is healthy or a cache or ends for other reasons than memory; for the rules of "
              "today any alarm without a leak.", "",
              "| growth and forecasts | |", "|---|---|",
              f"| growth within 10 % of the truth | {percent(full.growth_within_10_percent)} of {full.growth_judged} |",
              f"| stated 95 % interval covers the truth | {percent(full.interval_covers)} of {full.growth_judged} |",
              f"| `raise` inside its predicted interval | {percent(full.raise_inside)} of {full.raise_judged} |",
              f"| `raise` ended too early to tell | {full.raise_undecided} |", f"| no forecast | {full.raise_without} |", ""]
    return lines


def views_section(judged):
    lines = ["## Awkward views", "", "| view | part | precision | recall | accuracy | inconclusive | wrong |", "|---|---|---|---|---|---|---|"]
    for view in VIEWS:
        for part in PARTS:
            m = pick(judged, part, view)
            lines.append(f"| {view} | {part} | {percent(m.precision)} | {percent(m.recall)} | {percent(m.accuracy)} | "
                         f"{percent(m.inconclusive)} | {percent(m.wrong)} |")
    return lines + [""]


def bar_results(judged):
    """[(part, view, measure, comparison, bound, state, value, holds)]"""
    results = []
    for part, view, measure, comparison, bound, state in bars.BARS:
        value = getattr(pick(judged, part, view), measure)
        holds = value >= bound if comparison == ">=" else value <= bound
        results.append((part, view, measure, comparison, bound, state, value, holds))
    return results


def bars_section(judged):
    lines = ["## Bars", "", "| part | view | measure | bar | seen | |", "|---|---|---|---|---|---|"]
    for part, view, measure, comparison, bound, state, value, holds in bar_results(judged):
        lines.append(f"| {part} | {view} | {measure.replace('_', ' ')} | {comparison} {bound} | {value:.3f} | "
                     f"{'holds' if holds else '**missed**'}{'' if state == bars.ASSERTED else ', not asserted'} |")
    return lines + [""]


def misses_section(judged, part):
    lines = [f"## What was judged wrongly in the {part} part, at full view", ""]
    wrong = [row for row in pick(judged, part, "full").rows if not is_right(row)]
    lines += [f"- `{row['case']}` is {row['truth']['label']} ({row['truth']['reason']}); judged {row['class']}" for row in wrong]
    return lines + ([] if wrong else ["Nothing."]) + [""]


INTRO = """# How right the verdict is

Made by `make accuracy` from the labelled traces in [tests/corpus](../tests/corpus/README.md): real programs, run by
`oomlab run` in a real memory cgroup and killed by the kernel. The cases are split by program shape: thresholds may be
tuned on the tuning part only.

Where a case was recorded with more memory too (the arm `raise`), the full view has both arms, as a run has. *Trigger alone* leaves the
second out. The rules of today ([rules.py](../tests/corpus/rules.py)) see the trigger arm's longest lifetime; they know only
alarm or none. Views with a sample each 15 s or 60 s stretch the trace to an hour first. A leak that is called `inconclusive` counts
against recall.
"""


def page(judged, catalogue):
    by_rules = judge_by_rules(catalogue)
    lines = [INTRO]
    lines += bars_section(judged)
    for part in PARTS:
        lines += part_section(judged, catalogue, by_rules, part)
    lines += views_section(judged)
    for part in PARTS:
        lines += misses_section(judged, part)
    return "\n".join(lines)


def print_misses(judged):
    for view in VIEWS:
        for row in judged:
            if row["view"] == view and not is_right(row):
                print(f"{view} {row['truth']['part']} {row['case']}: {row['truth']['label']} judged {row['class']} "
                      f"(trigger {row['trigger_class']}, raise {row['raise_class']}): {row['summary']} | {row['would_settle']}")
    for part in PARTS:
        full = pick(judged, part, "full")
        for error, case in sorted(full.errors, reverse=True):
            inside = dict((name, held) for held, name in full.covered)[case]
            if error > 0.10 or not inside:
                print(f"growth {part} {case}: off by {100 * error:.2f} %{'' if inside else ', interval misses the truth'}")
        for holds, case, forecast in full.forecasts:
            if not holds:
                print(f"raise {part} {case}: {forecast}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judge", default="build/tests/corpus/judge")
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("--misses", action="store_true")
    arguments = parser.parse_args()
    catalogue = load_catalogue()
    judged = judge(arguments.judge, catalogue)
    if arguments.misses:
        print_misses(judged)
    text = page(judged, catalogue)
    if arguments.write:
        pathlib.Path(arguments.write).write_text(text)
    elif not arguments.misses:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
