/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of the result object; report.h has the whole. Each returns a new reference or sets
 * `err`. */
#pragma once

#include "report/rows.h"

#include <jansson.h>

/* The two clocks of a run, to show a monotonic moment as a date. */
struct run_clock {
    int64_t started_ns; /* realtime */
    int64_t zero_ns;    /* monotonic, at that moment */
};

int run_clock_read(struct store *store, struct run_clock *ret, struct error *err);
/* RFC 3339, UTC; a new JSON string. */
json_t *run_clock_json(const struct run_clock *clock, int64_t monotonic_ns);

int result_arms(struct store *store, const struct run_clock *clock, json_t **ret,
                struct error *err);
/* The lifetimes of one arm. */
int result_lifetimes(struct store *store, const struct run_clock *clock, int64_t arm_id,
                     json_t **ret, struct error *err);
/* The verdict of an arm; of the whole run for arm_id 0. Without a row: an inconclusive one that
 * says so. */
int result_verdict(struct store *store, int64_t arm_id, json_t **ret, struct error *err);

/* What to do, with the forecasts of a leak and the sizes of other rules. */
int result_recommendation(struct store *store, const struct run_clock *clock, json_t **ret,
                          struct error *err);

/* "growth.by_kind" of an arm's verdict, where it is known. */
int result_add_kinds(struct store *store, int64_t arm_id, json_t *verdict, struct error *err);

/* "caveats" of an arm's verdict: what its samples could not show. Empty where nothing is to be
 * said. */
int result_add_caveats(struct store *store, int64_t arm_id, json_t *verdict, struct error *err);

/* With a heap profile: "leading_stack" of such a verdict. */
int result_add_leading_stack(struct store *store, int64_t arm_id, json_t *verdict,
                             struct error *err);

/* Sets `object.key` to a new reference `value`; remembers a failed allocation in *failed. */
void result_set(json_t *object, const char *key, json_t *value, bool *failed);

/* The requests of an arm: counts, why they failed, how late and how long. New reference, also when
 * it fails half-way (the caller frees it). */
int result_requests(struct store *store, int64_t arm_id, json_t **ret, struct error *err);
