/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verb.h"

#include <string.h>

const struct verb *const VERBS[] = {
    &VERB_RUN,        &VERB_DIAGNOSE, &VERB_REPORT, &VERB_LIST,   &VERB_SHOW,
    &VERB_COMPARE,    &VERB_EXPORT,   &VERB_CLEAN,  &VERB_DOCTOR, &VERB_WORKLOAD,
    &VERB_COMPLETION, &VERB_VERSION,  &VERB_HELP,   NULL,
};

const struct verb *verb_find(const char *name)
{
    for (const struct verb *const *verb = VERBS; *verb; verb++) {
        if (strcmp((*verb)->name, name) == 0)
            return *verb;
    }
    return NULL;
}
