/* SPDX-License-Identifier: Apache-2.0 */
/* A synthetic run: rows as the lab would write them, made by a small simulation of leaking
 * processes under a limit. Deterministic, and through the real store and schema. */
#pragma once

#include "store/store.h"

enum run_kind {
    RUN_LAB,         /* the built-in lab: hard, leak, healthy, every arm, verdicts and gates */
    RUN_SERVICE,     /* one's own command: trigger and raise, no gates */
    RUN_INTERRUPTED, /* killed in the middle of its second arm: nothing was judged or closed */
    RUN_EMPTY,       /* the run's row and nothing else */
    RUN_HOSTILE, /* RUN_SERVICE with names, commands, console and kernel lines meant to break out */
    RUN_DENSE,   /* RUN_SERVICE sampled at 1 kHz */
    RUN_KINDS
};

/* Make DIRECTORY/evidence.db (and a console log). The store stays open for reading and reporting.
 */
int make_run(const char *directory, enum run_kind kind, struct store **ret, struct error *err);

/* Markup, terminal and Markdown escapes, bad UTF-8. */
extern const char *const HOSTILE_TEXT;
