/* SPDX-License-Identifier: Apache-2.0 */
/* The values of options and lab-file keys, from text: the same rules for both. Everything here is
 * pure; every fault is a usage error that shows the value and a right one. */
#pragma once

#include "base/error.h"
#include "lab/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole number from `low` to `high`. */
int count_parse(const char *text, uint64_t low, uint64_t high, uint64_t *ret, struct error *err);

/* "true", "yes", "on" or "false", "no", "off". */
int flag_parse(const char *text, bool *ret, struct error *err);

/* Cores as Kubernetes writes them: "0.25", "2", "250m". At least 0.01 (the smallest quota that
 * Linux takes is 1 ms in each 100 ms). */
int cpu_parse(const char *text, double *ret_cores, struct error *err);

/* A share from 0.5 to 0.999: "0.95" or "95%". */
int confidence_parse(const char *text, double *ret, struct error *err);

/* A memory limit: at least 4 MiB. */
int memory_parse(const char *text, uint64_t *ret_bytes, struct error *err);

/* "auto" (0) or 1 to 65535. */
int port_parse(const char *text, uint16_t *ret, struct error *err);

/* "none", "tcp", "http:/path", each (but none) followed by any of "period=10s", "timeout=1s",
 * "delay=0s", "failures=3", separated by blanks. What is not said keeps its value in *ret. */
int probe_parse(const char *text, struct probe_spec *ret, struct error *err);

/* "kubernetes", "fast" or "FIRST,MAX" (durations, FIRST at most MAX). */
int backoff_parse(const char *text, struct backoff_spec *ret, struct error *err);

/* "uniform" or "poisson". */
int arrival_parse(const char *text, enum traffic_arrival *ret, struct error *err);

/* "leak", "startup-demand", "healthy" or "nothing". */
int expectation_parse(const char *text, enum expectation *ret, struct error *err);
const char *expectation_name(enum expectation expectation);

int arm_kind_parse(const char *text, enum arm_kind *ret, struct error *err);

/* Arms in their order: "trigger,raise,fix". Doubles are refused. */
struct arm_order {
    enum arm_kind kinds[ARM_KINDS];
    size_t count;
};
int arm_order_parse(const char *text, struct arm_order *ret, struct error *err);

/* After how many kills each arm stops; an arm that is not named keeps its value. */
struct kill_stops {
    bool given[ARM_KINDS];
    unsigned count[ARM_KINDS];
};
/* "3" (trigger, raise and revert) or "trigger=3,raise=2". */
int kill_stops_parse(const char *text, struct kill_stops *ret, struct error *err);
/* One arm's number. */
int kill_stops_set(struct kill_stops *stops, const char *arm, const char *text, struct error *err);

/* Lower-case letters, digits and inner hyphens, at most 40: names become file and cgroup names. */
int name_check(const char *text, struct error *err);
/* Any text made into such a name; "service" when nothing is left of it. */
#define NAME_MAX_CHARS 40
void name_make(const char *text, char ret[static NAME_MAX_CHARS + 1]);

/* Split into words as a shell does: blanks separate, single and double quotes and backslashes
 * protect; nothing is expanded. Returns a NULL-terminated vector for strv_free(). */
int command_split(const char *text, char ***ret, struct error *err);
void strv_free(char **strings);
/* For CLEANUP(). */
static inline void strv_cleanup(char ***strings)
{
    strv_free(*strings);
}
/* Append a copy; *strings may be NULL. Returns 0 or -ENOMEM. */
int strv_append(char ***strings, const char *text);
/* A copy of `count` strings, NULL-terminated; NULL on failed allocation. */
char **strv_copy(char *const *strings, size_t count);
size_t strv_length(char *const *strings);
