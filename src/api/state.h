/* SPDX-License-Identifier: Apache-2.0 */
/* What serve must not forget: one SQLite file, DIRECTORY/state.db. A change of groups,
 * environments, apps and revisions is durable when its function returns (synchronous=FULL); events
 * and metrics are copied from a session's evidence in batches, together with the position up to
 * which they have been copied, so that nothing is lost or doubled by a crash.
 *
 * One thread uses it. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct state;

/* Open or create; usage error when it is not ours or of another version. */
int state_open(const char *directory, struct state **ret, struct error *err);
void state_close(struct state *state);

/* Durable (the default) or not: what is committed then survives the end of serve, but a power cut
 * may take it until the next durable change. Not within a transaction. */
void state_set_durable(struct state *state, bool durable);

int state_begin(struct state *state, struct error *err);
int state_commit(struct state *state, struct error *err);
void state_rollback(struct state *state);

/* Prepare with one value for each character of `types`: 's' const char *, 'i' int64_t, 'd' double;
 * a NULL string is SQL NULL. The caller finalizes `ret`. */
int state_query(struct state *state, sqlite3_stmt **ret, struct error *err, const char *sql,
                const char *types, ...);
/* The same, run to its end. */
int state_run(struct state *state, struct error *err, const char *sql, const char *types, ...);
/* SQLITE_ROW: true; SQLITE_DONE: false; anything else sets err (and false). */
bool state_step(struct state *state, sqlite3_stmt *statement, struct error *err);
int64_t state_last_id(struct state *state);
