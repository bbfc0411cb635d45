/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "heap/view.h"

/* "main;handle;cache_put 1048576" for each stack, outermost first: what flame graph tools read.
 * Semicolons in names are replaced. */
int heap_fold(const struct heap_view *view, struct buffer *out, struct error *err);
/* A gzip-compressed profile.proto for pprof(1): inuse_space and inuse_objects. */
int heap_pprof_write(const struct heap_view *view, int64_t time_ns, const char *path,
                     struct error *err);
/* A flame graph as one SVG document. */
int heap_flamegraph(const struct heap_view *view, struct buffer *out, struct error *err);
