/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's image may be here: "host" (a command on this machine's root file system),
 * "builtin/leaky" (the server of 'oomlab workload'), "dir:/path" (a command in an unpacked root
 * file system, which is used in place), "oci:/path[:tag]" and "oci-archive:/path[:tag]" (an OCI
 * image, unpacked once and then shared by all containers, each with a layer of its own). */
#pragma once

#include "base/error.h"
#include "image/cache.h"
#include "sandbox/sandbox.h"

#include <jansson.h>

/* Usage error when the container's image is none of them, with advice. */
int image_check(const json_t *container, struct error *err);

/* Note in a revision's container which image its reference means now ("oomlab": {"imageDigest"}):
 * the revision stays with it, whatever becomes of the tag. */
int image_pin(json_t *container, struct error *err);
/* What was noted, borrowed; NULL: nothing needs to be unpacked. */
const char *image_pinned(const json_t *container);

/* What a container is made from. */
struct image_parts {
    char **command; /* NULL-terminated: the entry point, or `command` in its place, and arguments */
    char **env;     /* of the image; NULL: none */
    char *root;     /* NULL: this machine's */
    bool shared_root; /* to be read only */
    char *directory;  /* NULL: none of its own */
    bool has_user;
    struct sandbox_user user;
};
/* A pinned image must be in the cache. image_parts_free() it. */
int image_make(const json_t *container, const struct image_cache *cache, struct image_parts *ret,
               struct error *err);
void image_parts_free(struct image_parts *made);
