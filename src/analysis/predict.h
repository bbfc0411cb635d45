/* SPDX-License-Identifier: Apache-2.0 */
/* What each hypothesis predicts for another memory limit, from the trigger arm alone. */
#pragma once

#include "analysis/verdict.h"

struct prediction {
    char hypothesis[64]; /* "leak", "startup-demand", ... */
    char metric[32];     /* "requests-to-kill", "seconds-to-kill", "kills" */
    double low, high;    /* 95 % prediction interval for one new observation */
};

/* Predictions for the same work under `limit_bytes`. For a leak: requests (and seconds) to the next kill, from each
 * killed lifetime's growth and start level; the interval widens with their spread and their number
 * (Student's t prediction interval for a new observation). Writes at most `max` and returns how many. */
size_t predict_for_limit(const struct arm_series *trigger, const struct verdict *verdict,
                         double limit_bytes, struct prediction *ret, size_t max);
