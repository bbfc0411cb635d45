/* SPDX-License-Identifier: Apache-2.0 */
/* One container while it is concluded. Internal to src/import. */
#pragma once

#include "analysis/verdict.h"
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
    double limit;          /* bytes; NAN */
    int64_t limit_fact;
    int64_t first_ns, last_ns;         /* of all its rows; FACT_TIME_UNKNOWN */
    unsigned kills, unsettled, others; /* ends by the kernel; ends of unknown cause; all the rest */
    struct spoken spoken;              /* of its most talkative lifetime */
    enum evidence_level weakest;       /* of the kills' causes */
    struct verdict verdict;
    unsigned *next_evidence; /* number of the next statement, over all arms */
    unsigned evidence[ARM_EVIDENCE_MAX];
    size_t evidence_count;
};

/* A statement and the fact it rests on; `life_row` 0: about no one end. */
int arm_state(struct arm_work *arm, enum evidence_level level, int64_t fact, int64_t life_row,
              struct error *err, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* arm_judge.c: fills in arm->verdict. */
int arm_judge(struct arm_work *arm, struct error *err);
/* arm_state.c: every statement about it. */
int arm_state_all(struct arm_work *arm, struct error *err);
