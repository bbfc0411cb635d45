# SPDX-License-Identifier: Apache-2.0
"""The rules that people use today, on the same traces. Each takes a lifetime and says whether it raises an alarm.

They judge what a monitoring system has: the trigger arm's longest lifetime after readiness, its resident or
working-set memory. A rule that speaks of an hour gets the lifetime stretched to an hour.
"""
import math

HOUR = 3600.0
MIB = 1024 * 1024


class Lifetime:
    """samples: [(seconds, requests, working set, anon)] after readiness; cycles: [(start, end)] complete ones."""

    def __init__(self, limit, samples, cycles, requests_per_cycle):
        self.limit, self.samples, self.cycles, self.per_cycle = limit, samples, cycles, requests_per_cycle

    def column(self, index):
        return [sample[0] for sample in self.samples], [sample[index] for sample in self.samples]


def least_squares(x, y):
    """(slope, intercept)"""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    if spread == 0:
        return 0.0, mean_y
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / spread
    return slope, mean_y - slope * mean_x


def longest_segment(y):
    """Split where memory drops by more than a half; the longest piece as (start, end)."""
    starts = [0] + [i for i in range(1, len(y)) if y[i] < y[i - 1] / 2] + [len(y)]
    return max(zip(starts, starts[1:]), key=lambda piece: piece[1] - piece[0])


def coroot(life):
    """Coroot's MemoryGrowthPct above 10 %/h."""
    x, y = life.column(3)
    if len(x) < 10 or x[-1] <= x[0]:
        return False
    x = [(t - x[0]) * HOUR / (x[-1] - x[0]) for t in x]
    start, end = longest_segment(y)
    x_part, y_part = x[start:end], y[start:end]
    if len(x_part) < 10 or x_part[-1] - x_part[0] < HOUR / 3:
        return False
    slope, base = least_squares(x_part, y_part)
    tail = [i for i, t in enumerate(x_part) if t >= x_part[-1] - max((x_part[-1] - x_part[0]) / 4, 900)]
    last, _ = least_squares([x_part[i] for i in tail], [y_part[i] for i in tail])
    grown = slope * HOUR
    if slope <= 0 or last < 0.3 * slope or grown < 0.05 * life.limit:
        return False
    return grown / max(base + slope * x_part[0], 1) > 0.10


def next_leak(life):
    """next-leak's gate on the growth of each cycle after the first."""
    ends = []
    for _, end in life.cycles:
        after = [sample[2] for sample in life.samples if sample[0] >= end]
        if after:
            ends.append(after[0])
    growth = [b - a for a, b in zip(ends, ends[1:])]
    if len(growth) < 2:
        return False
    gate = max(256 * 1024, 51.2 * 1024 * life.per_cycle / 1000)
    if all(b < a for a, b in zip(growth, growth[1:])) and growth[-1] <= growth[0] / 2:
        return False  # saturating
    net = sum(growth)
    drawdown = max(0, max(max(ends[:i + 1]) - ends[i] for i in range(len(ends))))
    return all(g > gate for g in growth) or (sum(g > gate for g in growth) >= 2 and net > 0 and drawdown <= 0.1 * net)


def predict_linear(life):
    """predict_linear() over the whole window reaches the limit within a window's length."""
    x, y = life.column(2)
    if len(x) < 2:
        return False
    slope, base = least_squares(x, y)
    return slope > 0 and base + slope * (x[-1] + (x[-1] - x[0])) >= life.limit


def mann_kendall(life):
    """Plain Mann-Kendall, p < 0.05, and Sen's slope above 0."""
    x, y = life.column(2)
    step = max(1, len(y) // 200)
    y = y[::step]
    n = len(y)
    if n < 4:
        return False
    s = sum((b > a) - (b < a) for i, a in enumerate(y) for b in y[i + 1:])
    ties = {}
    for value in y:
        ties[value] = ties.get(value, 0) + 1
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties.values())) / 18
    if variance <= 0 or s <= 0:
        return False
    z = (s - 1) / math.sqrt(variance)
    slopes = sorted((b - a) / (k + 1) for i, a in enumerate(y) for k, b in enumerate(y[i + 1:]))
    return math.erfc(z / math.sqrt(2)) < 0.05 and slopes[len(slopes) // 2] > 0


def grew_by(percent):
    def rule(life):
        _, y = life.column(2)
        return len(y) > 1 and y[-1] > y[0] * (1 + percent / 100)
    return rule


RULES = {
    "Coroot's growth rule": coroot,
    "next-leak's cycle gate": next_leak,
    "least squares, `predict_linear`": predict_linear,
    "Mann-Kendall and Sen, plain": mann_kendall,
    "grew by more than 10 %": grew_by(10),
    "grew by more than 20 %": grew_by(20),
    "grew by more than 50 %": grew_by(50),
}
