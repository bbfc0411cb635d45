/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verb.h"

#include <string.h>

const struct verb *const VERBS[] = {
    &VERB_RUN,          &VERB_CHECK,   &VERB_DIAGNOSE, &VERB_REPORT, &VERB_HEAP,   &VERB_LIST,
    &VERB_SHOW,         &VERB_COMPARE, &VERB_ADVISE,   &VERB_EXPORT, &VERB_CLEAN,  &VERB_SERVE,
    &VERB_CONTAINERAPP, &VERB_MONITOR, &VERB_GROUP,    &VERB_REST,   &VERB_DOCTOR, &VERB_WORKLOAD,
    &VERB_COMPLETION,   &VERB_VERSION, &VERB_HELP,     NULL,
};

const struct verb *verb_find(const char *name)
{
    for (const struct verb *const *verb = VERBS; *verb; verb++) {
        if (strcmp((*verb)->name, name) == 0)
            return *verb;
    }
    return NULL;
}
