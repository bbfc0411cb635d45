/* SPDX-License-Identifier: Apache-2.0 */
/* One container while it is concluded. Internal to src/import. */
#pragma once

#include "analysis/by_kind.h"
#include "analysis/caveats.h"
#include "analysis/recommend.h"
#include "import/cause.h"
#include "import/containers.h"

#define ARM_EVIDENCE_MAX 400
#define ARM_NAME_MAX     256

struct arm_work {
    struct store *store;
    const struct container *container;
    char name[ARM_NAME_MAX];
    struct lives lives;
    struct curves curves;
    struct judged *judged; /* one for each lifetime; owned */
    int64_t *life_rows;    /* their rows in `lifetime`; owned */
    double limit;          /* bytes; 0: recorded as none; NAN unknown */
    int64_t limit_fact;
    double other_limit; /* the newest other one that is told; NAN none */
    int64_t other_limit_fact, other_limit_ns;
    double above_limit;        /* the highest sample where it is above the limit; NAN: none is */
    int64_t first_ns, last_ns; /* of all its rows; FACT_TIME_UNKNOWN */
    unsigned kills, unsettled, others; /* ends by the kernel; ends of unknown cause; all the rest */
    unsigned killer_kills;             /* ends by a user-space killer; in none of the others */
    unsigned falls;                    /* of its memory, at once, where no start is recorded */
    struct spoken spoken;              /* of its most talkative lifetime */
    enum evidence_level weakest;       /* of the kills' causes */
    struct verdict verdict;
    struct verdict left_open;   /* what the curve says where it settles nothing; else all 0 */
    struct caveats caveats;     /* what its curves could not show */
    struct forecasts forecasts; /* from its curves; none where they did not settle it */
    struct growth_kinds kinds;  /* likewise */
    bool kinds_known;
    unsigned *next_evidence; /* number of the next statement, over all arms */
    unsigned evidence[ARM_EVIDENCE_MAX];
    size_t evidence_count;
};

/* A statement and the fact it rests on; `life_row` 0: about no one end. */
int arm_state(struct arm_work *arm, enum evidence_level level, int64_t fact, int64_t life_row,
              struct error *err, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* arm_limit.c: fills in arm->limit and other_limit. `given`: by the user, and above all records;
 * NAN none. Else the newest limit that is told of the container, or of its revision or app as a
 * whole; 0 where all that is told of the container is that it has none. */
int arm_limit_load(struct arm_work *arm, double given, struct error *err);
/* arm_judge.c: fills in arm->verdict and what goes with it. */
int arm_judge(struct arm_work *arm, struct error *err);
/* arm_state.c: every statement about it. */
int arm_state_all(struct arm_work *arm, struct error *err);
