/* SPDX-License-Identifier: Apache-2.0 */
/* The names of runs: "20261122-131502-<name>-4f1a" sorts by time (UTC). */
#pragma once

#include <stdbool.h>

#define RUN_ID_MAX 80

/* Whether it is one: a date, a time, and lower case letters, digits and '-'. No such name leads out
 * of a directory. */
bool run_id_is_valid(const char *name);
