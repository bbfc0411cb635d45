/* SPDX-License-Identifier: Apache-2.0 */
/* One layer of an image, put over those that are unpacked already. Its author is not trusted:
 * whatever names and links it has, nothing outside of the root is looked at or changed. */
#pragma once

#include "image/stream.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct image_unpacking {
    int root_fd;
    bool owners; /* give files to whom the layer says; else all stay ours */
    const atomic_bool *cancelled;
    uint64_t bytes_left, entries_left; /* of all layers together */
    uint64_t bytes;                    /* unpacked so far */
    unsigned devices;                  /* device nodes and sockets, left out */
};

/* `diff_id` is the digest of its tar file. Device nodes are left out and counted; so are extended
 * attributes other than user.*. Usage error for what no image may have (".." in a name, a whiteout
 * of a directory itself, more than the limits); -ECANCELED when it was cancelled. */
int image_layer_unpack(struct image_blob *blob, enum image_compression compression,
                       const char *diff_id, struct image_unpacking *unpacking, struct error *err);

/* The path without a leading '/', empty and "." components; "" is the root. -EINVAL for "..",
 * -ENAMETOOLONG. */
int image_layer_clean_path(const char *path, char *ret, size_t size);
