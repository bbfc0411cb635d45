#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers for tests/unit/analysis/test_trend.c from an independent oracle.

  /usr/bin/python3 tests/unit/analysis/oracle/make_trend_table.py > tests/unit/analysis/oracle/trend_table.h

SciPy gives the Theil-Sen slope and its interval (scipy.stats.theilslopes, Sen 1968) and Kendall's tau
(scipy.stats.kendalltau, from which S follows). The correction for autocorrelation is written here anew from
Hamed and Rao (1998), eq. 14 to 16, with numpy, in the way of pymannkendall's published
hamed_rao_modification_test(): ranks of the series detrended by Sen's slope, all lags, the significant ones only; and at least the same sum for an
AR(1) process where lag 1 is significant.
"""
import numpy as np
import scipy
from scipy import stats


def s_and_variance(x, y):
    n = len(y)
    i, k = np.triu_indices(n, 1)
    s = np.sum(np.sign(x[k] - x[i]) * np.sign(y[k] - y[i]))
    tau = stats.kendalltau(x, y).statistic
    ties = lambda v: np.unique(v, return_counts=True)[1]
    pairs = n * (n - 1) / 2
    free = lambda v: pairs - np.sum(ties(v) * (ties(v) - 1) / 2)
    if not np.isnan(tau):  # S from SciPy's tau-b
        assert abs(tau * np.sqrt(free(x) * free(y)) - s) < 1e-6
    term = lambda v: np.sum(ties(v) * (ties(v) - 1) * (2 * ties(v) + 5))
    return s, (n * (n - 1) * (2 * n + 5) - term(x) - term(y)) / 18


def correction(x, y, slope):
    n = len(y)
    ranks = stats.rankdata(y - slope * x)
    centred = ranks - ranks.mean()
    if not centred.any():
        return 1.0
    acf = np.correlate(centred, centred, "full")[n - 1:] / np.dot(centred, centred)
    bound = stats.norm.ppf(0.975) / np.sqrt(n)
    lags = np.arange(1, n)
    kept = np.where(np.abs(acf[1:]) > bound, acf[1:], 0)
    factor = lambda rho: 1 + 2 / (n * (n - 1) * (n - 2)) * np.sum((n - lags) * (n - lags - 1) * (n - lags - 2) * rho)
    if acf[1] <= bound:
        return factor(kept)
    # r1 of a detrended AR(1) is biased by -(2 + 4 rho) / n (Kendall and Stuart): solve for rho.
    rho = min(0.98, (acf[1] + 2 / n) / (1 - 4 / n))
    return max(factor(kept), factor(rho ** lags))


def interval(slopes, variance):
    """Sen (1968), eq. 2.6, indices as scipy.stats.theilslopes has them."""
    c = stats.norm.ppf(0.975) * np.sqrt(variance)
    high = min(int(np.round((len(slopes) + c) / 2)), len(slopes) - 1)
    low = max(int(np.round((len(slopes) - c) / 2)) - 1, 0)
    return slopes[low], slopes[high]


def slopes_of(x, y):
    i, k = np.triu_indices(len(y), 1)
    d = x[k] > x[i]
    return ((y[k] - y[i])[d]) / ((x[k] - x[i])[d])


def analyse(series):
    slopes = np.sort(np.concatenate([slopes_of(x, y) for x, y in series]))
    slope = np.median(slopes)
    s = variance = corrected = 0.0
    for x, y in series:
        one_s, one_variance = s_and_variance(x, y)
        s += one_s
        variance += one_variance
        corrected += one_variance * max(1.0, correction(x, y, slope))
    low, high = interval(slopes, corrected)
    z = (s - np.sign(s)) / np.sqrt(corrected) if corrected > 0 else 0
    p = 2 * stats.norm.sf(abs(z)) if corrected > 0 else 1.0
    if len(series) == 1:
        x, y = series[0]
        reference = stats.theilslopes(y, x, 0.95)
        assert reference.slope == slope or abs(reference.slope - slope) < 1e-12 * abs(slope)
        if corrected == variance:
            assert np.allclose([low, high], [reference.low_slope, reference.high_slope])
    return dict(slope=slope, low=low, high=high, s=s, variance=variance,
                correction=corrected / variance if variance > 0 else 1, p=p)


def ar1(rng, n, phi):
    out = np.zeros(n)
    for i in range(1, n):
        out[i] = phi * out[i - 1] + rng.normal()
    return out


def cases():
    rng = np.random.default_rng(20250711)
    t = lambda n: np.arange(n, dtype=float)
    yield "white noise", [(t(24), rng.normal(size=24))]
    yield "trend in white noise", [(t(30), 0.3 * t(30) + rng.normal(size=30))]
    yield "falling, uneven x", [(np.sort(rng.uniform(0, 50, 25)), -2 * t(25) + rng.normal(size=25))]
    yield "AR(1) 0.8 without trend", [(t(60), ar1(rng, 60, 0.8))]
    yield "AR(1) 0.6 with trend", [(t(48), 0.2 * t(48) + ar1(rng, 48, 0.6))]
    yield "staircase: ties in y", [(t(40), np.floor(t(40) / 5))]
    yield "ties in x", [(np.floor(t(32) / 2), t(32) + rng.normal(size=32))]
    yield "alternating: negative autocorrelation", [(t(30), np.where(t(30) % 2 > 0, 1.0, -1.0) + 0.01 * t(30))]
    yield "sawtooth on a trend", [(t(48), t(48) % 8 + 0.5 * t(48))]
    yield "eight points", [(t(8), np.array([1, 3, 2, 5, 4, 7, 6, 9], dtype=float))]
    yield "constant", [(t(12), np.full(12, 7.0))]
    yield "three lifetimes of one slope", [
        (t(14), 3 * t(14) + 10 * i + rng.normal(size=14)) for i in range(3)]
    yield "two lifetimes without trend", [
        (t(10), 50 * i + rng.normal(size=10)) for i in range(2)]


def array(name, values):
    rows = [", ".join(f"{v:.17g}" for v in values[i:i + 5]) for i in range(0, len(values), 5)]
    return f"static const double {name}[] = {{\n    " + ",\n    ".join(rows) + ",\n};"


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print(f"/* Made by make_trend_table.py with SciPy {scipy.__version__} and NumPy {np.__version__}; do not edit. */")
    print("/* clang-format off */")
    rows = []
    for number, (name, series) in enumerate(cases()):
        sizes = [len(x) for x, _ in series]
        print(array(f"case_{number}_x", np.concatenate([x for x, _ in series])))
        print(array(f"case_{number}_y", np.concatenate([y for _, y in series])))
        a = analyse(series)
        rows.append(f'    {{"{name}", case_{number}_x, case_{number}_y, {len(sizes)}, {sizes[0]}, '
                    + ", ".join(f"{a[k]:.17g}" for k in ("slope", "low", "high", "s", "variance", "correction", "p"))
                    + "},")
    print("static const struct trend_case {\n    const char *name;\n    const double *x, *y;\n"
          "    size_t series, each; /* so many series of so many points */\n"
          "    double slope, low, high, s, variance, correction, p;\n} trend_cases[] = {")
    print("\n".join(rows) + "\n};")
    print("/* scipy.stats.t.ppf(0.975, freedom) and 2 scipy.stats.norm.sf(z). */")
    print("static const double student_cases[][2] = {")
    for freedom in (1, 2, 3, 4, 5, 7, 10, 30, 100, 1000):
        print(f"    {{{freedom}, {stats.t.ppf(0.975, freedom):.17g}}},")
    print("};\nstatic const double normal_cases[][2] = {")
    for z in (0, 0.5, 1, 1.959963984540054, 3, 6):
        print(f"    {{{z!r}, {2 * stats.norm.sf(z):.17g}}},")
    print("};\n/* clang-format on */")


main()
