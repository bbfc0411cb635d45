# SPDX-License-Identifier: Apache-2.0
"""JMESPath: the public compliance suite, and Debian's python3-jmespath (which az uses) as an independent oracle."""

import itertools
import json
import os
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
SUITE = TREE / "tests" / "jmespath"
BINARY = Path(os.environ.get("OOMLAB", TREE / "build" / "oomlab")).resolve()


def program():
    """jmespath-answer, built with the unit tests beside the binary."""
    for folder in [*BINARY.parents, TREE / "build"]:
        path = folder / "tests" / "unit" / "jmespath" / "jmespath-answer"
        if path.exists():
            return path
    if os.environ.get("OOMLAB_MUST_WORK"):
        raise FileNotFoundError("jmespath-answer was not built")
    pytest.skip("jmespath-answer was not built (no cmocka)")
    return None


def answers(questions):
    lines = "".join(json.dumps({"expression": e, "document": d}) + "\n" for e, d in questions)
    done = subprocess.run([program()], input=lines, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(questions)
    return found


def cases():
    for path in sorted(SUITE.glob("*.json")):
        for group in json.loads(path.read_text(encoding="utf-8")):
            for case in group["cases"]:
                if "bench" not in case:
                    yield path.stem, case, group["given"]


def same(a, b):
    """Equal as JSON: 1 and 1.0 are one number, true and 1 are not."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def test_compliance_suite():
    every = list(cases())
    assert len(every) > 600
    wrong = []
    for (name, case, _), found in zip(every, answers([(c["expression"], given) for _, c, given in every])):
        if "error" in case:
            right = found.get("error") == case["error"] or (case["error"] == "runtime" and "error" in found)
        elif case["expression"] in {"keys(foo)", "values(foo)", "*.*"} or "*" in case["expression"]:
            # Objects have no order in the suite.
            right = "result" in found and (same(found["result"], case["result"]) or (
                sorted(map(json.dumps, found["result"])) == sorted(map(json.dumps, case["result"]))))
        else:
            right = "result" in found and same(found["result"], case["result"])
        if not right:
            wrong.append((name, case["expression"], case.get("result", case.get("error")), found))
    assert not wrong, "\n".join(map(str, wrong))


DOCUMENT = {
    "a": {"b": [1, 2.5, -3], "c": "text", "d": None, "e": {"x": True, "y": False}},
    "list": [{"n": "ä", "v": 2}, {"n": "b", "v": 1}, {"n": "c", "v": 2}, {"n": "d"}, 7, None, [1, [2]]],
    "s": ["b", "a", "", "ü"], "zero": 0, "empty": [], "o": {"k": 1, "l": [0]},
}
LEFT = ["@", "a", "a.b", "a.c", "list", "s", "o", "a.e", "missing", "zero", "empty", "`2`", "'text'", "`null`",
        "list[?v]", "a.*", "[a.c, zero]", "{p: s, q: zero}", "list[].v", "s[::-1]", "list[-1][]"]
RIGHT = ["[0]", "[1:3]", "[::-2]", ".*", "[*]", "[]", "[*].n", "[?v == `2`].n", "[?n > 'b']", " | [0]", " || zero",
         " && a.c", " == a.b", " < `2`", " != `null`", ".e.x", ".[c, d]", ".{z: c}"]
FUNCTIONS = ["abs", "avg", "ceil", "floor", "keys", "length", "max", "min", "reverse", "sort", "sum", "to_array",
             "to_number", "to_string", "type", "values", "not_null", "merge"]
TWO = ["contains", "starts_with", "ends_with", "join", "not_null"]  # jmespath.py checks only merge's first
BY = ["sort_by", "max_by", "min_by"]


def expressions():
    yield from (left + right for left, right in itertools.product(LEFT, RIGHT))
    yield from (f"{name}({left})" for name, left in itertools.product(FUNCTIONS, LEFT))
    yield from (f"{name}({a}, {b})" for name in TWO for a, b in itertools.product(LEFT, repeat=2))
    yield from (f"{name}({left}, &{key})" for name in BY for left in LEFT for key in ("v", "n", "@"))
    yield from (f"map(&{key}, {left})" for left in LEFT for key in ("v", "@", "to_string(@)"))
    yield from (f"!{left} || ({left}{right})" for left, right in itertools.product(LEFT, RIGHT))


def test_as_jmespath_py():
    jmespath = pytest.importorskip("jmespath")
    every = sorted(set(expressions()))
    assert len(every) > 3000
    wrong = []
    for text, found in zip(every, answers([(e, DOCUMENT) for e in every])):
        try:
            expected = jmespath.search(text, DOCUMENT)
        except jmespath.exceptions.JMESPathError as error:
            right = "error" in found
            expected = repr(error)
        except (TypeError, AttributeError, ValueError) as error:  # jmespath.py itself stumbles: nothing to compare
            right, expected = True, repr(error)
        else:
            if "to_string" in text:  # jmespath.py escapes what is not ASCII
                expected = json.loads(json.dumps(expected).replace(r"\\u00", r"\u00"))
            right = "result" in found and same(found["result"], expected)
        if not right:
            wrong.append((text, expected, found))
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(map(str, wrong[:40]))
