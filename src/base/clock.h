/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks in nanoseconds and time stamps as text.
 *
 * Inside oomlab a moment is CLOCK_MONOTONIC nanoseconds (`..._ns`). The store keeps the wall clock
 * of the run's start beside it, so that every moment can be shown as a date. */
#pragma once

#include <stdint.h>

#define TIMESTAMP_TEXT_MAX 40

int64_t clock_monotonic_ns(void);
int64_t clock_boottime_ns(void);
int64_t clock_realtime_ns(void);

/* "2026-11-22T13:01:59.123456Z" from nanoseconds since the epoch. */
const char *timestamp_format(int64_t realtime_ns, char text[static TIMESTAMP_TEXT_MAX]);
