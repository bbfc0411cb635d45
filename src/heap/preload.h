/* SPDX-License-Identifier: Apache-2.0 */
/* How a library is named in LD_PRELOAD so that glibc's loader alone finds it. */
#pragma once

#include <limits.h>

#define HEAP_LIBRARY_NAME "liboomlab-heap.so"

/* Replace the absolute path by an entry that glibc's loader understands as that file, and that any
 * loader without dynamic string tokens (musl's) passes over in silence, because no such file is
 * there. It names no process, so it holds without /proc and for programs that were moved or
 * deleted. The path stays as it is where this machine's glibc would not find it so. */
void heap_preload_guard(char path[static PATH_MAX]);
