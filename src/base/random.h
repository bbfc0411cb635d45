/* SPDX-License-Identifier: Apache-2.0 */
/* A seeded generator whose output is the same on every machine: request sequences depend on it. */
#pragma once

#include <stdint.h>

struct random {
    uint64_t state;
};

/* SplitMix64 (Steele, Lea, Flood 2014): every seed gives a full-period sequence. */
static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Uniform in [0, 1). */
static inline double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* Uniform in [0, bound), without modulo bias for the sizes used here (multiply-shift, Lemire 2019).
 */
static inline uint64_t random_below(struct random *random, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)random_next(random) * bound) >> 64);
}
