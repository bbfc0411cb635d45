/* SPDX-License-Identifier: Apache-2.0 */
#include "image/reference.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LAYOUT  "oci:"
#define ARCHIVE "oci-archive:"
#define TAG_MAX 255

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool image_is_reference(const char *text)
{
    return has_prefix(text, LAYOUT) || has_prefix(text, ARCHIVE);
}

bool image_path_is_plain(const char *path)
{
    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return false;
    for (const char *at = path; *at;) {
        size_t length = strcspn(++at, "/");
        if (length == 0 || (length == 1 && at[0] == '.') ||
            (length == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += length;
    }
    return true;
}

/* Wider than a registry's tag: layouts are made whose tag is the image's whole name. */
static bool tag_is_sound(const char *tag)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:@/+";
    size_t length = strlen(tag);
    return length > 0 && length <= TAG_MAX && strspn(tag, allowed) == length;
}

int image_reference_parse(const char *text, struct image_reference *ret, struct error *err)
{
    struct image_reference made = {.archive = has_prefix(text, ARCHIVE)};
    const char *path = text + strlen(made.archive ? ARCHIVE : LAYOUT);
    size_t length = strcspn(path, ":");
    const char *tag = path[length] == ':' ? path + length + 1 : NULL;
    made.path = strndup(path, length);
    made.tag = tag ? strdup(tag) : NULL;
    int r = 0;
    if (!made.path || (tag && !made.tag))
        r = error_errno(err, ENOMEM, "reading the image's name");
    else if (!image_path_is_plain(made.path))
        r = error_usage(err,
                        "image '%.200s': give the absolute path of %s, without '.', '..' or empty "
                        "parts",
                        text, made.archive ? "a tar file" : "an OCI image layout");
    else if (tag && !tag_is_sound(tag))
        r = error_usage(err,
                        "image '%.200s': what follows the path's ':' is a tag, 1 to %d letters, "
                        "digits and -._:@/+",
                        text, TAG_MAX);
    if (r < 0) {
        image_reference_done(&made);
        return r;
    }
    *ret = made;
    return 0;
}

void image_reference_done(struct image_reference *reference)
{
    free(reference->path);
    free(reference->tag);
    *reference = (struct image_reference){0};
}
