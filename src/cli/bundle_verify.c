/* SPDX-License-Identifier: Apache-2.0 */
/* Reads an archive that may come from anywhere: nothing is unpacked, nothing trusted. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cli/bundle.h"
#include "report/manifest.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX_BYTES (1u << 24)

struct contents {
    struct buffer manifest; /* as it stands in the archive */
    struct buffer present;  /* as it would be written now */
    char *run;              /* the one directory that holds everything */
    bool has_manifest;
};

static void contents_done(struct contents *contents)
{
    buffer_done(&contents->manifest);
    buffer_done(&contents->present);
    free(contents->run);
}

static void reader_free(struct archive **archive)
{
    archive_read_free(*archive);
}

/* What is compressed, as a stream of bytes: the tar reader is fed from it, so that what follows the
 * tar's end, where it looks no further, is seen as well. */
struct stream {
    struct archive *raw;
    bool begun;
    int64_t given; /* bytes, the last block included */
    size_t length; /* of the last block */
    char block[65536];
};

static la_ssize_t next_block(struct archive *tar, void *context, const void **ret)
{
    struct stream *stream = context;
    struct archive_entry *entry = NULL;
    int status = stream->begun ? ARCHIVE_OK : archive_read_next_header(stream->raw, &entry);
    la_ssize_t n = status == ARCHIVE_EOF ? 0 : -1;
    stream->begun = true;
    if (status == ARCHIVE_OK)
        n = archive_read_data(stream->raw, stream->block, sizeof(stream->block));
    if (n < 0) {
        const char *text = archive_error_string(stream->raw);
        archive_set_error(tar, EBADMSG, "%s", text ? text : "it cannot be read");
        return -1;
    }
    stream->length = (size_t)n;
    stream->given += n;
    *ret = stream->block;
    return n;
}

static const char *why(struct archive *archive)
{
    const char *text = archive_error_string(archive);
    return text ? text : "it cannot be read";
}

static int unreadable(struct archive *archive, const char *path, struct error *err)
{
    return error_set(err, EBADMSG, "'%s' is damaged or no archive of oomlab export: %s", path,
                     why(archive));
}

/* The name inside the run's directory; NULL when it does not lie there. */
static const char *name_in_run(struct contents *contents, const char *path)
{
    const char *slash = path ? strchr(path, '/') : NULL;
    if (!slash || slash == path || slash[1] == '\0')
        return NULL;
    size_t length = (size_t)(slash - path);
    if (!contents->run)
        contents->run = strndup(path, length);
    if (!contents->run || strlen(contents->run) != length ||
        strncmp(contents->run, path, length) != 0)
        return NULL;
    return slash + 1;
}

static int read_entry(struct archive *archive, const char *path, struct contents *contents,
                      const char *name, struct error *err)
{
    struct sha256_ctx context;
    char chunk[65536];
    bool manifest = strcmp(name, MANIFEST_FILE) == 0;
    sha256_init(&context);
    for (;;) {
        la_ssize_t n = archive_read_data(archive, chunk, sizeof(chunk));
        if (n < 0)
            return error_set(err, EBADMSG, "'%s' is damaged at '%s': %s", path, name, why(archive));
        if (n == 0)
            break;
        sha256_update(&context, (size_t)n, (const uint8_t *)chunk);
        if (manifest && contents->manifest.length < MANIFEST_MAX_BYTES)
            buffer_append(&contents->manifest, chunk, (size_t)n);
    }
    contents->has_manifest = contents->has_manifest || manifest;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char text[SHA256_TEXT_MAX];
    sha256_digest(&context, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    if (!manifest)
        manifest_append(&contents->present, text, name);
    return contents->manifest.failed || contents->present.failed
               ? error_errno(err, ENOMEM, "reading the archive")
               : 0;
}

static int read_all(struct archive *archive, const char *path, struct contents *contents,
                    struct error *err)
{
    struct archive_entry *entry = NULL;
    int status;
    while ((status = archive_read_next_header(archive, &entry)) == ARCHIVE_OK) {
        const char *whole = archive_entry_pathname(entry);
        const char *name = name_in_run(contents, whole);
        if (!name || archive_entry_filetype(entry) != AE_IFREG)
            return error_set(err, EBADMSG,
                             "'%s' is no archive of one run: '%s' is not a file in its directory",
                             path, whole ? whole : "(a name that cannot be read)");
        int r = read_entry(archive, path, contents, name, err);
        if (r < 0)
            return r;
    }
    return status == ARCHIVE_EOF ? 0 : unreadable(archive, path, err);
}

/* A tar is padded with zeros. Anything else behind its end is what another program may unpack. */
static int check_end(struct archive *tar, struct stream *stream, const char *path,
                     struct error *err)
{
    int64_t behind = stream->given - archive_filter_bytes(tar, 0);
    size_t rest = behind > 0 && (uint64_t)behind < stream->length ? (size_t)behind : 0;
    const char *at = stream->block + stream->length - rest;
    const void *block = NULL;
    la_ssize_t n = (la_ssize_t)rest;
    do {
        for (la_ssize_t i = 0; i < n; i++) {
            if (at[i] != '\0')
                return error_set(err, EBADMSG,
                                 "'%s' goes on behind the archive's end: something was appended",
                                 path);
        }
        n = next_block(tar, stream, &block);
        at = block;
    } while (n > 0);
    return n < 0 ? unreadable(tar, path, err) : 0;
}

static int open_stream(struct archive *raw, struct archive *tar, struct stream *stream, int fd,
                       const char *path, struct error *err)
{
    archive_read_support_filter_zstd(raw);
    archive_read_support_format_raw(raw);
    archive_read_support_format_empty(raw);
    if (archive_read_open_fd(raw, fd, sizeof(stream->block)) != ARCHIVE_OK)
        return unreadable(raw, path, err);
    stream->raw = raw;
    archive_read_support_format_tar(tar);
    return archive_read_open(tar, stream, NULL, next_block, NULL) == ARCHIVE_OK
               ? 0
               : unreadable(tar, path, err);
}

/* Standard input for "-", else a file of its own. */
static int open_input(const char *path, struct error *err)
{
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    return errno == ENOENT ? error_usage(err, "there is no file '%s'", path)
                           : error_errno(err, errno, "opening '%s'", path);
}

int bundle_verify(const char *path, size_t *ret_files, json_t **ret_differ, struct error *err)
{
    CLEANUP(contents_done) struct contents contents = {0};
    AUTO_FREE struct stream *stream = calloc(1, sizeof(*stream));
    CLEANUP(reader_free) struct archive *raw = archive_read_new();
    CLEANUP(reader_free) struct archive *tar = archive_read_new();
    if (!raw || !tar || !stream)
        return error_errno(err, ENOMEM, "reading '%s'", path);
    AUTO_CLOSE int fd = open_input(path, err);
    int r = fd < 0 ? fd : open_stream(raw, tar, stream, fd, path, err);
    if (r == 0)
        r = read_all(tar, path, &contents, err);
    if (r == 0)
        r = check_end(tar, stream, path, err);
    if (r < 0)
        return r;
    if (!contents.has_manifest)
        return error_set(err, EBADMSG, "'%s' holds no " MANIFEST_FILE ", so nothing can be checked",
                         path);
    return manifest_compare(buffer_text(&contents.manifest), buffer_text(&contents.present),
                            ret_files, ret_differ, err);
}
