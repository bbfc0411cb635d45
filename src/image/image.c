/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_DEPTH_MAX 4

static int parse_json(const struct buffer *text, const char *what, json_t **ret, struct error *err)
{
    json_error_t error;
    *ret = json_loadb(buffer_text(text), text->length, JSON_REJECT_DUPLICATES, &error);
    if (*ret)
        return 0;
    return error_usage(err, "%s is no JSON: %s (line %d)", what, error.text, error.line);
}

static int read_json(const struct image_layout *layout, const struct image_descriptor *descriptor,
                     const char *what, json_t **ret, struct error *err)
{
    AUTO_BUFFER text = {0};
    int r = image_layout_read(layout, descriptor, &text, err);
    return r == 0 ? parse_json(&text, what, ret, err) : r;
}

/* From the layout's index, through further ones, to the manifest for this machine. */
static int find(const struct image_layout *layout, const char *tag, struct image_descriptor *ret,
                struct error *err)
{
    AUTO_BUFFER text = {0};
    json_t *index = NULL;
    enum image_document kind = IMAGE_INDEX;
    int r = image_layout_read_index(layout, &text, err);
    if (r == 0)
        r = parse_json(&text, "its index", &index, err);
    for (unsigned depth = 0; r == 0 && kind == IMAGE_INDEX; depth++) {
        if (depth == INDEX_DEPTH_MAX)
            r = error_usage(err, "its indexes are nested more than %d deep", INDEX_DEPTH_MAX);
        if (r == 0)
            r = image_index_choose(index, depth == 0, tag, image_architecture(), ret, &kind, err);
        json_decref(index);
        index = NULL;
        if (r == 0 && kind == IMAGE_INDEX)
            r = read_json(layout, ret, "an index", &index, err);
    }
    json_decref(index);
    return r;
}

int image_config_parse_text(const char *text, unsigned layer_count, struct image_config *ret,
                            struct error *err)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return error_usage(err, "the image's configuration is no JSON: %s (line %d)", error.text,
                           error.line);
    int r = image_config_parse(json, image_architecture(), layer_count, ret, err);
    json_decref(json);
    return r;
}

static int read_image(const struct image_layout *layout, const struct image_descriptor *found,
                      struct image *image, struct error *err)
{
    AUTO_BUFFER config = {0};
    json_t *manifest = NULL;
    memcpy(image->digest, found->digest, IMAGE_DIGEST_MAX);
    int r = read_json(layout, found, "its manifest", &manifest, err);
    if (r == 0)
        r = image_manifest_parse(manifest, &image->manifest, err);
    json_decref(manifest);
    if (r == 0)
        r = image_layout_read(layout, &image->manifest.config, &config, err);
    if (r == 0 && memchr(buffer_text(&config), '\0', config.length))
        r = error_usage(err, "its configuration is no JSON: it has a NUL");
    if (r == 0)
        r = image_config_parse_text(buffer_text(&config), image->manifest.layer_count,
                                    &image->config, err);
    if (r == 0)
        image->config_text = buffer_steal(&config);
    return r == 0 && !image->config_text ? error_errno(err, ENOMEM, "reading an image") : r;
}

int image_read(const struct image_layout *layout, const struct image_reference *reference,
               const char *digest, struct image **ret, struct error *err)
{
    struct image_descriptor found = {0};
    struct image *image = calloc(1, sizeof(*image));
    if (!image)
        return error_errno(err, ENOMEM, "reading an image");
    int r = digest ? image_layout_stat(layout, digest, &found, err)
                   : find(layout, reference->tag, &found, err);
    if (r == 0)
        r = read_image(layout, &found, image, err);
    if (r < 0) {
        image_free(image);
        return error_wrap(err, "image '%s%.200s'",
                          reference->archive ? "oci-archive:" : "oci:", reference->path);
    }
    *ret = image;
    return 0;
}

void image_free(struct image *image)
{
    if (!image)
        return;
    image_config_done(&image->config);
    free(image->config_text);
    free(image);
}
