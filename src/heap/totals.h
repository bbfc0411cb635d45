/* SPDX-License-Identifier: Apache-2.0 */
/* What a map says about each stack at one moment: unbiased sums over the live samples. */
#pragma once

#include "preload/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sums of one stack. An object of s bytes is sampled with p = 1 - e^(-s/rate); each sample counts
 * 1/p objects and s/p bytes (Horvitz and Thompson, 1952), whose variance is estimated by the sum of
 * (1 - p) (s/p)^2. */
struct heap_total {
    double bytes, objects, variance;
    uint32_t samples;
    uint32_t kinds; /* bit 1 << enum heap_kind */
};

/* Addresses of a program have 47 bits: no object is larger, no sampling mean of use. */
#define HEAP_SIZE_MOST (UINT64_C(1) << 47)

struct heap_totals {
    struct heap_total stacks[HEAP_STACKS]; /* by index; 0: the samples whose stack was lost */
    double bytes, objects, variance;
    uint64_t rate_least, rate_most; /* the means that the samples were taken with; 0: none */
    uint32_t samples, torn;
};

/* Sum up a map, which may be changing meanwhile: what is torn is left out and counted. So is what
 * no recorder writes: objects larger than the address space, or a sampling mean that is neither the
 * header's nor that of a place where nothing stays. Samples of
 * processes that ended before the main process, or that executed another program, do not count, as
 * `processes` says: the map's, or a copy of them. */
void heap_totals_sum(const struct heap_map *map,
                     const struct heap_process processes[static HEAP_PROCESSES + 1],
                     struct heap_totals *ret);

/* A whole sample of a map that may be changing; false: none is there, or (*ret_torn) it was not
 * complete or changed while it was read. */
bool heap_sample_read(const struct heap_map *map, uint32_t index, struct heap_sample *ret,
                      uint64_t *ret_key, bool *ret_torn);

/* Whether what the process holds is there: it lives, or it is the main process, whose end is the
 * moment in question. */
bool heap_process_counts(const struct heap_process *process);

/* The probability that an object was sampled, 0 for what cannot be (no size or no rate). */
double heap_sample_probability(uint64_t size_bytes, uint64_t rate_bytes);

/* An interval that covers the truth with about 95 %: exact Poisson limits (by Wilson and Hilferty's
 * approximation of the chi-squared distribution, 1931) for the number of equal samples that has the
 * same relative variance. No variance: the estimate itself. */
void heap_total_interval(double estimate, double variance, double *ret_low, double *ret_high);
