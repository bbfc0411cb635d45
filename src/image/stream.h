/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's tar file: a blob, decompressed. Its digest (the configuration's diff_id) is taken on
 * the way. */
#pragma once

#include "image/layout.h"

struct image_stream;

/* The blob is borrowed. */
int image_stream_open(struct image_blob *blob, enum image_compression compression,
                      struct image_stream **ret, struct error *err);
/* Returns how many bytes, 0 at the end, or -errno. At the end come up to three blocks of zeros that
 * the blob does not have: 'umoci insert' leaves out a tar file's own. */
ssize_t image_stream_read(struct image_stream *stream, void *bytes, size_t size, struct error *err);
/* After the end: compare the blob's digest with its descriptor and the tar file's with `diff_id`.
 */
int image_stream_finish(struct image_stream *stream, const char *diff_id, struct error *err);
void image_stream_free(struct image_stream *stream); /* NULL is fine */
