/* SPDX-License-Identifier: Apache-2.0 */
/* Durations and rates as people write them; always nanoseconds inside. */
#pragma once

#include "base/error.h"

#include <stdint.h>

#define NS_PER_S          INT64_C(1000000000)
#define NS_PER_MS         INT64_C(1000000)
#define NS_PER_US         INT64_C(1000)
#define DURATION_TEXT_MAX 32

/* Parse "1.5s", "200ms", "5m", "1h30m", "10us", "0"; a bare number is seconds. Usage error on
 * anything else, on negative ones and on more than 100 years. */
int duration_parse(const char *text, int64_t *ret_ns, struct error *err);

/* Parse "50/s", "3000/m", "10/h" or a bare number (per second). The result is events per second;
 * usage error unless it is finite and above 0. */
int rate_parse(const char *text, double *ret_per_s, struct error *err);

/* "340 ms", "1.52 s", "2 min 5 s", "1 h 4 min". */
const char *duration_format(int64_t ns, char text[static DURATION_TEXT_MAX]);
