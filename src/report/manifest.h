/* SPDX-License-Identifier: Apache-2.0 */
/* MANIFEST.sha256: every file of a run with its checksum, as sha256sum -c reads it. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>

#define MANIFEST_FILE "MANIFEST.sha256"

/* Over all regular files below the directory, by name, without the manifest itself and SQLite's
 * passing files (evidence.db-wal, -shm). */
int manifest_write(const char *directory, struct error *err);

/* Append one file's line as sha256sum(1) writes it: a name with a backslash, newline or carriage
 * return is escaped, and the line says so with a leading backslash. */
void manifest_append(struct buffer *out, const char *sum, const char *name);

/* Compare two manifests: what was recorded, and what is there now. Returns as manifest_verify(). */
int manifest_compare(const char *recorded, const char *present, size_t *ret_files,
                     json_t **ret_differ, struct error *err);

/* Compare the directory with its manifest. `*ret_found`: there is one; without one nothing differs.
 * `*ret_differ` (new reference): an array of {"name", "how"}: "altered", "missing" or "added". */
int manifest_verify(const char *directory, bool *ret_found, size_t *ret_files, json_t **ret_differ,
                    struct error *err);
