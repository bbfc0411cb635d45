#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes catalogue.json, the one list of all cases, from shapes.py and from the truths in the traces.

  tests/corpus/catalogue.py [--check]

With --check nothing is written: it fails when the file is not what it would write, or when a trace is missing or
has no case.
"""
import argparse
import json
import pathlib
import sys

import shapes

HERE = pathlib.Path(__file__).resolve().parent
FILE = HERE / "catalogue.json"


def truth_of(case_id):
    """What the trace says of the true growth: {"request": (bytes, over), ...}."""
    found = {}
    for line in (HERE / "traces" / f"{case_id}.trace").read_text().splitlines():
        word = line.split()
        if word[0] == "truth":
            found[word[1]] = (float(word[2]), int(word[4]))
        elif word[0] == "arm":
            break
    return found


def derivation_of(truth):
    if not truth:
        return None
    lengths = " and ".join(f"{over} {unit}s" for unit, (_, over) in truth.items())
    return f"{shapes.CALIBRATED}; here {lengths}"


def row_of(case):
    truth = truth_of(case["id"])
    more = {key: case[key] for key in ("idle", "gap", "cooldown", "liveness", "ready_deadline", "requests") if key in case}
    return {
        "id": case["id"], "shape": case["shape"], "language": case["language"], "part": case["part"],
        "label": case["label"], "also": case["also"], "driver": case["driver"],
        "bytes_per_request": truth["request"][0] if "request" in truth else None,
        "bytes_per_second": truth["second"][0] if "second" in truth else None,
        "derivation": derivation_of(truth), "reason": case["reason"],
        "parameters": {"memory": case["memory"], "raise": case["raise"], "env": case["env"], "rate": case["rate"],
                       "cycles": case["cycles"], "per_cycle": case["per_cycle"], **more},
        "record": f"tests/corpus/record.py {case['id']}",
    }


def build():
    """The catalogue's text, one case a line."""
    rows = [json.dumps(row_of(case)) for case in shapes.all_cases()]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    known = {case["id"] for case in shapes.all_cases()}
    strangers = sorted(path.stem for path in (HERE / "traces").glob("*.trace") if path.stem not in known)
    missing = sorted(name for name in known if not (HERE / "traces" / f"{name}.trace").exists())
    if strangers or missing:
        sys.exit(f"traces without a case: {strangers}; cases without a trace: {missing}")
    text = build()
    if arguments.check:
        sys.exit(0 if FILE.read_text() == text else "catalogue.json is not up to date: run tests/corpus/catalogue.py")
    FILE.write_text(text)


if __name__ == "__main__":
    main()
