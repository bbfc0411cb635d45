/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer.h"

#include "base/cleanup.h"
#include "image/root.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define CHUNK       65536
#define TRAILER_MAX (UINT64_C(64) << 20)
#define WHITEOUT    ".wh."
#define OPAQUE      ".wh..wh..opq"
#define AUFS        ".wh..wh." /* bookkeeping of a file system of old */

/* A directory's time, which what is put into it changes: set at the end. */
struct stamp {
    char *path;
    struct timespec times[2];
};

struct layer {
    struct image_unpacking *unpacking;
    struct image_root root;
    struct image_stream *stream;
    struct archive *archive;
    struct stamp *stamps;
    size_t stamp_count, stamps_size;
    struct error read_error; /* of the stream, under libarchive */
    unsigned char chunk[CHUNK];
};

int image_layer_clean_path(const char *path, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    while (*path) {
        size_t length = strcspn(path, "/");
        bool nothing = length == 0 || (length == 1 && path[0] == '.');
        if (length == 2 && path[0] == '.' && path[1] == '.')
            return -EINVAL;
        if (!nothing) {
            if (used + length + 2 > size || length > NAME_MAX)
                return -ENAMETOOLONG;
            if (used > 0)
                ret[used++] = '/';
            memcpy(ret + used, path, length);
            used += length;
            ret[used] = '\0';
        }
        path += length + (path[length] == '/');
    }
    return 0;
}

/* --- what is common to all kinds of files --------------------------------------------------- */

static mode_t mode_of(const struct layer *layer, struct archive_entry *entry)
{
    mode_t mode = archive_entry_perm(entry) & 07777;
    /* An ordinary user could not unpack the next layer into a directory that denies it. */
    if (archive_entry_filetype(entry) == AE_IFDIR && !layer->unpacking->owners)
        mode |= 0700;
    return mode;
}

static void times_of(struct archive_entry *entry, struct timespec times[static 2])
{
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_OMIT;
    if (!archive_entry_mtime_is_set(entry))
        return;
    times[1].tv_sec = archive_entry_mtime(entry);
    times[1].tv_nsec = archive_entry_mtime_nsec(entry);
    times[0] = times[1];
}

static int set_owner(const struct layer *layer, struct archive_entry *entry,
                     const struct image_place *place, struct error *err)
{
    la_int64_t uid = archive_entry_uid(entry);
    la_int64_t gid = archive_entry_gid(entry);
    if (!layer->unpacking->owners)
        return 0;
    if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
        return error_usage(err, "its owner %lld:%lld is none", (long long)uid, (long long)gid);
    if (fchownat(place->fd, place->name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, errno, "giving it to %lld:%lld", (long long)uid, (long long)gid);
    return 0;
}

/* Of what is no link: the owner first, because a change of owner takes the set-user-ID bits away.
 */
static int set_owner_and_mode(const struct layer *layer, struct archive_entry *entry,
                              const struct image_place *place, struct error *err)
{
    int r = set_owner(layer, entry, place, err);
    if (r == 0 && fchmodat(place->fd, place->name, mode_of(layer, entry), 0) < 0)
        r = error_errno(err, errno, "setting its mode");
    return r;
}

static int set_times(struct archive_entry *entry, const struct image_place *place,
                     struct error *err)
{
    struct timespec times[2] = {0};
    times_of(entry, times);
    if (utimensat(place->fd, place->name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, errno, "setting its time");
    return 0;
}

/* Those of users alone: others change how the kernel treats the file, overlayfs's above all. A file
 * system may not take them: then there are none. */
static void set_attributes(int fd, struct archive_entry *entry)
{
    const char *name = NULL;
    const void *value = NULL;
    size_t size = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
        if (name && strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0)
            fsetxattr(fd, name, value, size, 0);
}

/* --- kinds ---------------------------------------------------------------------------------- */

static int keep_stamp(struct layer *layer, const char *path, struct archive_entry *entry,
                      struct error *err)
{
    if (layer->stamp_count == layer->stamps_size) {
        size_t size = layer->stamps_size ? layer->stamps_size * 2 : 64;
        struct stamp *grown = reallocarray(layer->stamps, size, sizeof(*grown));
        if (!grown)
            return error_errno(err, ENOMEM, "unpacking");
        layer->stamps = grown;
        layer->stamps_size = size;
    }
    struct stamp *stamp = &layer->stamps[layer->stamp_count];
    *stamp = (struct stamp){.path = strdup(path)};
    if (!stamp->path)
        return error_errno(err, ENOMEM, "unpacking");
    times_of(entry, stamp->times);
    layer->stamp_count++;
    return 0;
}

/* What cannot be stamped has been replaced by something else meanwhile. */
static void set_stamps(struct layer *layer)
{
    for (size_t i = 0; i < layer->stamp_count; i++) {
        char *path = layer->stamps[i].path;
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
        AUTO_CLOSE int fd = image_root_open(&layer->root, slash ? path : "", O_PATH | O_DIRECTORY);
        if (fd >= 0)
            utimensat(fd, slash ? slash + 1 : path, layer->stamps[i].times, AT_SYMLINK_NOFOLLOW);
    }
}

static int put_directory(struct layer *layer, const char *path, struct archive_entry *entry,
                         const struct image_place *place, struct error *err)
{
    int r = image_root_clear(place, true, err);
    if (r == 0 && mkdirat(place->fd, place->name, 0700) < 0)
        r = error_errno(err, errno, "making the directory");
    if (r >= 0)
        r = set_owner_and_mode(layer, entry, place, err);
    return r == 0 ? keep_stamp(layer, path, entry, err) : r;
}

static int write_at(int fd, const char *bytes, size_t size, off_t offset, struct error *err)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, bytes, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "writing it");
        bytes += n;
        size -= (size_t)n;
        offset += n;
    }
    return 0;
}

