/* SPDX-License-Identifier: Apache-2.0 */
/* How long a limit lasts, and what published rules would set it to. */
#pragma once

#include "analysis/verdict.h"

#include <stdbool.h>

/* Kubernetes forgets a container's restarts when it has run for so long (kubelet,
 * MaxContainerBackOff x 2 = 10 min): what dies later than that never shows CrashLoopBackOff. */
#define SIZING_BACKOFF_RESET_S 600.0

/* When a process of a leaking arm reaches `limit_bytes`, at the arm's traffic. Estimates with 95 %
 * intervals; `high` is NAN where the interval is open; all NAN where it is not known or not driven
 * so. */
struct forecast {
    double limit_bytes;
    struct estimate seconds;      /* from its start */
    struct estimate requests;     /* completed until then */
    struct estimate seconds_left; /* of the process that was alive at the end of the arm */
};
#define FORECASTS_MAX 3
struct forecasts {
    struct forecast items[FORECASTS_MAX]; /* by limit, the lowest first */
    size_t count;
};

/* For a leak: of the arm's own limit, of twice and of four times that (of 1, 2 and 4 GiB where it
 * has none). With kills each killed lifetime is its own calibration (predict.h); without, the way
 * from the start level to the limit over the growth rate, whose interval is turned over. None for
 * every other class, where no rate is known, and where its runtime's own limit ends it: the
 * container's has no say then. */
void forecast_limits(const struct arm_series *arm, const struct verdict *verdict,
                     struct forecasts *ret);

/* The limit from which on a process of the leak would live for SIZING_BACKOFF_RESET_S, on the line
 * through the forecasts. NAN: unknown, or it lives so long under the first of them already. */
double forecast_hiding_limit(const struct forecasts *forecasts);

/* What it needed at most. Page cache takes what room there is and gives it back: it is no need. NAN
 * unknown. */
double sizing_need(const struct verdict *verdict);
/* Room above such a peak: after an OOM kill 100 MiB or 20 % of it (Vertical Pod Autoscaler), else
 * 15 % (Robusta's KRR). */
double sizing_after_oom(double peak);
double sizing_in_peace(double peak);

/* What a rule of today would set for something that can be sized. */
struct size_rule {
    const char *name;    /* static */
    const char *formula; /* static: with the rule's own defaults */
    double memory_bytes;
};
#define SIZE_RULES_MAX 2

/* The rules of Kubernetes' Vertical Pod Autoscaler and of Robusta's KRR for the highest need that
 * the arm (and the one with more memory, `raised`, or NULL) showed: docs/statistics.md has them.
 * Returns how many; 0 for a leak and where no need is known. */
size_t size_rules(const struct verdict *verdict, const struct verdict *raised, double limit_bytes,
                  struct size_rule ret[SIZE_RULES_MAX]);

/* A sentence for a leak: "No limit holds: at this traffic growth like this kills it every 3.4 s at
 * 512.0 MiB (95 % ...), ...". "" without forecasts. */
void forecast_sentence(const struct forecasts *forecasts, const struct verdict *verdict, char *text,
                       size_t size);
