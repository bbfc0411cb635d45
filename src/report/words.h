/* SPDX-License-Identifier: Apache-2.0 */
/* The contract's terms in plain words. Static strings; an unknown term comes back as it is. */
#pragma once

#include <stdbool.h>

/* "memory leak" */
const char *words_class(const char *verdict_class);
/* One sentence on what it means for whoever runs the service. */
const char *words_class_meaning(const char *verdict_class);
/* "killed by the kernel at the container's own memory limit" */
const char *words_cause(const char *cause);
/* "a counter or a clock" */
const char *words_level(const char *level);
/* "Fix the leak" */
const char *words_action(const char *action);
/* Whether the class is a problem to act on. */
bool words_class_is_bad(const char *verdict_class);
/* "enough kills were seen" for an arm's ended_because. `stop_reason`: what the stopping rule said;
 * NULL: fixed limits. */
const char *words_ended(const char *ended_because, const char *stop_reason);
/* "requests until the kill", for a prediction's metric. */
const char *words_metric(const char *metric);

/* A predicted interval and what came, as words: "110 to 141", "killed", "not killed". */
#define WORDS_RANGE_MAX 112
const char *words_range(const char *metric, double low, double high,
                        char text[static WORDS_RANGE_MAX]);
const char *words_observed(const char *metric, double value, char text[static WORDS_RANGE_MAX]);
