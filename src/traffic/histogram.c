/* SPDX-License-Identifier: Apache-2.0 */
/* Log-linear buckets: values below 2048 ns have a bucket each, every further power of two is split
 * into 1024 equal buckets, so that a bucket is at most 1/1024 of its value wide and its middle is
 * off by less than 0.05 %. */
#include "traffic/traffic.h"

#include <math.h>
#include <stdlib.h>

#define LINEAR_BITS 11
#define LINEAR      (1U << LINEAR_BITS)
#define HALF        (LINEAR / 2)
#define VALUE_MAX   INT64_C(3600000000000) /* 1 h, below 2^42 */
#define VALUE_BITS  42
#define BUCKETS     (LINEAR + (VALUE_BITS - LINEAR_BITS) * HALF)

struct histogram {
    uint64_t count;
    int64_t least, greatest;
    uint64_t bucket[BUCKETS];
};

struct histogram *histogram_new(void)
{
    return calloc(1, sizeof(struct histogram));
}

void histogram_free(struct histogram *histogram)
{
    free(histogram);
}

static unsigned bucket_of(uint64_t value)
{
    if (value < LINEAR)
        return (unsigned)value;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - (LINEAR_BITS - 1);
    return LINEAR + (shift - 1) * HALF + (unsigned)((value >> shift) - HALF);
}

static int64_t bucket_middle(unsigned bucket)
{
    if (bucket < LINEAR)
        return bucket;
    unsigned shift = (bucket - LINEAR) / HALF + 1;
    uint64_t low = (uint64_t)((bucket - LINEAR) % HALF + HALF) << shift;
    return (int64_t)(low + (UINT64_C(1) << (shift - 1)));
}

void histogram_record(struct histogram *histogram, int64_t ns)
{
    int64_t value = ns < 0 ? 0 : ns > VALUE_MAX ? VALUE_MAX : ns;
    if (histogram->count == 0 || value < histogram->least)
        histogram->least = value;
    if (histogram->count == 0 || value > histogram->greatest)
        histogram->greatest = value;
    histogram->bucket[bucket_of((uint64_t)value)]++;
    histogram->count++;
}

int64_t histogram_quantile(const struct histogram *histogram, double q)
{
    if (histogram->count == 0)
        return 0;
    if (!(q > 0))
        return histogram->least;
    if (q >= 1)
        return histogram->greatest;

    uint64_t rank = (uint64_t)ceil(q * (double)histogram->count);
    uint64_t seen = 0;
    unsigned bucket = 0;
    for (; bucket < BUCKETS - 1; bucket++) {
        seen += histogram->bucket[bucket];
        if (seen >= rank)
            break;
    }
    int64_t value = bucket_middle(bucket);
    if (value < histogram->least)
        return histogram->least;
    return value > histogram->greatest ? histogram->greatest : value;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    return histogram->count;
}
