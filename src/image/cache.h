/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacked images in a directory of their own, each under its manifest's digest: whole or not
 * there, whenever the process or the machine stops. Only whoever holds the lock of the state that
 * the directory belongs to may use it. */
#pragma once

#include "image/image.h"
#include "image/user.h"

#include <stdatomic.h>

struct image_cache;

/* The directory is made where it is missing. `one_user`: containers will see one user's ids alone,
 * so everything stays that user's; such images are kept apart from others. */
int image_cache_open(const char *directory, bool one_user, struct image_cache **ret,
                     struct error *err);
void image_cache_free(struct image_cache *cache); /* NULL is fine */

bool image_cache_has(const struct image_cache *cache, const char *digest);
/* The root file system's path, newly allocated; NULL on failed allocation. It must not be changed.
 */
char *image_cache_root(const struct image_cache *cache, const char *digest);
/* What the image's configuration says. image_config_done() it. */
int image_cache_config(const struct image_cache *cache, const char *digest,
                       struct image_config *ret, struct error *err);
/* Whom the configuration's `user` means in that root. */
int image_cache_user(const struct image_cache *cache, const char *digest, const char *user,
                     struct image_user *ret, struct error *err);

struct image_filled {
    uint64_t bytes;
    unsigned devices; /* left out */
};
/* Unpack the image with that digest from the reference's layout. Other threads may use the cache
 * meanwhile, and fill it with other images. -ECANCELED once `cancelled` is set. */
int image_cache_fill(const struct image_cache *cache, const struct image_reference *reference,
                     const char *digest, const atomic_bool *cancelled, struct image_filled *ret,
                     struct error *err);

/* Put every image that is not wanted aside: cheap. What a process that died left half made is there
 * already. image_cache_empty_trash() then removes it all, which takes time. */
void image_cache_sweep(const struct image_cache *cache,
                       bool (*wanted)(void *context, const char *digest), void *context);
void image_cache_empty_trash(const struct image_cache *cache);
