/* SPDX-License-Identifier: Apache-2.0 */
/* MANIFEST.sha256: every file of a run with its checksum, as sha256sum -c reads it. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>

#define MANIFEST_FILE "MANIFEST.sha256"

/* Over all regular files below the directory, by name, without the manifest itself and SQLite's
 * passing files (evidence.db-wal, -shm). */
int manifest_write(const char *directory, struct error *err);

/* Compare the directory with its manifest. `*ret_found`: there is one; without one nothing differs.
 * `*ret_differ` (new reference): an array of {"name", "how"}: "altered", "missing" or "added". */
int manifest_verify(const char *directory, bool *ret_found, size_t *ret_files, json_t **ret_differ,
                    struct error *err);
