/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel log's stamps on the monotonic clock.
 *
 * printk stamps with local_clock(): it is not slewed by NTP as CLOCK_MONOTONIC is, and starts at
 * another zero, so that the offset differs from machine to machine and drifts. perf events carry
 * the same clock: a record that we provoke between two readings of the monotonic clock gives the
 * offset to a few microseconds. Where perf is not to be had, every log record that arrives bounds
 * the offset from above by its own delay, and the least one seen so far is taken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_clock {
    int perf_fd; /* -1: bounds only */
    void *area;
    size_t area_bytes;
    bool known;
    int64_t offset_ns;     /* monotonic - log */
    int64_t error_ns;      /* of the offset, both ways; -1: an upper bound only */
    int64_t calibrated_ns; /* monotonic */
};

/* Open perf for the calling thread, which must be the one that calibrates later; a first
 * calibration. */
void log_clock_open(struct log_clock *clock);
void log_clock_close(struct log_clock *clock);
/* Measure the offset if the last measurement is older than 100 ms; about 5 us. Renames the calling
 * thread to the name it has. Does not allocate. */
void log_clock_calibrate(struct log_clock *clock, const char *thread_name);
/* A record stamped `stamp_ns` was there at `now_ns`. */
void log_clock_observe(struct log_clock *clock, int64_t stamp_ns, int64_t now_ns);
/* 0 while nothing is known. */
int64_t log_clock_to_monotonic(const struct log_clock *clock, int64_t stamp_ns);
