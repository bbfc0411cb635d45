/* SPDX-License-Identifier: Apache-2.0 */
/* Enough is enough: whether an arm has answered its question, and in words why. */
#pragma once

#include "analysis/budget.h"
#include "analysis/predict.h"

enum stopping_question_kind {
    STOPPING_CAUSE,    /* trigger: does it fail, and is it a leak? */
    STOPPING_RAISE,    /* raise: does it die again as predicted, or outlive what was predicted? */
    STOPPING_SURVIVES, /* patch, fix, control: does it outlive what killed the trigger, and level?
                        */
    STOPPING_RETURNS,  /* revert: does the trigger's failure come back? */
    STOPPING_BUDGET,   /* a check's trigger: does what it keeps stay within a budget? */
};

struct stopping_question {
    enum stopping_question_kind kind;
    /* In (0.5, 1): an arm ends with a wrong answer in at most 1 - confidence of all cases, all
     * looks together; docs/statistics.md says which error that is. */
    double confidence;
    unsigned look;    /* number of this look at whether it is level, 1..; each spends its share */
    double planned_s; /* how long the traffic would go on */
    /* Of the arms that follow the trigger: its verdict and the furthest that one of its killed
     * processes came; 0 where nothing was killed. */
    enum verdict_class cause;
    double requests_to_kill, seconds_to_kill;
    bool by_time;                         /* seconds, not requests, drove it to its kill */
    const struct prediction *predictions; /* for STOPPING_RAISE, of the trigger; borrowed */
    size_t prediction_count;
    struct growth_budget growth; /* for STOPPING_BUDGET */
};

/* What a run asks for where nothing else is said: three kills that agree reach it, no two do. */
#define STOPPING_CONFIDENCE 0.8

/* A process is not level when it grows by so much of its limit while the whole traffic lasts. */
#define STOPPING_LEVEL_SHARE 0.1
/* Of the error that the confidence allows, so much is spent on the looks at growth. The test counts
 * how alike neighbouring floors are, from as few as four of them; the rest is for what that misses.
 */
#define STOPPING_SPENT_SHARE 0.5
/* Whole cycles of one process before it can be called level: the first warms up, and three are
 * needed to see growth that shrinks. No look before is one. */
#define STOPPING_LEVEL_CYCLES 4

/* An interval must be clear of the budget by so much of it: what comes after the look (the rest of
 * a pause, the cool-down) moves it a little, and the last word is on all of it. */
#define STOPPING_BUDGET_MARGIN 0.1

struct stopping {
    bool settled;
    char reason[VERDICT_TEXT_MAX]; /* why it is settled, or what is missing: one plain clause */
    double ratio;   /* of the kills that agree, sequential_ratio(); 1 without kills */
    double level_p; /* sequential_growth_p() of a process that lives; NAN: not tested */
};

/* Judge the arm so far, at the end of a cycle or of a lifetime. Pure. Returns 0 or -ENOMEM. */
int stopping_judge(const struct arm_series *arm, const struct stopping_question *question,
                   struct stopping *ret);

/* After a look at the end of cycle `cycle`, that of the next: each time a quarter more cycles, so
 * that an arm of any length is looked at seldom and spends its error on few looks. */
unsigned stopping_next_look(unsigned cycle);
