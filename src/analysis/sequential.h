/* SPDX-License-Identifier: Apache-2.0 */
/* Tests that keep their error rate however often one looks at the data while they come in. Pure. */
#pragma once

#include "analysis/series.h"

/* Wald's (1945) sequential probability ratio: how many times likelier the repeats are where the
 * pattern is real (a repeat shows it nine times in ten) than where it is a chance (as often as
 * not). Where it is a chance, the ratio ever reaches 1/e with a probability of at most e, at
 * whichever repeat one looks (Ville 1939). 1 without repeats. */
double sequential_ratio(unsigned agree, unsigned repeats);

/* What look number `look` (1..) may spend of `error`: error / (look (look + 1)). All looks together
 * spend at most `error`, however many there will be and however they depend on each other (Boole's
 * inequality; spending functions: Lan and DeMets 1983). */
double sequential_share(double error, unsigned look);

/* Floors of the retained memory that the test of growth needs at least: one after each cycle. */
#define SEQUENTIAL_FLOORS_MIN 4

/* One-sided p-value of "what this process keeps grows by at least `bytes_per_s`": least squares
 * through the floors in the pauses after its whole cycles (the newer half of them, and at least
 * SEQUENTIAL_FLOORS_MIN), Student's t, with the number of independent floors in place of theirs in
 * the error and the degrees of freedom (Santer et al. 2000). Small: it grows more slowly, if at
 * all. NAN: too few. Returns 0 or -ENOMEM. */
int sequential_growth_p(const struct lifetime_series *lifetime, double bytes_per_s,
                        double *ret_p_value);
