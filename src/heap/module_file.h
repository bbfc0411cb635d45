/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a profile's modules that the outside no longer finds when names are looked up:
 * deleted or replaced while the container ran, or in a file system of its own. They are held open
 * while it runs and copied into the run's directory, until their names are kept. */
#pragma once

#include "base/error.h"
#include "heap/proc.h"

#include <limits.h>

/* Of all files of a lifetime together, and so of each: which file a module is, the container says.
 */
#define HEAP_MODULE_FILES_MAX_BYTES (UINT64_C(512) << 20)

/* Where a module's copy is, if there is one. */
void heap_module_path(const char *directory, const struct heap_module *module,
                      char path[static PATH_MAX]);

/* Open the file that a live process has mapped as the module. -1: unknown, or not allowed (without
 * privileges in the initial user namespace only the program itself can be opened). */
int heap_module_open(const struct heap_proc *proc, const struct heap_process *process,
                     const struct heap_module *module);

/* Copy an open file to the module's path, unless the name that the loader knows still leads to it,
 * it is no program or library, or more than *left_bytes, which is taken down. */
int heap_module_keep(int fd, const struct heap_module *module, const char *directory,
                     uint64_t *left_bytes, struct error *err);

/* Remove all copies from a run's directory. */
void heap_module_remove_all(const char *directory);
