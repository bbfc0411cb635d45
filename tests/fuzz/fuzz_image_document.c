/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the JSON documents of an image, as whichever of the three they are taken for; and a
 * name in a layer. */
#include "image/layer.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_name(const uint8_t *data, size_t size)
{
    char clean[PATH_MAX];
    char *name = calloc(size + 1, 1);
    if (!name)
        abort();
    memcpy(name, data, size);
    if (image_layer_clean_path(name, clean, sizeof(clean)) == 0) {
        /* Nothing is left that leads out, and cleaning it again changes nothing. */
        char again[PATH_MAX];
        if (clean[0] == '/' || strcmp(clean, "..") == 0 || strncmp(clean, "../", 3) == 0 ||
            strstr(clean, "/../") || strstr(clean, "//") ||
            image_layer_clean_path(clean, again, sizeof(again)) < 0 || strcmp(clean, again) != 0)
            abort();
    }
    free(name);
}

static void take_document(const json_t *document)
{
    struct error err = {0};
    struct image_descriptor found;
    enum image_document kind = IMAGE_MANIFEST;
    struct image_manifest manifest;
    struct image_config config;
    for (int top = 0; top < 2; top++)
        if (image_index_choose(document, top, top ? "v1" : NULL, "amd64", &found, &kind, &err) ==
                0 &&
            !image_digest_is_sound(found.digest))
            abort();
    if (image_manifest_parse(document, &manifest, &err) == 0)
        for (unsigned i = 0; i < manifest.layer_count; i++)
            if (!image_digest_is_sound(manifest.layers[i].blob.digest))
                abort();
    if (image_config_parse(document, "amd64", 1, &config, &err) == 0)
        image_config_done(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *document = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    take_name(data, size);
    if (document)
        take_document(document);
    json_decref(document);
    return 0;
}
