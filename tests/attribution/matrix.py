# SPDX-License-Identifier: Apache-2.0
"""The confusion matrix of the attribution rows: what rows.py found, merged over its runs."""

import json
from pathlib import Path


def empty(machine: str) -> dict:
    """One machine's answers. matrix: truth → answer → count; rows: name → runs, right, levels."""
    return {"machine": machine, "matrix": {}, "rows": {}, "skipped": {}, "wrong": []}


def add(found: dict, truth: str, answer: str, count: int = 1) -> None:
    answers = found["matrix"].setdefault(truth, {})
    answers[answer] = answers.get(answer, 0) + count


def add_row(found: dict, name: str, runs: int, right: int, levels: dict[str, int]) -> None:
    row = found["rows"].setdefault(name, {"runs": 0, "right": 0, "levels": {}})
    row["runs"] += runs
    row["right"] += right
    for level, count in levels.items():
        row["levels"][level] = row["levels"].get(level, 0) + count


def merge(into: dict, other: dict) -> None:
    for truth, answers in other["matrix"].items():
        for answer, count in answers.items():
            add(into, truth, answer, count)
    for name, row in other["rows"].items():
        add_row(into, name, row["runs"], row["right"], row["levels"])
    into["skipped"].update(other["skipped"])
    into["wrong"] += other["wrong"]


def diagonal(found: dict) -> bool:
    """Every answer is the truth, and nothing else was wrong either."""
    return not found["wrong"] and all(
        truth == answer for truth, answers in found["matrix"].items() for answer in answers
    )


def text(found: dict) -> str:
    matrix = found["matrix"]
    names = sorted({*matrix, *(answer for answers in matrix.values() for answer in answers)})
    width = max(map(len, names), default=0)
    runs = sum(row["runs"] for row in found["rows"].values())
    lines = [f"who killed it, {found['machine']}: {len(found['rows'])} rows, {runs} runs"
             f"{'' if diagonal(found) else ', NOT DIAGONAL'} (rows: truth, columns: answer)"]
    lines.append(" " * (width + 4) + "".join(f"{chr(65 + i):>5}" for i in range(len(names))))
    for i, truth in enumerate(names):
        counts = [matrix.get(truth, {}).get(answer, 0) for answer in names]
        if any(counts):
            cells = "".join(f"{count or '.':>5}" for count in counts)
        else:
            cells = " (an answer only)"
        lines.append(f"{chr(65 + i)}  {truth:<{width}} {cells}")
    return "\n".join(lines)


def rows_text(found: dict) -> str:
    """Row by row: how often right, at which levels, and what went wrong."""
    lines = []
    for name, row in found["rows"].items():
        levels = ", ".join(f"{level} {count}" for level, count in sorted(row["levels"].items()))
        lines.append(f"{row['right']:>4}/{row['runs']} {name}: {levels}")
    lines += [f"skipped {name}: {reason}" for name, reason in found["skipped"].items()]
    lines += [f"WRONG {json.dumps(fault)}" for fault in found["wrong"]]
    return "\n".join(lines)


def read_all(directory: Path) -> list[dict]:
    """What the tests left in a directory, one object for each machine."""
    machines: dict[str, dict] = {}
    for path in sorted(directory.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        merge(machines.setdefault(found["machine"], empty(found["machine"])), found)
    return list(machines.values())
