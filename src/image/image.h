/* SPDX-License-Identifier: Apache-2.0 */
/* An image as a layout describes it: found by its tag or its manifest's digest, every document
 * checked on the way. */
#pragma once

#include "image/layout.h"

struct image {
    char digest[IMAGE_DIGEST_MAX]; /* of the manifest for this machine: the image's name here */
    struct image_manifest manifest;
    struct image_config config;
    char *config_text; /* as it came; owned */
};

/* The image of the reference's tag; `digest` (NULL: none) is that of the manifest to take instead,
 * whatever the index has become since. Usage error in words that name the reference's path. */
int image_read(const struct image_layout *layout, const struct image_reference *reference,
               const char *digest, struct image **ret, struct error *err);
void image_free(struct image *image); /* NULL is fine */

/* Parse a configuration that was kept. */
int image_config_parse_text(const char *text, unsigned layer_count, struct image_config *ret,
                            struct error *err);
