/* SPDX-License-Identifier: Apache-2.0 */
#include "api/image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool builtin(const char *image)
{
    return strcmp(image, "builtin/leaky") == 0;
}

static size_t words(const json_t *container, const char *key)
{
    return json_array_size(json_object_get(container, key));
}

/* The path of "dir:/path", or NULL when it is another kind of image. */
static const char *directory_of(const char *image)
{
    return strncmp(image, "dir:", 4) == 0 ? image + 4 : NULL;
}

static int check_directory(const char *path, struct error *err)
{
    struct stat status;
    if (strcmp(path, "/") == 0)
        return error_usage(err, "image 'dir:/' is this machine's own root: use --image host");
    if (!image_path_is_plain(path))
        return error_usage(err,
                           "image 'dir:%.200s': give the absolute path of an unpacked root file "
                           "system, without '.', '..' or empty parts",
                           path);
    if (stat(path, &status) < 0) {
        error_errno(err, errno, "image 'dir:%.200s'", path);
        err->kind = ERROR_USAGE;
        return err->code;
    }
    if (!S_ISDIR(status.st_mode))
        return error_usage(err,
                           "image 'dir:%.200s' is no directory: unpack the root file system "
                           "first (for a tar file: mkdir DIR; tar -C DIR -xf FILE)",
                           path);
    return 0;
}

static int refuse(const char *image, struct error *err)
{
    if (strncmp(image, "docker-archive:", 15) == 0)
        return error_usage(err,
                           "Image '%.200s' cannot be run here: Docker's own archives are not read. "
                           "Rewrite it ('skopeo copy %.200s oci-archive:/path/FILE') and use "
                           "--image oci-archive:/path/FILE",
                           image, image);
    return error_usage(err,
                       "Image '%.200s' cannot be run here: nothing is pulled from a registry. "
                       "Copy it ('skopeo copy docker://%.100s oci:/path:TAG') and use --image "
                       "oci:/path:TAG, or use --image host with --command (a program of this "
                       "machine), --image dir:/path with --command (a root file system), or "
                       "--image builtin/leaky",
                       image, image);
}

static int read_reference(const char *text, struct image **ret, struct error *err)
{
    struct image_reference reference = {0};
    struct image_layout *layout = NULL;
    int r = image_reference_parse(text, &reference, err);
    if (r == 0)
        r = image_layout_open(&reference, &layout, err);
    if (r == 0)
        r = image_read(layout, &reference, NULL, ret, err);
    image_layout_free(layout);
    image_reference_done(&reference);
    return r;
}

/* Whether the image says itself what to start. */
static int check_reference(const char *text, bool *ret_starts, struct error *err)
{
    struct image *image = NULL;
    int r = read_reference(text, &image, err);
    *ret_starts = false;
    if (r < 0 || !image)
        return r;
    const struct image_config *config = &image->config;
    *ret_starts = (config->entrypoint && config->entrypoint[0]) || (config->cmd && config->cmd[0]);
    image_free(image);
    return 0;
}

int image_check(const json_t *container, struct error *err)
{
    const char *image = json_string_value(json_object_get(container, "image"));
    bool starts = false;
    int r = 0;
    if (!image || image[0] == '\0')
        return error_usage(err, "containers[0].image is missing: host, dir:/path, oci:/path:tag, "
                                "oci-archive:/path or builtin/leaky");
    if (builtin(image))
        return 0;
    const char *directory = directory_of(image);
    if (directory)
        r = check_directory(directory, err);
    else if (image_is_reference(image))
        r = check_reference(image, &starts, err);
    else if (strcmp(image, "host") != 0)
        r = refuse(image, err);
    if (r == 0 && !starts && words(container, "command") == 0 && words(container, "args") == 0)
        return error_usage(err, "image '%.200s' has no entry point of its own: give a command",
                           image);
    return r;
}

int image_pin(json_t *container, struct error *err)
{
    const char *text = json_string_value(json_object_get(container, "image"));
    struct image *image = NULL;
    json_object_del(container, "oomlab");
    if (!text || !image_is_reference(text))
        return 0;
    int r = read_reference(text, &image, err);
    if (r == 0 && json_object_set_new(container, "oomlab",
                                      json_pack("{s:s}", "imageDigest", image->digest)) < 0)
        r = error_errno(err, ENOMEM, "noting the image's digest");
    image_free(image);
    return r;
}

const char *image_pinned(const json_t *container)
{
    const char *image = json_string_value(json_object_get(container, "image"));
    const char *digest =
        json_string_value(json_object_get(json_object_get(container, "oomlab"), "imageDigest"));
    return image && image_is_reference(image) && digest && image_digest_is_sound(digest) ? digest
                                                                                         : NULL;
}
