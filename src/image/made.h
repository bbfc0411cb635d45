/* SPDX-License-Identifier: Apache-2.0 */
/* Which directory entries a layer itself has made: a whiteout hides those of the layers below, and
 * no others. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct image_made {
    uint64_t *slots; /* of hashes; 0 is free */
    size_t size, count;
};

/* 0 or -ENOMEM. `parent` is the directory's inode number. */
int image_made_add(struct image_made *made, ino_t parent, const char *name);
bool image_made_has(const struct image_made *made, ino_t parent, const char *name);
void image_made_done(struct image_made *made);
