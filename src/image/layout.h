/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI image layout, in a directory or in a tar file: its documents and its blobs. Nothing is
 * believed: a blob's size and SHA-256 are compared with its descriptor's, links do not lead out of
 * the directory, and what is no regular file is not opened for reading. */
#pragma once

#include "base/buffer.h"
#include "image/manifest.h"
#include "image/reference.h"

#include <nettle/sha2.h>
#include <sys/types.h>

/* Of an index, a manifest, a configuration. */
#define IMAGE_DOCUMENT_BYTES_MAX (4 << 20)

struct image_layout;

/* Usage error with advice when there is none. */
int image_layout_open(const struct image_reference *reference, struct image_layout **ret,
                      struct error *err);
void image_layout_free(struct image_layout *layout); /* NULL is fine */

/* The index, which nothing vouches for. */
int image_layout_read_index(const struct image_layout *layout, struct buffer *ret,
                            struct error *err);
/* A whole document, checked; one of more than
 * IMAGE_DOCUMENT_BYTES_MAX is refused. */
int image_layout_read(const struct image_layout *layout, const struct image_descriptor *descriptor,
                      struct buffer *ret, struct error *err);
/* What the layout holds under that digest: its size. Usage error when it is missing. */
int image_layout_stat(const struct image_layout *layout, const char *digest,
                      struct image_descriptor *ret, struct error *err);

/* End the hash: "sha256:<digits>". */
void image_digest_of(struct sha256_ctx *hash, char digest[static IMAGE_DIGEST_MAX]);

/* A blob while it is read; the layout must outlive it. */
struct image_blob;
int image_blob_open(const struct image_layout *layout, const struct image_descriptor *descriptor,
                    struct image_blob **ret, struct error *err);
/* Returns how many bytes, 0 at the end, or -errno. */
ssize_t image_blob_read(struct image_blob *blob, void *bytes, size_t size, struct error *err);
/* Read what is left, and compare. Usage error when it is not what the descriptor says. */
int image_blob_finish(struct image_blob *blob, struct error *err);
void image_blob_free(struct image_blob *blob); /* NULL is fine */
