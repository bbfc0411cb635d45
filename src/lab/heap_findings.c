/* SPDX-License-Identifier: Apache-2.0 */
/* What the heap profiles of the arms say, once all of them are over: giving names to addresses
 * takes a while, in which the platform could not serve the others. */
#include "base/log.h"
#include "heap/module_file.h"
#include "lab/evidence.h"
#include "lab/run.h"

#include <stdio.h>

/* Where memory does not keep growing, its slope is noise, and of a cache that has filled up it is
 * not the cache's: what counts is what was held. */
static bool grows(const struct arm_findings *arm)
{
    return arm->verdict.class == VERDICT_LEAK;
}

/* The verdict was written before the profile was read. */
static int note_children(struct store *store, struct arm_findings *arm, struct error *err)
{
    verdict_children_seen(&arm->verdict);
    const char *settle = arm->verdict.would_settle;
    const struct store_value key = STORE_INT("arm_id", arm->data.arm_id);
    const struct store_value values[] = {
        STORE_STR("would_settle", settle[0] != '\0' ? settle : NULL),
        STORE_END,
    };
    return store_update(store, "verdict", &key, values, err);
}

static int keep_arm(const struct lab *lab, struct arm_findings *arm, unsigned *next_evidence,
                    struct error *err)
{
    char name[160];
    struct error cause;
    snprintf(name, sizeof(name), "%s/%s", arm->data.scenario, arm->data.name);
    int r = heap_keep(lab->store, lab->options->directory, &(struct heap_choice){.arm = name},
                      grows(arm), &arm->leading, &cause);
    if (r == 1) {
        r = arm->leading.children_seen ? note_children(lab->store, arm, err) : 0;
        return r < 0 ? r : evidence_of_heap(lab->store, arm, next_evidence, err);
    }
    arm->leading.sentence[0] = '\0';
    /* That an arm has no profile was said when it began. */
    if (r < 0 && cause.kind != ERROR_USAGE)
        log_warning("%s: the heap profile is not in the report: %s", name, cause.text);
    return 0;
}

int findings_keep_profiles(const struct lab *lab, struct scenario_findings *findings,
                           unsigned *next_evidence, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < lab->plan->scenario_count; i++) {
        for (size_t k = 0; k < ARM_KINDS && r == 0; k++) {
            if (findings[i].arms[k].ran)
                r = keep_arm(lab, &findings[i].arms[k], next_evidence, err);
        }
    }
    if (r == 0)
        heap_module_remove_all(lab->options->directory); /* their names are kept now */
    return r;
}
