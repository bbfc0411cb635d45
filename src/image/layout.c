/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layout.h"

#include "base/cleanup.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEMBERS_MAX 100000 /* of a tar file, looked at */
#define BLOCK       65536
#define BLOBS       "blobs/sha256/"
#define MEMBER_MAX  128

struct image_layout {
    bool archive;
    char *path;
    int fd; /* the directory, or the tar file */
};

struct image_blob {
    int fd; /* a file of the directory; -1 */
    struct archive *archive;
    struct sha256_ctx hash;
    char digest[IMAGE_DIGEST_MAX]; /* "" : not to be checked */
    uint64_t size, done;
};

/* --- finding -------------------------------------------------------------------------------- */

static int refuse_layout(const struct image_layout *layout, const char *why, struct error *err)
{
    if (layout->archive)
        return error_usage(err,
                           "'%.200s' is no OCI archive: %s. 'skopeo copy SOURCE oci-archive:FILE' "
                           "and 'podman save --format oci-archive' write one",
                           layout->path, why);
    return error_usage(err,
                       "'%.200s' is no OCI image layout: %s. 'skopeo copy SOURCE oci:DIR:TAG' "
                       "writes one, and umoci",
                       layout->path, why);
}

/* A path below the directory; 0600 files of others, devices and pipes are not touched. */
static int open_member(const struct image_layout *layout, const char *name, uint64_t *ret_size,
                       int *ret, struct error *err)
{
    struct stat status;
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    AUTO_CLOSE int fd = (int)syscall(SYS_openat2, layout->fd, name, &how, sizeof(how));
    if (fd < 0 && errno == ENOSYS)
        return error_unavailable(err, "this kernel lacks openat2(2), without which images are not "
                                      "read. Linux 5.6 has it");
    if (fd < 0 && errno == EXDEV)
        return error_usage(err, "'%s' of '%.200s' is a link that leads out of it", name,
                           layout->path);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0)
        return error_errno(err, errno, "opening '%s' of '%.200s'", name, layout->path);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return error_usage(err, "'%s' of '%.200s' is no regular file", name, layout->path);
    *ret_size = (uint64_t)status.st_size;
    *ret = steal_fd(&fd);
    return 0;
}

static const char *plain_name(const char *name)
{
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    return name;
}

static const char *why_no_tar(int fd)
{
    static const struct {
        unsigned char bytes[4];
        size_t length;
        const char *why;
    } MAGIC[] = {
        {{0x1f, 0x8b}, 2, "it is compressed (decompress it first: gunzip FILE)"},
        {{0x28, 0xb5, 0x2f, 0xfd}, 4, "it is compressed (decompress it first: unzstd FILE)"},
        {{0xfd, '7', 'z', 'X'}, 4, "it is compressed (decompress it first: unxz FILE)"},
        {{'B', 'Z', 'h'}, 3, "it is compressed (decompress it first: bunzip2 FILE)"},
    };
    unsigned char start[4] = {0};
    if (pread(fd, start, sizeof(start), 0) == (ssize_t)sizeof(start)) {
        for (size_t i = 0; i < sizeof(MAGIC) / sizeof(MAGIC[0]); i++)
            if (memcmp(start, MAGIC[i].bytes, MAGIC[i].length) == 0)
                return MAGIC[i].why;
    }
    return "it is no tar file";
}

/* Only headers are read on the way: libarchive seeks over what is between them. */
static int seek_member(const struct image_layout *layout, struct archive *archive, const char *name,
                       uint64_t *ret_size, struct error *err)
{
    struct archive_entry *entry = NULL;
    int r = ARCHIVE_OK;
    for (unsigned i = 0; i < MEMBERS_MAX; i++) {
        r = archive_read_next_header(archive, &entry);
        if (r == ARCHIVE_EOF)
            return -ENOENT;
        if (r < ARCHIVE_WARN)
            return refuse_layout(layout, why_no_tar(layout->fd), err);
        const char *found = archive_entry_pathname(entry);
        if (!found || strcmp(plain_name(found), name) != 0)
            continue;
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
            archive_entry_size(entry) < 0)
            return error_usage(err, "'%s' of '%.200s' is no regular file", name, layout->path);
        *ret_size = (uint64_t)archive_entry_size(entry);
        return 0;
    }
    return refuse_layout(layout, "it has too many members", err);
}

