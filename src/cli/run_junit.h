/* SPDX-License-Identifier: Apache-2.0 */
/* A run as a CI service's page of tests shows it. Internal to the verb. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A suite for each scenario with a test case for each of its gates, and a last one with the case
 * 'verdict', which fails where the run is `negative` and no gate says why. `out` may be NULL. */
int run_write_junit(const char *lab, const json_t *result, bool negative, FILE *out,
                    struct error *err);
