/* SPDX-License-Identifier: Apache-2.0 */
/* Names in the directory: "sha256-<digits>" is an image (with config.json and rootfs/), the same
 * with ".one-user" one whose files are all the user's, ".part-<number>" one that is being unpacked,
 * ".trash-<number>" what will be removed. */
#include "image/cache.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/tree.h"
#include "image/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_MAX_BYTES 128
#define PART           ".part-"
#define TRASH          ".trash-"
#define ONE_USER       ".one-user"

#define IMAGE_BYTES_MAX   (UINT64_C(32) << 30)
#define IMAGE_ENTRIES_MAX UINT64_C(2000000)
#define KEPT_FREE         (UINT64_C(256) << 20) /* for what else the file system is for */
#define ACCOUNTS_MAX      (1 << 20)             /* of passwd and group */

struct image_cache {
    char *path;
    int fd;
    bool one_user;
};

/* Names given away in this process. */
static atomic_uint names;

static void name_of(const struct image_cache *cache, const char *digest,
                    char name[static NAME_MAX_BYTES])
{
    snprintf(name, NAME_MAX_BYTES, "sha256-%s%s", digest + strlen("sha256:"),
             cache->one_user ? ONE_USER : "");
}

static void new_name(const struct image_cache *cache, const char *prefix,
                     char name[static NAME_MAX_BYTES])
{
    /* The process id would not do in a PID namespace; the lock's holder is the only one. */
    do
        snprintf(name, NAME_MAX_BYTES, "%s%u", prefix, atomic_fetch_add(&names, 1));
    while (faccessat(cache->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

typedef void (*entry_visitor)(const struct image_cache *cache, const char *name, void *context);

static void for_each(const struct image_cache *cache, entry_visitor visitor, void *context)
{
    int copy = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry = NULL;
    if (!directory) {
        close_fd(&copy);
        return;
    }
    while ((entry = readdir(directory)))
        visitor(cache, entry->d_name, context);
    closedir(directory);
}

static void discard(const struct image_cache *cache, const char *name)
{
    char trash[NAME_MAX_BYTES];
    new_name(cache, TRASH, trash);
    renameat(cache->fd, name, cache->fd, trash);
}

/* What a process that died had begun. */
static void discard_part(const struct image_cache *cache, const char *name, void *context)
{
    (void)context;
    if (strncmp(name, PART, strlen(PART)) == 0)
        discard(cache, name);
}

/* --- life ----------------------------------------------------------------------------------- */

static int open_directory(struct image_cache *cache, struct error *err)
{
    if (mkdir(cache->path, 0700) < 0 && errno != EEXIST)
        return error_errno(err, errno, "making '%s'", cache->path);
    cache->fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return cache->fd < 0 ? error_errno(err, errno, "opening '%s'", cache->path) : 0;
}

int image_cache_open(const char *directory, bool one_user, struct image_cache **ret,
                     struct error *err)
{
    struct image_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return error_errno(err, ENOMEM, "opening '%s'", directory);
    cache->fd = -1;
    cache->one_user = one_user;
    cache->path = strdup(directory);
    int r = cache->path ? open_directory(cache, err)
                        : error_errno(err, ENOMEM, "opening '%s'", directory);
    if (r < 0) {
        image_cache_free(cache);
        return r;
    }
    for_each(cache, discard_part, NULL);
    *ret = cache;
    return 0;
}

void image_cache_free(struct image_cache *cache)
{
    if (!cache)
        return;
    close_fd(&cache->fd);
    free(cache->path);
    free(cache);
}

/* --- what is there -------------------------------------------------------------------------- */

bool image_cache_has(const struct image_cache *cache, const char *digest)
{
    char name[NAME_MAX_BYTES];
    name_of(cache, digest, name);
    return faccessat(cache->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

char *image_cache_root(const struct image_cache *cache, const char *digest)
{
    char name[NAME_MAX_BYTES];
    char *path = NULL;
    name_of(cache, digest, name);
    return asprintf(&path, "%s/%s/rootfs", cache->path, name) < 0 ? NULL : path;
}

int image_cache_config(const struct image_cache *cache, const char *digest,
                       struct image_config *ret, struct error *err)
{
    char name[NAME_MAX_BYTES];
    char path[NAME_MAX_BYTES + 16];
    AUTO_BUFFER text = {0};
    name_of(cache, digest, name);
    snprintf(path, sizeof(path), "%s/config.json", name);
    int r = file_read_all(cache->fd, path, IMAGE_DOCUMENT_BYTES_MAX, &text, err);
    if (r == 0)
        r = image_config_parse_text(buffer_text(&text), IMAGE_LAYERS_ANY, ret, err);
    return r < 0 ? error_wrap(err, "the unpacked image '%s' in '%s'", name, cache->path) : 0;
}

/* Empty where the image has none. A link leads to another file of the image at most. */
static int read_account_file(int root_fd, const char *name, struct buffer *ret, struct error *err)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    struct stat status;
    char bytes[4096];
    AUTO_CLOSE int fd = (int)syscall(SYS_openat2, root_fd, name, &how, sizeof(how));
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(err, errno, "opening the image's '/%s'", name);
    if (!S_ISREG(status.st_mode) || status.st_size > ACCOUNTS_MAX)
        return error_usage(err, "the image's '/%s' is no file of up to %d bytes", name,
                           ACCOUNTS_MAX);
    ssize_t n = 0;
    while ((n = read(fd, bytes, sizeof(bytes))) > 0)
        if (buffer_append(ret, bytes, (size_t)n) < 0)
            return error_errno(err, ENOMEM, "reading the image's '/%s'", name);
    return n < 0 ? error_errno(err, errno, "reading the image's '/%s'", name) : 0;
}

int image_cache_user(const struct image_cache *cache, const char *digest, const char *user,
                     struct image_user *ret, struct error *err)
{
    AUTO_FREE char *path = image_cache_root(cache, digest);
    AUTO_CLOSE int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    AUTO_BUFFER passwd = {0};
    AUTO_BUFFER group = {0};
    if (fd < 0)
        return error_errno(err, path ? errno : ENOMEM, "opening the unpacked image");
    int r = read_account_file(fd, "etc/passwd", &passwd, err);
    if (r == 0)
        r = read_account_file(fd, "etc/group", &group, err);
    return r == 0 ? image_user_find(user, buffer_text(&passwd), buffer_text(&group), ret, err) : r;
}

/* --- filling -------------------------------------------------------------------------------- */

/* Names in layers are UTF-8, which libarchive converts to the thread's locale. */
static locale_t enter_locale(locale_t *before)
{
    locale_t made = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    *before = made ? uselocale(made) : (locale_t)0;
    return made;
}

static void leave_locale(locale_t made, locale_t before)
{
    if (!made)
        return;
    uselocale(before);
    freelocale(made);
}

static uint64_t room(const struct image_cache *cache)
{
    struct statvfs status;
    if (fstatvfs(cache->fd, &status) < 0)
        return IMAGE_BYTES_MAX;
    uint64_t free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    uint64_t usable = free_bytes > KEPT_FREE ? free_bytes - KEPT_FREE : 0;
    return usable < IMAGE_BYTES_MAX ? usable : IMAGE_BYTES_MAX;
}

static int unpack_layers(const struct image_layout *layout, const struct image *image,
                         struct image_unpacking *unpacking, struct error *err)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < image->manifest.layer_count; i++) {
        const struct image_layer *layer = &image->manifest.layers[i];
        struct image_blob *blob = NULL;
        r = image_blob_open(layout, &layer->blob, &blob, err);
        if (r == 0)
            r = image_layer_unpack(blob, layer->compression, image->config.diff_ids[i], unpacking,
                                   err);
        image_blob_free(blob);
        if (r < 0)
            error_wrap(err, "layer %u of %u (%.19s...)", i + 1, image->manifest.layer_count,
                       layer->blob.digest);
    }
    return r;
}

static int unpack(const struct image_cache *cache, const struct image_layout *layout,
                  const struct image *image, int part_fd, const atomic_bool *cancelled,
                  struct image_filled *ret, struct error *err)
{
    locale_t before = (locale_t)0;
    if (mkdirat(part_fd, "rootfs", 0755) < 0)
        return error_errno(err, errno, "making the image's root");
    AUTO_CLOSE int root_fd = openat(part_fd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0 || fchmod(root_fd, 0755) < 0)
        return error_errno(err, errno, "opening the image's root");
    struct image_unpacking unpacking = {
        .root_fd = root_fd,
        .owners = !cache->one_user,
        .cancelled = cancelled,
        .bytes_left = room(cache),
        .entries_left = IMAGE_ENTRIES_MAX,
    };
    locale_t made = enter_locale(&before);
    int r = unpack_layers(layout, image, &unpacking, err);
    leave_locale(made, before);
    *ret = (struct image_filled){.bytes = unpacking.bytes, .devices = unpacking.devices};
    return r;
}

/* On the disk as a whole before it gets its name: a power cut must not leave empty files. */
static int publish(const struct image_cache *cache, const char *part, int part_fd,
                   const char *digest, struct error *err)
{
    char name[NAME_MAX_BYTES];
    name_of(cache, digest, name);
    if (syncfs(part_fd) < 0 || renameat(cache->fd, part, cache->fd, name) < 0 ||
        fsync(cache->fd) < 0)
        return error_errno(err, errno, "keeping the unpacked image in '%s'", cache->path);
    return 0;
}

static int fill_part(const struct image_cache *cache, const struct image_layout *layout,
                     const struct image *image, const char *part, const atomic_bool *cancelled,
                     struct image_filled *ret, struct error *err)
{
    AUTO_CLOSE int fd = openat(cache->fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "opening '%s/%s'", cache->path, part);
    int r = unpack(cache, layout, image, fd, cancelled, ret, err);
    if (r == 0)
        r = file_replace(fd, "config.json", image->config_text, strlen(image->config_text), err);
    return r == 0 ? publish(cache, part, fd, image->digest, err) : r;
}

static int fill(const struct image_cache *cache, const struct image_layout *layout,
                const struct image *image, const atomic_bool *cancelled, struct image_filled *ret,
                struct error *err)
{
    char part[NAME_MAX_BYTES];
    new_name(cache, PART, part);
    if (mkdirat(cache->fd, part, 0700) < 0)
        return error_errno(err, errno, "making '%s/%s'", cache->path, part);
    int r = fill_part(cache, layout, image, part, cancelled, ret, err);
    if (r < 0)
        tree_remove(cache->fd, part);
    return r;
}

int image_cache_fill(const struct image_cache *cache, const struct image_reference *reference,
                     const char *digest, const atomic_bool *cancelled, struct image_filled *ret,
                     struct error *err)
{
    struct image_layout *layout = NULL;
    struct image *image = NULL;
    if (image_cache_has(cache, digest))
        return 0;
    int r = image_layout_open(reference, &layout, err);
    if (r == 0)
        r = image_read(layout, reference, digest, &image, err);
    if (r == 0) {
        r = fill(cache, layout, image, cancelled, ret, err);
        if (r < 0)
            error_wrap(err, "unpacking image '%.200s'", reference->path);
    }
    image_free(image);
    image_layout_free(layout);
    return r;
}

/* --- removing ------------------------------------------------------------------------------- */

/* "sha256-<digits>", whoever's ids it has. */
static bool digest_of(const char *name, char digest[static IMAGE_DIGEST_MAX])
{
    if (strncmp(name, "sha256-", 7) != 0)
        return false;
    snprintf(digest, IMAGE_DIGEST_MAX, "sha256:%.64s", name + 7);
    return image_digest_is_sound(digest);
}

struct sweep {
    bool (*wanted)(void *context, const char *digest);
    void *context;
};

static void sweep_one(const struct image_cache *cache, const char *name, void *context)
{
    const struct sweep *sweep = context;
    char digest[IMAGE_DIGEST_MAX];
    if (digest_of(name, digest) && !sweep->wanted(sweep->context, digest))
        discard(cache, name);
}

void image_cache_sweep(const struct image_cache *cache,
                       bool (*wanted)(void *context, const char *digest), void *context)
{
    struct sweep sweep = {.wanted = wanted, .context = context};
    for_each(cache, sweep_one, &sweep);
}

/* What cannot be removed is tried again the next time. */
static void remove_trash(const struct image_cache *cache, const char *name, void *context)
{
    (void)context;
    if (strncmp(name, TRASH, strlen(TRASH)) == 0)
        tree_remove(cache->fd, name);
}

void image_cache_empty_trash(const struct image_cache *cache)
{
    for_each(cache, remove_trash, NULL);
}