static int open_archived(const struct image_layout *layout, const char *name, uint64_t *ret_size,
                         struct archive **ret, struct error *err)
{
    struct archive *archive = archive_read_new();
    if (!archive)
        return error_errno(err, ENOMEM, "reading '%s'", layout->path);
    int r = 0;
    if (lseek(layout->fd, 0, SEEK_SET) < 0)
        r = error_errno(err, errno, "reading '%s'", layout->path);
    else if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
             archive_read_open_fd(archive, layout->fd, BLOCK) != ARCHIVE_OK)
        r = refuse_layout(layout, why_no_tar(layout->fd), err);
    if (r == 0)
        r = seek_member(layout, archive, name, ret_size, err);
    if (r < 0) {
        archive_read_free(archive);
        return r;
    }
    *ret = archive;
    return 0;
}

/* -ENOENT without a word when it is not there. */
static int open_named(const struct image_layout *layout, const char *name, struct image_blob **ret,
                      struct error *err)
{
    struct image_blob *blob = calloc(1, sizeof(*blob));
    if (!blob)
        return error_errno(err, ENOMEM, "reading '%s'", layout->path);
    blob->fd = -1;
    sha256_init(&blob->hash);
    int r = layout->archive ? open_archived(layout, name, &blob->size, &blob->archive, err)
                            : open_member(layout, name, &blob->size, &blob->fd, err);
    if (r < 0) {
        image_blob_free(blob);
        return r;
    }
    *ret = blob;
    return 0;
}

/* --- blobs ---------------------------------------------------------------------------------- */

static int open_digest(const struct image_layout *layout, const char *digest,
                       struct image_blob **ret, struct error *err)
{
    char name[MEMBER_MAX];
    struct image_blob *blob = NULL;
    snprintf(name, sizeof(name), BLOBS "%s", digest + strlen("sha256:"));
    int r = open_named(layout, name, &blob, err);
    if (r == -ENOENT)
        return error_usage(err, "'%.200s' lacks '%s': it is not complete", layout->path, name);
    if (!blob)
        return r;
    memcpy(blob->digest, digest, IMAGE_DIGEST_MAX);
    *ret = blob;
    return 0;
}

int image_blob_open(const struct image_layout *layout, const struct image_descriptor *descriptor,
                    struct image_blob **ret, struct error *err)
{
    struct image_blob *blob = NULL;
    int r = open_digest(layout, descriptor->digest, &blob, err);
    if (!blob)
        return r;
    if (blob->size != descriptor->size) {
        r = error_usage(err, "blob '%s' has %llu bytes, and should have %llu: copy the image anew",
                        descriptor->digest, (unsigned long long)blob->size,
                        (unsigned long long)descriptor->size);
        image_blob_free(blob);
        return r;
    }
    *ret = blob;
    return 0;
}

