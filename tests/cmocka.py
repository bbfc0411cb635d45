# SPDX-License-Identifier: Apache-2.0
"""Reads what a cmocka binary prints (plain output), case by case."""

import re

MARK = re.compile(r"^\[\s*(RUN|OK|FAILED|SKIPPED|ERROR)\s*\] (\S+)$")
# Exit status of a binary that cannot run here at all.
STATUS_SKIPPED = 77


class Result:
    """The cases of one binary by name; `skipped` has (name, reason)."""

    def __init__(self):
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        self.output = ""


def parse(name: str, output: str, status: int) -> Result:
    """`output` holds stdout and stderr (in any order); `name` stands for the binary as a whole."""
    result = Result()
    result.output = output
    begun: list[str] = []
    ended: dict[str, str] = {}
    said: dict[str, str] = {}
    last = ""
    for line in output.splitlines():
        match = MARK.match(line.strip())
        if not match:
            last = line.strip() or last
            continue
        state, case = match.groups()
        if state == "RUN":
            # A forked child may print the parent's unwritten lines again.
            if case not in begun:
                begun.append(case)
            last = ""
        elif case in begun:
            # The list of failures at the end repeats names: the first word on a case counts.
            ended.setdefault(case, state)
            said.setdefault(case, last)
    for case in begun:
        state = ended.get(case, "FAILED")
        if state == "OK":
            result.passed.append(f"{name}: {case}")
        elif state == "SKIPPED":
            result.skipped.append((f"{name}: {case}", said[case] or "no reason given"))
        else:
            result.failed.append(f"{name}: {case}")
    if status == STATUS_SKIPPED:
        return skip_whole(name, output)
    if status != 0 and not result.failed:
        result.failed.append(f"{name}: exit status {status}")
    if status == 0 and not begun:
        # Not a cmocka binary: its status is its result.
        result.passed.append(name)
    return result


def skip_whole(name: str, output: str) -> Result:
    result = Result()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    result.skipped.append((name, lines[-1] if lines else "no reason given"))
    return result
