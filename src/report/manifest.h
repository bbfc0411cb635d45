/* SPDX-License-Identifier: Apache-2.0 */
/* MANIFEST.sha256: every file of a run with its checksum, as sha256sum -c reads it. */
#pragma once

#include "base/error.h"

#define MANIFEST_FILE "MANIFEST.sha256"

/* Over all regular files below the directory, by name, without the manifest itself and SQLite's
 * passing files (evidence.db-wal, -shm). */
int manifest_write(const char *directory, struct error *err);