static int read_failed(struct layer *layer, struct error *err)
{
    if (layer->read_error.code < 0) {
        *err = layer->read_error;
        return err->code;
    }
    const char *text = archive_error_string(layer->archive);
    return error_usage(err, "the layer cannot be read: %s", text ? text : "it is damaged");
}

static int take_bytes(struct layer *layer, size_t size, struct error *err)
{
    struct image_unpacking *unpacking = layer->unpacking;
    if (atomic_load(unpacking->cancelled))
        return error_set(err, ECANCELED, "unpacking was cancelled");
    if (size > unpacking->bytes_left)
        return error_usage(err, "the image is too large: more than %llu bytes unpacked",
                           (unsigned long long)unpacking->bytes);
    unpacking->bytes_left -= size;
    unpacking->bytes += size;
    return 0;
}

static int copy_data(struct layer *layer, struct archive_entry *entry, int fd, struct error *err)
{
    const void *bytes = NULL;
    size_t size = 0;
    la_int64_t offset = 0;
    int found = ARCHIVE_OK;
    while ((found = archive_read_data_block(layer->archive, &bytes, &size, &offset)) >=
               ARCHIVE_WARN &&
           found != ARCHIVE_EOF) {
        int r = take_bytes(layer, size, err);
        if (r == 0)
            r = write_at(fd, bytes, size, offset, err);
        if (r < 0)
            return r;
    }
    if (found != ARCHIVE_EOF)
        return read_failed(layer, err);
    /* A hole at the end. */
    if (archive_entry_size(entry) > 0 && ftruncate(fd, archive_entry_size(entry)) < 0)
        return error_errno(err, errno, "setting its size");
    return 0;
}

static int put_file(struct layer *layer, struct archive_entry *entry,
                    const struct image_place *place, struct error *err)
{
    int r = image_root_clear(place, false, err);
    if (r < 0)
        return r;
    AUTO_CLOSE int fd =
        openat(place->fd, place->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, errno, "making the file");
    r = copy_data(layer, entry, fd, err);
    if (r == 0)
        set_attributes(fd, entry);
    if (r == 0)
        r = set_owner_and_mode(layer, entry, place, err);
    return r == 0 ? set_times(entry, place, err) : r;
}

