/* SPDX-License-Identifier: Apache-2.0 */
/* MANIFEST.sha256: every file of a run with its checksum, as sha256sum -c reads it. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>

#define MANIFEST_FILE "MANIFEST.sha256"

/* The checksum of one file, computed in a thread of its own while others are written: reading
 * gigabytes takes a second each. The file must stay as it is. */
struct manifest_early;
int manifest_begin(const char *directory, const char *name, struct manifest_early **ret,
                   struct error *err);
/* Waits for it; NULL is allowed. */
void manifest_early_free(struct manifest_early *early);

/* Over all regular files below the directory, by name, without the manifest itself and SQLite's
 * passing files (evidence.db-wal, -shm). `early`: waits for it; or NULL. Where there is a manifest
 * already, it goes on vouching for what it recorded, with a warning for each file that is not as it
 * was: only those that `is_made` names, which are made again from the others, and new ones get a
 * new checksum. */
typedef bool (*manifest_is_made)(const char *name);
int manifest_write(const char *directory, struct manifest_early *early, manifest_is_made is_made,
                   struct error *err);

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
