/* SPDX-License-Identifier: Apache-2.0 */
/* What a CI service is told in files of its own: --junit and --summary. */
#pragma once

#include "base/error.h"

#include <stdio.h>

/* NULL where not asked. */
struct ci_files {
    FILE *junit, *summary;
};

/* Before anything runs: a file that cannot be written is told now, not after minutes. A path is
 * NULL where none is asked. */
int ci_files_open(const char *junit, const char *summary, struct ci_files *ret, struct error *err);
/* Of `oomlab VERB` for a lab: that it could not be carried out, and why. */
void ci_files_tell_failure(const struct ci_files *files, const char *verb, const char *lab,
                           const char *why);
/* For CLEANUP(). */
void ci_files_close(struct ci_files *files);
