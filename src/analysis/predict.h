/* SPDX-License-Identifier: Apache-2.0 */
/* What each hypothesis predicts for another memory limit, from the trigger arm alone. */
#pragma once

#include "analysis/verdict.h"

struct prediction {
    char hypothesis[64]; /* "leak", "startup-demand", "peak-demand" */
    char metric[32];     /* one of the PREDICT_ names */
    double low, high;    /* 95 % prediction interval for one new observation; always finite */
};

/* Requests completed by a process before its kill. */
#define PREDICT_REQUESTS "requests-to-kill"
/* Seconds from a process's start to its kill. */
#define PREDICT_SECONDS "seconds-to-kill"
/* 1: the OOM killer ends at least one process of the arm, be it a child of its main process; 0:
 * none. */
#define PREDICT_KILLED "killed"

/* At most so many predictions come out of predict_for_limit(). */
#define PREDICTIONS_MAX 4

/* Predictions for the same work under `limit_bytes`: the verdict's own hypothesis first, then its
 * rivals'. For a leak: requests (and seconds) to the next kill, from each killed lifetime's own
 * count and start level; the interval widens with their spread and their number (Student's t
 * prediction interval for a new observation; docs/statistics.md). Writes at most `max` and returns
 * how many; 0 when nothing was killed. */
size_t predict_for_limit(const struct arm_series *trigger, const struct verdict *verdict,
                         double limit_bytes, struct prediction *ret, size_t max);

/* What the arm showed for a prediction's metric: of its first killed lifetime (the next kill), or
 * whether there was a kill. NAN: no such observation (for example no kill). */
double predict_observed(const struct arm_series *arm, const char *metric);

/* A number inside [low, high]: whether the prediction holds for a kill that was seen. */
bool predict_holds(const struct prediction *prediction, double observed);

/* What the arm says of `all[index]`. Without a kill the observation is censored: the process that
 * got furthest completed so many requests (or lived so many seconds) unharmed, which refutes a
 * leak's interval only beyond its upper end. Short of that nothing is decided, neither for the leak
 * nor for the rivals' "killed" or "not killed". `*ret_observed`: the figure, beyond the interval
 * that of the censoring; NAN undecided. */
enum prediction_outcome predict_settle(const struct prediction *all, size_t count, size_t index,
                                       const struct arm_series *arm, double *ret_observed);

/* What the arm says of the leak's forecast of requests and seconds: it holds where one of them does
 * (not so where any kill at all would have been inside), and is refuted where one is and none
 * holds. */
enum prediction_outcome predict_settle_leak(const struct prediction *all, size_t count,
                                            const struct arm_series *arm);
