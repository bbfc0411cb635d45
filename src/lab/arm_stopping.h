/* SPDX-License-Identifier: Apache-2.0 */
/* Asks, while an arm runs, whether its question is settled: analysis/stopping.h on what the store
 * holds by then. An arm without a question has fixed limits, and all of this does nothing. */
#pragma once

#include "analysis/stopping.h"
#include "store/store.h"
#include "traffic/traffic.h"

#include <uv.h>

struct arm_stopping {
    bool asked;
    struct stopping_question question;
    struct store *store;
    void (*on_settled)(void *context, unsigned cycle);
    void *context;
    int64_t arm_id;       /* set it as soon as the arm has one */
    struct stopping last; /* the answer so far */
    char reason[VERDICT_TEXT_MAX + 64];
    const struct traffic_plan *plan;
    int64_t started_ns;
    unsigned cycle; /* after which it looks next */
    uv_timer_t timer;
    bool closed;
};

void arm_stopping_open(struct arm_stopping *stopping, uv_loop_t *loop);
/* `on_settled` is called in the loop when a living process has settled it: `cycle` is to be the
 * last. */
void arm_stopping_ask(struct arm_stopping *stopping, const struct stopping_question *question,
                      struct store *store, void (*on_settled)(void *context, unsigned cycle),
                      void *context);
bool arm_stopping_is_asked(const struct arm_stopping *stopping);
/* From the traffic's start on: look in the pauses after cycles. */
void arm_stopping_begin(struct arm_stopping *stopping, const struct traffic_plan *plan,
                        int64_t started_ns);
/* A process was killed: true when that settles it. */
bool arm_stopping_is_settled_by_kill(struct arm_stopping *stopping);
/* All traffic is over: whether it is settled, by an earlier look or by this last one. */
bool arm_stopping_is_settled_at_last(struct arm_stopping *stopping);
/* The traffic is about to go. */
void arm_stopping_end(struct arm_stopping *stopping);
/* Why it is settled, or what it lacks, as one sentence; NULL under fixed limits or where nothing
 * was judged. `budget_spent`: it had all the traffic that it may have. Valid until the next call.
 */
const char *arm_stopping_reason(struct arm_stopping *stopping, bool budget_spent);
/* Then the loop must run until `closed`. */
void arm_stopping_close(struct arm_stopping *stopping);