static int put_symbolic_link(const struct layer *layer, struct archive_entry *entry,
                             const struct image_place *place, struct error *err)
{
    const char *target = archive_entry_symlink(entry);
    if (!target || target[0] == '\0')
        return error_usage(err, "it is a symbolic link to nothing");
    int r = image_root_clear(place, false, err);
    if (r == 0 && symlinkat(target, place->fd, place->name) < 0)
        r = error_errno(err, errno, "making the symbolic link");
    if (r == 0)
        r = set_owner(layer, entry, place, err);
    return r == 0 ? set_times(entry, place, err) : r;
}

/* To another entry of the image: its directory is resolved in the root, its name not followed. */
static int put_hard_link(struct layer *layer, struct archive_entry *entry,
                         const struct image_place *place, struct error *err)
{
    char path[PATH_MAX];
    struct stat target;
    struct stat here;
    if (image_layer_clean_path(archive_entry_hardlink(entry), path, sizeof(path)) < 0 || !path[0])
        return error_usage(err, "it is a hard link to '%.200s', which is no path in the image",
                           archive_entry_hardlink(entry));
    char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (slash)
        *slash = '\0';
    AUTO_CLOSE int fd = image_root_open(&layer->root, slash ? path : "", O_PATH | O_DIRECTORY);
    if (fd < 0 || fstatat(fd, name, &target, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(target.st_mode))
        return error_usage(err, "it is a hard link to '%.200s', which is no file of the image",
                           archive_entry_hardlink(entry));
    if (fstatat(place->fd, place->name, &here, AT_SYMLINK_NOFOLLOW) == 0 &&
        here.st_ino == target.st_ino)
        return 0;
    int r = image_root_clear(place, false, err);
    if (r == 0 && linkat(fd, name, place->fd, place->name, 0) < 0)
        r = error_errno(err, errno, "making the hard link to '%.200s'",
                        archive_entry_hardlink(entry));
    return r;
}

static int put_pipe(const struct layer *layer, struct archive_entry *entry,
                    const struct image_place *place, struct error *err)
{
    int r = image_root_clear(place, false, err);
    if (r == 0 && mkfifoat(place->fd, place->name, 0600) < 0)
        r = error_errno(err, errno, "making the pipe");
    return r == 0 ? set_owner_and_mode(layer, entry, place, err) : r;
}

static int put(struct layer *layer, const char *path, struct archive_entry *entry,
               const struct image_place *place, struct error *err)
{
    if (archive_entry_hardlink(entry))
        return put_hard_link(layer, entry, place, err);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return put_file(layer, entry, place, err);
    case AE_IFDIR:
        return put_directory(layer, path, entry, place, err);
    case AE_IFLNK:
        return put_symbolic_link(layer, entry, place, err);
    case AE_IFIFO:
        return put_pipe(layer, entry, place, err);
    default: /* every container gets a /dev of its own */
        layer->unpacking->devices++;
        return 0;
    }
}

/* --- entries -------------------------------------------------------------------------------- */

static int hide(struct layer *layer, const struct image_place *place, struct error *err)
{
    const char *name = place->name + strlen(WHITEOUT);
    if (strcmp(place->name, OPAQUE) == 0)
        return image_root_hide_all(&layer->root, place, err);
    if (strncmp(place->name, AUFS, strlen(AUFS)) == 0)
        return 0;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_usage(err, "it is a whiteout of no file");
    return image_root_hide(&layer->root, place, name, err);
}

static int put_root(struct layer *layer, struct archive_entry *entry, struct error *err)
{
    const struct image_place place = {.fd = layer->unpacking->root_fd, .name = "."};
    return archive_entry_filetype(entry) == AE_IFDIR && !archive_entry_hardlink(entry)
               ? set_owner_and_mode(layer, entry, &place, err)
               : error_usage(err, "the root is no directory");
}

