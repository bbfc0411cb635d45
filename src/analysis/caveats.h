/* SPDX-License-Identifier: Apache-2.0 */
/* What the samples could not show: how few, how far apart, with which holes. A verdict is reached
 * all the same; who reads it should know. */
#pragma once

#include "analysis/series.h"

#define CAVEAT_TEXT_MAX 320

enum caveat_kind {
    CAVEAT_FEW_SAMPLES,     /* too few for any trend */
    CAVEAT_COARSE_SAMPLING, /* far apart: what rose and fell in between is not in it */
    CAVEAT_GAPS,            /* stretches without a sample */
    CAVEAT_ABSENT_VALUES,   /* samples without a size */
    CAVEAT_CLOCK_STEPS,     /* the clock went back while they were taken */
    CAVEAT_LONG_IDLE,       /* most of the time no request came */
    CAVEAT_CONFLICTS,       /* two sizes for one moment */
    CAVEAT_ABOVE_LIMIT,     /* sizes that the limit does not allow: not its own, or not its limit */
    CAVEAT_KINDS,
};

struct caveat {
    enum caveat_kind kind;
    char text[CAVEAT_TEXT_MAX]; /* plain sentences with the figures */
};

struct caveats {
    struct caveat items[CAVEAT_KINDS];
    size_t count;
};

/* "gaps", "coarse-sampling", ...: in result.json and in the database. */
const char *caveat_kind_name(enum caveat_kind kind);

/* The highest working set where it is above what the limit allows, in bytes; else NAN. */
double caveats_above_limit(const struct arm_series *arm);
/* All that apply to the arm, each once, in the order of the kinds. Nothing of an arm without
 * samples: that is said elsewhere. */
void caveats_of_arm(const struct arm_series *arm, struct caveats *ret);
