#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers for tests/unit/analysis/test_compare.c from an independent oracle.

  /usr/bin/python3 tests/unit/analysis/oracle/make_compare_table.py > tests/unit/analysis/oracle/compare_table.h

Welch's interval is SciPy's test turned round: the shifts of one sample at which scipy.stats.ttest_ind(equal_var=False)
has p = 0.05. The interval of one mean is scipy.stats.t.interval. The interval of a difference of two estimates is that
of the normal distribution whose variance is the sum of both (scipy.stats.norm.interval).
"""
import numpy as np
import scipy
from scipy import optimize, stats


def welch(a, b):
    d = b.mean() - a.mean()
    p = lambda shift: stats.ttest_ind(b - shift, a, equal_var=False).pvalue - 0.05
    reach = 1000 * (np.std(a) + np.std(b))
    solve = lambda end: optimize.brentq(p, d, end, xtol=1e-13 * reach, rtol=1e-14)
    return d, solve(d - reach), solve(d + reach)


def cases():
    rng = np.random.default_rng(20261126)
    yield "alike", rng.normal(100, 5, 6), rng.normal(100, 5, 6)
    yield "far apart, other spreads", rng.normal(100, 2, 5), rng.normal(170, 20, 8)
    yield "two each", np.array([41.0, 43.0]), np.array([80.0, 85.0])
    yield "two against twenty", np.array([41.0, 43.0]), rng.normal(42, 3, 20)
    yield "one without spread", np.array([40.0, 40.0, 40.0]), np.array([30.0, 31.0, 33.0])


def array(name, values):
    return f"static const double {name}[] = {{\n    " + ",\n    ".join(f"{v:.17g}" for v in values) + ",\n};"


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print(f"/* Made by make_compare_table.py with SciPy {scipy.__version__} and NumPy {np.__version__}; do not edit. */")
    print("/* clang-format off */")
    rows = []
    for number, (name, a, b) in enumerate(cases()):
        print(array(f"case_{number}_a", a))
        print(array(f"case_{number}_b", b))
        of_b = stats.t.interval(0.95, len(b) - 1, b.mean(), stats.sem(b))
        figures = (*welch(a, b), b.mean(), *of_b)
        rows.append(f'    {{"{name}", case_{number}_a, {len(a)}, case_{number}_b, {len(b)},\n     '
                    + "{" + ", ".join(f"{v:.17g}" for v in figures[:3]) + "},\n     {"
                    + ", ".join(f"{v:.17g}" for v in figures[3:]) + "}},")
    print("static const struct compare_case {\n    const char *name;\n    const double *a;\n    size_t a_count;\n"
          "    const double *b;\n    size_t b_count;\n    double difference[3], mean_of_b[3]; /* value, low, high */\n"
          "} compare_cases[] = {")
    print("\n".join(rows) + "\n};")
    print("/* Two normal estimates (mean and deviation each), and the difference of the second from the first. */")
    print("static const struct normal_case {\n    double a, a_deviation, b, b_deviation;\n"
          "    double difference[3];\n} normal_differences[] = {")
    for a, s, b, t in ((3, 0.1, 0.2, 0.05), (1, 1, 1, 1), (-5, 2, 7, 0.001), (3145728, 20000, 65536, 90000)):
        low, high = stats.norm.interval(0.95, b - a, np.sqrt(s ** 2 + t ** 2))
        print(f"    {{{a}, {s}, {b}, {t}, {{{b - a:.17g}, {low:.17g}, {high:.17g}}}}},")
    print("};\n/* clang-format on */")


main()
