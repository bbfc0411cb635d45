/* SPDX-License-Identifier: Apache-2.0 */
#include "image/manifest.h"

#include "base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define LISTED_MAX 10 /* tags in an error's text */

static const struct {
    const char *name;
    enum image_document kind;
} DOCUMENTS[] = {
    {"application/vnd.oci.image.manifest.v1+json", IMAGE_MANIFEST},
    {"application/vnd.docker.distribution.manifest.v2+json", IMAGE_MANIFEST},
    {"application/vnd.oci.image.index.v1+json", IMAGE_INDEX},
    {"application/vnd.docker.distribution.manifest.list.v2+json", IMAGE_INDEX},
};

static const struct {
    const char *name;
    enum image_compression compression;
} LAYERS[] = {
    {"application/vnd.oci.image.layer.v1.tar", IMAGE_PLAIN},
    {"application/vnd.oci.image.layer.v1.tar+gzip", IMAGE_GZIP},
    {"application/vnd.oci.image.layer.v1.tar+zstd", IMAGE_ZSTD},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", IMAGE_PLAIN},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", IMAGE_GZIP},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", IMAGE_ZSTD},
    {"application/vnd.docker.image.rootfs.diff.tar", IMAGE_PLAIN},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip", IMAGE_GZIP},
};

bool image_digest_is_sound(const char *digest)
{
    return strncmp(digest, "sha256:", 7) == 0 && strlen(digest) == IMAGE_DIGEST_MAX - 1 &&
           strspn(digest + 7, "0123456789abcdef") == 64;
}

const char *image_architecture(void)
{
    static const char *const names[][2] = {
        {"x86_64", "amd64"},  {"aarch64", "arm64"},   {"armv7l", "arm"},
        {"armv6l", "arm"},    {"i686", "386"},        {"loongarch64", "loong64"},
        {"mips64", "mips64"}, {"ppc64le", "ppc64le"}, {"riscv64", "riscv64"},
        {"s390x", "s390x"},
    };
    struct utsname machine;
    if (uname(&machine) < 0)
        return "unknown";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(machine.machine, names[i][0]) == 0)
            return names[i][1];
    return "unknown";
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int parse_descriptor(const json_t *json, const char *what, struct image_descriptor *ret,
                            struct error *err)
{
    const char *digest = text_of(json, "digest");
    const json_t *size = json_object_get(json, "size");
    if (!image_digest_is_sound(digest))
        return error_usage(err, "the digest '%.80s' of %s is no sha256 digest", digest, what);
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return error_usage(err, "%s ('%s') has no size", what, digest);
    memcpy(ret->digest, digest, IMAGE_DIGEST_MAX);
    ret->size = (uint64_t)json_integer_value(size);
    return 0;
}

/* --- the index ------------------------------------------------------------------------------ */

static const char *tag_of(const json_t *item)
{
    return text_of(json_object_get(item, "annotations"), "org.opencontainers.image.ref.name");
}

/* By its media type, which a descriptor must have: -1 when it is no image at all (an attestation,
 * a signature). */
static int kind_of(const json_t *item)
{
    const char *type = text_of(item, "mediaType");
    for (size_t i = 0; i < sizeof(DOCUMENTS) / sizeof(DOCUMENTS[0]); i++)
        if (strcmp(type, DOCUMENTS[i].name) == 0)
            return (int)DOCUMENTS[i].kind;
    return -1;
}

/* Without a platform it may be for any: its configuration will tell. */
static bool fits(const json_t *item, const char *architecture)
{
    const json_t *platform = json_object_get(item, "platform");
    return kind_of(item) >= 0 && (!json_is_object(platform) ||
                                  (strcmp(text_of(platform, "os"), "linux") == 0 &&
                                   strcmp(text_of(platform, "architecture"), architecture) == 0));
}

static void list_tags(const json_t *items, struct buffer *out)
{
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(items, i, item)
    {
        const char *tag = tag_of(item);
        if (i < LISTED_MAX)
            buffer_printf(out, "%s%.60s", i > 0 ? ", " : "", tag[0] ? tag : "(no tag)");
        else if (i == LISTED_MAX)
            buffer_printf(out, ", ...");
    }
}

static void list_platforms(const json_t *items, struct buffer *out)
{
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(items, i, item)
    {
        const json_t *platform = json_object_get(item, "platform");
        if (i < LISTED_MAX)
            buffer_printf(out, "%s%.20s/%.20s", i > 0 ? ", " : "", text_of(platform, "os"),
                          text_of(platform, "architecture"));
        else if (i == LISTED_MAX)
            buffer_printf(out, ", ...");
    }
}

static int refuse_choice(const json_t *items, const char *tag, bool tag_found, bool several,
                         const char *architecture, struct error *err)
{
    AUTO_BUFFER listed = {0};
    if (tag_found && !several) {
        list_platforms(items, &listed);
        return error_usage(err, "there is no image for this machine, linux/%s, only for %s",
                           architecture, buffer_text(&listed));
    }
    list_tags(items, &listed);
    if (several && tag)
        return error_usage(err, "several images have the tag '%s': make the layout anew", tag);
    if (several)
        return error_usage(err, "there are several images: add ':' and a tag: %s",
                           buffer_text(&listed));
    return error_usage(err, "there is no image with the tag '%s'; there are: %s", tag,
                       buffer_text(&listed));
}

