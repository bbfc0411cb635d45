/* SPDX-License-Identifier: Apache-2.0 */
/* The root that layers are unpacked into, for this folder. Every path is resolved as the image's
 * own processes will: neither ".." nor a link leads out of it (openat2, RESOLVE_IN_ROOT). */
#pragma once

#include "image/layer.h"
#include "image/made.h"

#include <limits.h>

struct image_root {
    struct image_unpacking *unpacking;
    struct image_made made; /* by the layer at hand */
    /* The directory of the last entry: the next one is mostly in it, too. */
    char directory[PATH_MAX];
    int directory_fd;
    ino_t directory_ino;
};

/* An entry's directory, and its name in there. Borrowed, until the next call. */
struct image_place {
    int fd;
    ino_t ino;
    const char *name;
};

void image_root_init(struct image_root *root, struct image_unpacking *unpacking);
void image_root_done(struct image_root *root);

/* Open a clean path in the root: descriptor or -errno. */
int image_root_open(const struct image_root *root, const char *path, int flags);
/* The place of a clean path that is not the root's; directories that are missing are made. */
int image_root_find(struct image_root *root, const char *path, struct image_place *ret,
                    struct error *err);
/* Remove what is at the place, if anything. With `keep_directory` a directory stays: returns 1. */
int image_root_clear(const struct image_place *place, bool keep_directory, struct error *err);
/* Whiteouts: remove what lower layers have put there (or into the directory itself). */
int image_root_hide(struct image_root *root, const struct image_place *place, const char *name,
                    struct error *err);
int image_root_hide_all(struct image_root *root, const struct image_place *place,
                        struct error *err);
/* One more object: usage error when there are too many. */
int image_root_count(struct image_root *root, struct error *err);
