/* SPDX-License-Identifier: Apache-2.0 */
/* A lifetime's samples for whoever shows them: one by one, or by blocks (sample_block) where there
 * are more than can be seen. A block gives the first, lowest, highest and last working set of its
 * samples and the one with most memory by kind, each at its own time and as it was taken; so a
 * highest value, a lowest value, a first, a last and a count are the same either way. */
#pragma once

#include "report/rows.h"

#define SAMPLE_MARKS 4

struct sample_mark {
    int64_t at_ns, bytes; /* working set */
};

/* One sample, or one block of them. */
struct sample_part {
    size_t known;                           /* samples with a working set */
    struct sample_mark marks[SAMPLE_MARKS]; /* of them, in the order of time */
    size_t mark_count;
    bool has_kinds; /* anonymous memory is known, of the fullest */
    int64_t kinds_ns;
    double anon, shmem, file, kernel; /* NAN where absent; file holds shmem */
};

typedef int (*samples_take)(void *context, const struct sample_part *part, struct error *err);

/* Give `take` all samples in the order of time; what it returns below 0 ends the walk. Blocks that
 * last longer than `resolution_ns` are read sample by sample, too. */
int samples_walk(struct store *store, int64_t lifetime_id, int64_t resolution_ns, samples_take take,
                 void *context, struct error *err);
