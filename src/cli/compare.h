/* SPDX-License-Identifier: Apache-2.0 */
/* What `oomlab compare` tells of two arms. Internal to the verb. */
#pragma once

#include "analysis/compare.h"
#include "base/error.h"
#include "base/table.h"
#include "cli/state.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* --- as result.json has it (compare_values.c) ------------------------------------------------ */

/* Pairs of what two arms' results say; either may be NULL. NULL on failed allocation. */
json_t *compare_values(const json_t *a, const json_t *b);
/* Their rows: label, A, B, change. `measured`: without those that the measures tell better. */
int compare_values_add(struct table *table, const json_t *values, bool measured);

/* --- what was set differently, by the recorded plans (compare_differs.c) --------------------- */

/* What a difference in a setting means for a comparison. One in the length (cycles, kills) is none
 * in the requests: an arm takes a prefix of one sequence. */
enum compare_factor {
    FACTOR_REQUESTS = 1,
    FACTOR_LENGTH = 2,
    FACTOR_MEMORY = 4,
    FACTOR_OTHER = 8,
};

/* How an arm was set up. All but the plan is borrowed; NULL: not recorded, as in a diagnosis. */
struct compare_setup {
    json_t *plan; /* owned */
    const json_t *traffic, *arm, *host;
};

struct compare_differences {
    bool known;       /* both plans are there */
    unsigned kinds;   /* of enum compare_factor */
    unsigned factors; /* how many settings differ, lengths aside */
    json_t *texts;    /* owned; "memory: 64Mi -> 48Mi" */
};

int compare_setup_load(struct store *store, const json_t *result, const json_t *arm,
                       struct compare_setup *ret, struct error *err);
void compare_setup_done(struct compare_setup *setup);
/* `same_sequence`: the sequences have one digest. Returns 0 or -ENOMEM. */
int compare_differences_find(const struct compare_setup *a, const struct compare_setup *b,
                             bool same_sequence, struct compare_differences *ret);

/* --- computed from the evidence, with intervals (compare_measures.c) ------------------------- */

enum compare_measure {
    COMPARE_PER_REQUEST,
    COMPARE_PER_SECOND,
    COMPARE_KILL_REQUESTS,
    COMPARE_KILL_SECONDS,
    COMPARE_PEAK,
    COMPARE_KILLS,
    COMPARE_MEASURES
};

/* One figure for each lifetime that has one. */
struct compare_observations {
    double *values; /* owned */
    size_t count;
};

struct compare_side {
    struct compare_observations observed[COMPARE_MEASURES]; /* of kills and peaks */
    struct estimate figures[COMPARE_MEASURES];              /* NAN: unknown */
    double survived_requests, survived_seconds; /* the most that one lived without being killed */
    enum driver driver;
    bool levels_off;           /* the verdict knows of no growth that goes on */
    enum evidence_level level; /* the weakest of its kills */
};

struct compare_pair {
    struct compare_side a, b;
    const char *a_name, *b_name; /* the arms' where they differ, of the results; else "A" and "B" */
    bool same_requests;          /* one sequence, of whatever length */
    bool same_limit;
    struct compare_differences differs;
    struct estimate differences[COMPARE_MEASURES]; /* b minus a */
    enum comparison outcomes[COMPARE_MEASURES];
    enum evidence_level levels[COMPARE_MEASURES]; /* of what the outcome says */
};

/* Read one arm of a run's result back from its evidence. Usage error when there is none, as in a
 * run that was recorded before results named their arms' rows. */
int compare_side_load(struct store *store, const char *run, const json_t *arm,
                      struct compare_side *ret, struct error *err);
void compare_side_done(struct compare_side *side);
/* Fill in all but the sides, which are loaded; the arms are those of the results. Returns 0 or
 * -ENOMEM. */
int compare_pair_judge(const json_t *a, const json_t *b, const struct compare_setup *setup_a,
                       const struct compare_setup *setup_b, struct compare_pair *pair);
void compare_pair_done(struct compare_pair *pair);

/* --- in words (compare_say.c) ---------------------------------------------------------------- */

#define COMPARE_TEXT_MAX 1024

/* Growth and kills by time: time drives the growth of one of the arms, or there are no requests. */
bool compare_by_time(const struct compare_pair *pair);
/* One plain sentence on the growth, one on the kills, what was set differently (an empty text: no
 * plan tells), and whatever makes the comparison unequal (an empty text: nothing). */
void compare_say_growth(const struct compare_pair *pair, char text[static COMPARE_TEXT_MAX]);
void compare_say_kills(const struct compare_pair *pair, char text[static COMPARE_TEXT_MAX]);
void compare_say_differs(const struct compare_pair *pair, char text[static COMPARE_TEXT_MAX]);
void compare_say_caveat(const struct compare_pair *pair, char text[static COMPARE_TEXT_MAX]);

/* Table of the measures, then the sentences. */
int compare_print_pair(const struct compare_pair *pair, FILE *out, struct error *err);
/* "measures", "sentences" and "caveats" into `arm`. Returns 0 or -ENOMEM. */
int compare_pair_to_json(const struct compare_pair *pair, json_t *arm);
