/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one arm back from the evidence file as the series that the analysis takes. */
#pragma once

#include "analysis/gate.h"
#include "analysis/series.h"
#include "store/store.h"

/* An arm in memory: everything that the verdict, the predictions and the gates need. */
struct arm_data {
    int64_t arm_id;
    bool outline; /* no points were read */
    char scenario[64], name[32];
    struct arm_series series; /* borrows from the arrays below */
    struct lifetime_series *lifetimes;
    struct gate_lifetime *gate_lifetimes;
    int64_t *lifetime_ids;
    size_t count;
    unsigned restarts, revisions;
    char health_state[32];
    double requests_planned, requests_completed;
};

int arm_data_load(struct store *store, int64_t arm_id, struct arm_data *ret, struct error *err);
/* The same of an arm under way: processes that live are taken as they are at `now_ns`. */
int arm_data_load_so_far(struct store *store, int64_t arm_id, int64_t now_ns, struct arm_data *ret,
                         struct error *err);
/* All but the samples. */
int arm_data_load_outline(struct store *store, int64_t arm_id, struct arm_data *ret,
                          struct error *err);
void arm_data_done(struct arm_data *data);
