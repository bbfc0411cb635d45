/* SPDX-License-Identifier: Apache-2.0 */
/* Writes POSIX ustar archives (IEEE 1003.1-2001, pax interchange without extended headers). */
#pragma once

#include "base/error.h"

#include <stdint.h>
#include <stdio.h>

/* Append one regular file: its header and `bytes` bytes read from `fd`. A file that became shorter
 * is an error, one that grew is cut. Names of more than 255 bytes, or that ustar cannot split, and
 * files of 8 GiB and more are refused. */
int tar_add(FILE *out, const char *name, int fd, uint64_t bytes, int64_t modified_s,
            struct error *err);
/* The two empty blocks at the end. */
void tar_finish(FILE *out);
