/* SPDX-License-Identifier: Apache-2.0 */
/* Moments and durations as ISO 8601 writes them and as clients of Azure Monitor send them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ISO8601_TEXT_MAX 64

/* Parse "2026-11-22", "2026-11-22T13", "2026-11-22T13:00", "2026-11-22T13:00:07.25", each but the
 * first with "Z" or an offset ("+01:00", "-0800", "+01") or without. A blank may stand in the place
 * of the 'T', before an offset, and in the place of its '+', which is one in a decoded query.
 * Nanoseconds since the epoch; without an offset it is taken as UTC and `*ret_zoned` is false.
 * -EINVAL on anything else and outside of the years 1970 to 2199. */
int iso8601_parse_time(const char *text, int64_t *ret_ns, bool *ret_zoned);

/* Parse "PT1M", "P1D", "P1DT2H30M", "PT0.5S"; days are the largest unit that has one length. Also
 * "P1DT" and "PT30M1H", which az makes of its short forms. Nanoseconds; -EINVAL on anything else,
 * on zero and on more than 100 years. */
int iso8601_parse_duration(const char *text, int64_t *ret_ns);

/* "PT1M", "P1D", "P1DT2H30M" from whole seconds, at least one. */
const char *iso8601_format_duration(int64_t seconds, char text[static ISO8601_TEXT_MAX]);
/* "2026-11-22T13:00:07Z" from seconds since the epoch. */
const char *iso8601_format_time(int64_t seconds, char text[static ISO8601_TEXT_MAX]);
