/* SPDX-License-Identifier: Apache-2.0 */
/* What a run's directory lacks, told before it is handed over. */
#pragma once

#include "base/error.h"
#include "cli/files.h"
#include "cli/state.h"

/* List the run's files, and warn on standard error of what is missing, cannot be read or is not as
 * the run recorded it. A directory without a file is a usage error. The caller frees the list. */
int export_examine(const struct run_directory *run, struct file_list *ret, struct error *err);
