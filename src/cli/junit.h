/* SPDX-License-Identifier: Apache-2.0 */
/* --junit FILE: JUnit XML, as CI services take it for their page of tests. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdio.h>

/* A row of a verb's table of options; its arguments, of the type RUN_ARGUMENTS, have a member
 * `const char *junit`. */
#define RUN_OPTION_JUNIT(text)                                                                     \
    {                                                                                              \
        .name = "junit", .kind = OPTION_TEXT, .argument = "FILE", .help = (text),                  \
        .values = "@file", .offset = offsetof(RUN_ARGUMENTS, junit)                                \
    }

enum junit_outcome { JUNIT_PASS, JUNIT_SKIPPED, JUNIT_FAILURE, JUNIT_ERROR };

struct junit_case {
    const char *suite, *name;
    enum junit_outcome outcome;
    const char *message, *type; /* of what is no pass; `type` of a failure or error */
    const char *output;         /* what was seen; NULL: nothing */
    double seconds; /* a measurement that several share: of one of them, 0 of the others */
};

/* Test cases, in the order in which they were added. */
struct junit;

/* Of `oomlab VERB` for a lab. NULL on failed allocation. */
struct junit *junit_new(const char *verb, const char *lab);
void junit_free(struct junit *junit);
/* The texts are copied. A failed allocation is told by junit_write(). */
void junit_add(struct junit *junit, const struct junit_case *test);

/* Before anything runs: a file that cannot be written is told now, not after minutes. `path` NULL:
 * none is asked, and `*ret` stays as it is. */
int junit_open(const char *path, FILE **ret, struct error *err);
/* A suite for each run of cases whose suite has one name. `out` may be NULL: nothing is written.
 * Frees `junit`, which may be NULL: an allocation failed. */
int junit_write(struct junit *junit, FILE *out, struct error *err);
/* What could not be carried out: one test case with an error. */
void junit_write_failure(const char *verb, const char *lab, const char *why, FILE *out);