static int take_entry(struct layer *layer, const char *given, struct archive_entry *entry,
                      struct error *err)
{
    char path[PATH_MAX];
    struct image_place place = {0};
    int r = image_layer_clean_path(given, path, sizeof(path));
    if (r == -EINVAL)
        return error_usage(err, "a layer must not name '..'");
    if (r < 0)
        return error_usage(err, "the name is too long");
    if (path[0] == '\0')
        return put_root(layer, entry, err);
    r = image_root_find(&layer->root, path, &place, err);
    if (r < 0)
        return r;
    if (strncmp(place.name, WHITEOUT, strlen(WHITEOUT)) == 0)
        return hide(layer, &place, err);
    r = put(layer, path, entry, &place, err);
    if (r == 0 && image_made_add(&layer->root.made, place.ino, place.name) < 0)
        r = error_errno(err, ENOMEM, "unpacking");
    return r;
}

static int take_entries(struct layer *layer, struct error *err)
{
    struct archive_entry *entry = NULL;
    for (;;) {
        int found = archive_read_next_header(layer->archive, &entry);
        if (found == ARCHIVE_EOF)
            return 0;
        if (found < ARCHIVE_WARN)
            return read_failed(layer, err);
        const char *name = archive_entry_pathname(entry);
        if (!name)
            return error_usage(err, "the layer has a name that cannot be read");
        int r = image_root_count(&layer->root, err);
        if (r == 0)
            r = take_bytes(layer, 0, err);
        if (r == 0)
            r = take_entry(layer, name, entry, err);
        if (r < 0)
            return error_wrap(err, "'%.200s'", name);
    }
}

/* --- the stream ----------------------------------------------------------------------------- */

static la_ssize_t read_stream(struct archive *archive, void *context, const void **ret)
{
    struct layer *layer = context;
    ssize_t n =
        image_stream_read(layer->stream, layer->chunk, sizeof(layer->chunk), &layer->read_error);
    *ret = layer->chunk;
    if (n < 0)
        archive_set_error(archive, EIO, "%s", layer->read_error.text);
    return n < 0 ? ARCHIVE_FATAL : n;
}

static int open_tar(struct layer *layer, struct error *err)
{
    layer->archive = archive_read_new();
    if (!layer->archive)
        return error_errno(err, ENOMEM, "unpacking");
    archive_read_support_format_tar(layer->archive);
    archive_read_support_format_empty(layer->archive);
    if (archive_read_open(layer->archive, layer, NULL, read_stream, NULL) != ARCHIVE_OK)
        return read_failed(layer, err);
    return 0;
}

/* What stands behind the tar file's end counts for its digest. */
static int drain(struct layer *layer, struct error *err)
{
    uint64_t left = TRAILER_MAX;
    ssize_t n = 0;
    while ((n = image_stream_read(layer->stream, layer->chunk, sizeof(layer->chunk), err)) > 0) {
        int r = take_bytes(layer, 0, err);
        if (r == 0 && (uint64_t)n > left)
            r = error_usage(err, "there is too much behind the end of the layer");
        if (r < 0)
            return r;
        left -= (uint64_t)n;
    }
    return (int)n;
}

static void layer_free(struct layer *layer)
{
    if (layer->archive)
        archive_read_free(layer->archive);
    image_stream_free(layer->stream);
    for (size_t i = 0; i < layer->stamp_count; i++)
        free(layer->stamps[i].path);
    free(layer->stamps);
    image_root_done(&layer->root);
    free(layer);
}

int image_layer_unpack(struct image_blob *blob, enum image_compression compression,
                       const char *diff_id, struct image_unpacking *unpacking, struct error *err)
{
    struct layer *layer = calloc(1, sizeof(*layer));
    if (!layer)
        return error_errno(err, ENOMEM, "unpacking");
    layer->unpacking = unpacking;
    image_root_init(&layer->root, unpacking);
    int r = image_stream_open(blob, compression, &layer->stream, err);
    if (r == 0)
        r = open_tar(layer, err);
    if (r == 0)
        r = take_entries(layer, err);
    if (r == 0)
        set_stamps(layer);
    if (r == 0)
        r = drain(layer, err);
    if (r == 0)
        r = image_stream_finish(layer->stream, diff_id, err);
    layer_free(layer);
    return r;
}