static ssize_t read_some(struct image_blob *blob, void *bytes, size_t size, struct error *err)
{
    ssize_t n = 0;
    if (blob->archive) {
        n = archive_read_data(blob->archive, bytes, size);
        if (n < 0)
            return error_set(err, EIO, "reading the archive: %s",
                             archive_error_string(blob->archive));
        return n;
    }
    do
        n = read(blob->fd, bytes, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? error_errno(err, errno, "reading blob '%s'", blob->digest) : n;
}

ssize_t image_blob_read(struct image_blob *blob, void *bytes, size_t size, struct error *err)
{
    ssize_t n = read_some(blob, bytes, size, err);
    if (n <= 0)
        return n;
    /* A file that grows meanwhile must not make this endless. */
    if (blob->done + (uint64_t)n > blob->size)
        return error_usage(err, "blob '%s' is longer than its descriptor says", blob->digest);
    blob->done += (uint64_t)n;
    sha256_update(&blob->hash, (size_t)n, bytes);
    return n;
}

void image_digest_of(struct sha256_ctx *hash, char digest[static IMAGE_DIGEST_MAX])
{
    unsigned char bytes[SHA256_DIGEST_SIZE];
    sha256_digest(hash, sizeof(bytes), bytes);
    snprintf(digest, IMAGE_DIGEST_MAX, "sha256:");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(digest + 7 + 2 * i, 3, "%02x", bytes[i]);
}

int image_blob_finish(struct image_blob *blob, struct error *err)
{
    unsigned char rest[16384];
    char digest[IMAGE_DIGEST_MAX];
    ssize_t n = 0;
    while ((n = image_blob_read(blob, rest, sizeof(rest), err)) > 0)
        ;
    if (n < 0)
        return (int)n;
    image_digest_of(&blob->hash, digest);
    if (blob->done != blob->size || strcmp(digest, blob->digest) != 0)
        return error_usage(err,
                           "blob '%s' is damaged: its content's digest is '%s'. Copy the image "
                           "anew",
                           blob->digest, digest);
    return 0;
}

void image_blob_free(struct image_blob *blob)
{
    if (!blob)
        return;
    if (blob->archive)
        archive_read_free(blob->archive);
    close_fd(&blob->fd);
    free(blob);
}

/* --- documents ------------------------------------------------------------------------------ */

static int read_whole(struct image_blob *blob, struct buffer *ret, struct error *err)
{
    unsigned char bytes[16384];
    ssize_t n = 0;
    if (blob->size > IMAGE_DOCUMENT_BYTES_MAX)
        return error_usage(err, "a document of %llu bytes; %d are the most that is read",
                           (unsigned long long)blob->size, IMAGE_DOCUMENT_BYTES_MAX);
    while ((n = image_blob_read(blob, bytes, sizeof(bytes), err)) > 0)
        if (buffer_append(ret, bytes, (size_t)n) < 0)
            return error_errno(err, ENOMEM, "reading a document");
    return (int)n;
}

int image_layout_read(const struct image_layout *layout, const struct image_descriptor *descriptor,
                      struct buffer *ret, struct error *err)
{
    struct image_blob *blob = NULL;
    int r = image_blob_open(layout, descriptor, &blob, err);
    if (blob)
        r = read_whole(blob, ret, err);
    if (blob && r == 0)
        r = image_blob_finish(blob, err);
    image_blob_free(blob);
    return r;
}

int image_layout_stat(const struct image_layout *layout, const char *digest,
                      struct image_descriptor *ret, struct error *err)
{
    struct image_blob *blob = NULL;
    int r = open_digest(layout, digest, &blob, err);
    if (!blob)
        return r;
    memcpy(ret->digest, digest, IMAGE_DIGEST_MAX);
    ret->size = blob->size;
    image_blob_free(blob);
    return 0;
}

/* Docker's own archive of old has another index, and layers under other names. */
static int refuse_without_index(const struct image_layout *layout, struct error *err)
{
    struct image_blob *blob = NULL;
    struct error ignored;
    if (!layout->archive || open_named(layout, "manifest.json", &blob, &ignored) < 0)
        return refuse_layout(layout, "it has no 'index.json'", err);
    image_blob_free(blob);
    return error_usage(err,
                       "'%.200s' is a Docker archive: rewrite it with 'skopeo copy "
                       "docker-archive:FILE oci-archive:OTHER'",
                       layout->path);
}

int image_layout_read_index(const struct image_layout *layout, struct buffer *ret,
                            struct error *err)
{
    struct image_blob *blob = NULL;
    int r = open_named(layout, "index.json", &blob, err);
    if (r == -ENOENT)
        return refuse_without_index(layout, err);
    if (blob)
        r = read_whole(blob, ret, err);
    image_blob_free(blob);
    return r;
}

/* --- life ----------------------------------------------------------------------------------- */

static int open_place(struct image_layout *layout, struct error *err)
{
    struct stat status;
    layout->fd = open(layout->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (layout->fd < 0 || fstat(layout->fd, &status) < 0) {
        error_errno(err, errno, "image '%.200s'", layout->path);
        err->kind = ERROR_USAGE;
        return err->code;
    }
    if (layout->archive && !S_ISREG(status.st_mode))
        return error_usage(err,
                           "image '%.200s' is no file: for a layout in a directory it is "
                           "'oci:', not 'oci-archive:'",
                           layout->path);
    if (!layout->archive && !S_ISDIR(status.st_mode))
        return error_usage(err,
                           "image '%.200s' is no directory: for a layout in a tar file it is "
                           "'oci-archive:', not 'oci:'",
                           layout->path);
    return 0;
}

int image_layout_open(const struct image_reference *reference, struct image_layout **ret,
                      struct error *err)
{
    struct image_layout *layout = calloc(1, sizeof(*layout));
    if (!layout)
        return error_errno(err, ENOMEM, "opening '%.200s'", reference->path);
    layout->fd = -1;
    layout->archive = reference->archive;
    layout->path = strdup(reference->path);
    int r = layout->path ? open_place(layout, err)
                         : error_errno(err, ENOMEM, "opening '%.200s'", reference->path);
    if (r < 0) {
        image_layout_free(layout);
        return r;
    }
    *ret = layout;
    return 0;
}

void image_layout_free(struct image_layout *layout)
{
    if (!layout)
        return;
    close_fd(&layout->fd);
    free(layout->path);
    free(layout);
}