int image_index_choose(const json_t *index, bool top, const char *tag, const char *architecture,
                       struct image_descriptor *ret, enum image_document *ret_kind,
                       struct error *err)
{
    const json_t *items = json_object_get(index, "manifests");
    const json_t *chosen = NULL;
    bool tag_found = false;
    bool several = false;
    size_t i = 0;
    const json_t *item = NULL;
    if (json_array_size(items) == 0)
        return error_usage(err, "its index lists no image");
    json_array_foreach(items, i, item)
    {
        if (top && tag && strcmp(tag_of(item), tag) != 0)
            continue;
        tag_found = true;
        if (!fits(item, architecture))
            continue;
        if (!chosen)
            chosen = item;
        else if (top && strcmp(text_of(item, "digest"), text_of(chosen, "digest")) != 0)
            several = true;
    }
    if (!chosen || several)
        return refuse_choice(items, tag, tag_found, several, architecture, err);
    *ret_kind = (enum image_document)kind_of(chosen);
    return parse_descriptor(chosen, "the image in its index", ret, err);
}

/* --- the manifest --------------------------------------------------------------------------- */

static int parse_layer(const json_t *json, size_t number, struct image_layer *ret,
                       struct error *err)
{
    char what[32];
    const char *type = text_of(json, "mediaType");
    snprintf(what, sizeof(what), "layer %zu", number);
    for (size_t i = 0; i < sizeof(LAYERS) / sizeof(LAYERS[0]); i++) {
        if (strcmp(type, LAYERS[i].name) == 0) {
            ret->compression = LAYERS[i].compression;
            return parse_descriptor(json, what, &ret->blob, err);
        }
    }
    return error_usage(err,
                       "%s is of a kind that is not read here: '%.100s' (tar, tar+gzip and "
                       "tar+zstd are)",
                       what, type);
}

int image_manifest_parse(const json_t *document, struct image_manifest *ret, struct error *err)
{
    const json_t *layers = json_object_get(document, "layers");
    size_t i = 0;
    const json_t *layer = NULL;
    struct image_manifest made = {0};
    if (json_integer_value(json_object_get(document, "schemaVersion")) != 2 ||
        !json_is_array(layers))
        return error_usage(err, "its manifest is none of schema version 2");
    if (json_array_size(layers) > IMAGE_LAYERS_MAX)
        return error_usage(err, "it has %zu layers; up to %d are read", json_array_size(layers),
                           IMAGE_LAYERS_MAX);
    int r = parse_descriptor(json_object_get(document, "config"), "the configuration", &made.config,
                             err);
    json_array_foreach(layers, i, layer)
    {
        if (r == 0)
            r = parse_layer(layer, i + 1, &made.layers[made.layer_count++], err);
    }
    if (r == 0)
        *ret = made;
    return r;
}

/* --- the configuration ---------------------------------------------------------------------- */

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void image_config_done(struct image_config *config)
{
    free_list(config->entrypoint);
    free_list(config->cmd);
    free_list(config->env);
    free_list(config->diff_ids);
    free(config->user);
    free(config->directory);
    *config = (struct image_config){0};
}

/* A missing list and null stay NULL. */
static int parse_list(const json_t *config, const char *key, char ***ret, struct error *err)
{
    const json_t *list = json_object_get(config, key);
    size_t i = 0;
    const json_t *item = NULL;
    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return error_usage(err, "its configuration's %s is no list", key);
    *ret = calloc(json_array_size(list) + 1, sizeof(**ret));
    if (!*ret)
        return error_errno(err, ENOMEM, "reading the image's configuration");
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item))
            return error_usage(err, "its configuration's %s[%zu] is no text", key, i);
        (*ret)[i] = strdup(json_string_value(item));
        if (!(*ret)[i])
            return error_errno(err, ENOMEM, "reading the image's configuration");
    }
    return 0;
}

static int check_platform(const json_t *document, const char *architecture, struct error *err)
{
    const char *os = text_of(document, "os");
    const char *own = text_of(document, "architecture");
    if (strcmp(os, "linux") != 0 || strcmp(own, architecture) != 0)
        return error_usage(err, "the image is for %.20s/%.20s, and this machine is linux/%s", os,
                           own, architecture);
    return 0;
}

static int check_layers(const struct image_config *config, unsigned layer_count, struct error *err)
{
    unsigned count = 0;
    while (config->diff_ids && config->diff_ids[count])
        count++;
    if (layer_count != IMAGE_LAYERS_ANY && count != layer_count)
        return error_usage(err, "its configuration names %u layers and its manifest %u", count,
                           layer_count);
    return 0;
}

int image_config_parse(const json_t *document, const char *architecture, unsigned layer_count,
                       struct image_config *ret, struct error *err)
{
    const json_t *config = json_object_get(document, "config");
    struct image_config made = {
        .user = strdup(text_of(config, "User")),
        .directory = strdup(text_of(config, "WorkingDir")),
    };
    int r = made.user && made.directory
                ? check_platform(document, architecture, err)
                : error_errno(err, ENOMEM, "reading the image's configuration");
    if (r == 0)
        r = parse_list(config, "Entrypoint", &made.entrypoint, err);
    if (r == 0)
        r = parse_list(config, "Cmd", &made.cmd, err);
    if (r == 0)
        r = parse_list(config, "Env", &made.env, err);
    if (r == 0)
        r = parse_list(json_object_get(document, "rootfs"), "diff_ids", &made.diff_ids, err);
    if (r == 0)
        r = check_layers(&made, layer_count, err);
    if (r < 0) {
        image_config_done(&made);
        return r;
    }
    *ret = made;
    return 0;
}
