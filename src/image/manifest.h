/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of an OCI image (image-spec 1.0): index, manifest, configuration. Pure functions
 * over parsed JSON, whose author is not trusted. Docker's schema 2 has the same shape under other
 * media types and is taken, too. */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define IMAGE_DIGEST_MAX 72 /* "sha256:", 64 digits, NUL */
#define IMAGE_LAYERS_MAX 128
#define IMAGE_LAYERS_ANY 0xffffffffU /* not to be compared */

enum image_document { IMAGE_MANIFEST, IMAGE_INDEX };

enum image_compression { IMAGE_PLAIN, IMAGE_GZIP, IMAGE_ZSTD };

struct image_descriptor {
    char digest[IMAGE_DIGEST_MAX];
    uint64_t size;
};

struct image_layer {
    struct image_descriptor blob;
    enum image_compression compression;
};

struct image_manifest {
    struct image_descriptor config;
    struct image_layer layers[IMAGE_LAYERS_MAX];
    unsigned layer_count;
};

/* What a container is made from; everything owned. */
struct image_config {
    char **entrypoint, **cmd, **env; /* NULL-terminated, or NULL */
    char **diff_ids;                 /* digests of the layers' tar files */
    char *user, *directory;          /* as written; "" none */
};

/* "sha256:" and 64 lower-case hexadecimal digits: nothing that a path could be made of. */
bool image_digest_is_sound(const char *digest);
/* This machine's architecture as images name it ("amd64"). Static, or the kernel's own name. */
const char *image_architecture(void);

/* The index's manifest for `architecture` (and Linux), or a further index. At the top of a layout
 * (`top`) it must have the tag, or without one be the only image there; further down the first that
 * fits is taken. Usage error that lists what there is. */
int image_index_choose(const json_t *index, bool top, const char *tag, const char *architecture,
                       struct image_descriptor *ret, enum image_document *ret_kind,
                       struct error *err);
int image_manifest_parse(const json_t *document, struct image_manifest *ret, struct error *err);
/* Usage error also when the image is for another architecture, or its layers do not match the
 * manifest's. image_config_done() it. */
int image_config_parse(const json_t *document, const char *architecture, unsigned layer_count,
                       struct image_config *ret, struct error *err);
void image_config_done(struct image_config *config);
