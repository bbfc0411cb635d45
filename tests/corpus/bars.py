# SPDX-License-Identifier: Apache-2.0
"""The bars of the corpus, in one place. `make accuracy` prints all of them; test_accuracy.py asserts those marked
ASSERTED. A bar that does not hold yet is marked OPEN, and becomes ASSERTED with the change that reaches it.

(part, view, measure, comparison, bound, state); the measures are those of accuracy.Measures.
"""
ASSERTED, OPEN = "asserted", "open"

BARS = [
    ("test", "full", "precision", ">=", 0.98, ASSERTED),
    ("tuning", "full", "precision", ">=", 0.98, ASSERTED),
    ("test", "full", "recall", ">=", 0.98, ASSERTED),
    ("test", "full", "false_alarms", "<=", 0, ASSERTED),
    ("test", "full", "accuracy", ">=", 0.95, ASSERTED),
    ("test", "full", "inconclusive", "<=", 0.05, ASSERTED),
    ("test", "minute-no-requests", "precision", ">=", 0.95, ASSERTED),
    ("test", "minute-no-requests", "recall", ">=", 0.85, ASSERTED),
    ("test", "minute-no-requests", "wrong", "<=", 0.05, ASSERTED),
    ("both", "full", "growth_within_10_percent", ">=", 0.95, ASSERTED),
    ("both", "full", "interval_covers", ">=", 0.90, ASSERTED),
    ("both", "full", "interval_covers", "<=", 0.99, ASSERTED),
    ("both", "full", "raise_inside", ">=", 0.90, ASSERTED),
    ("both", "full", "raise_inside", "<=", 0.99, ASSERTED),
    ("both", "full", "raise_judged", ">=", 40, ASSERTED),
]
