/* SPDX-License-Identifier: Apache-2.0 */
/* A run's result.json as the verbs read it: any field may be missing. */
#pragma once

#include "base/error.h"
#include "cli/state.h"

#include <jansson.h>
#include <stdio.h>

/* Load DIRECTORY/result.json. Usage error when it is missing or no result. New reference. */
int result_load(const struct run_directory *run, json_t **ret, struct error *err);

/* Print an object and a line feed; takes the reference over. NULL is a failed allocation. */
int json_print(json_t *json, FILE *out, struct error *err);

/* Free a json_t * in CLEANUP(). */
static inline void json_cleanup(json_t **json)
{
    json_decref(*json);
}
