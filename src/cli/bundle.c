/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bundle.h"

#include "base/cleanup.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MODE 0644

struct bundle_writer {
    struct archive *archive;
};

static int archive_failed(struct archive *archive, const char *what, struct error *err)
{
    const char *text = archive_error_string(archive);
    int code = archive_errno(archive);
    return error_set(err, code > 0 ? code : EIO, "%s: %s", what, text ? text : "out of memory");
}

static la_ssize_t write_stream(struct archive *archive, void *data, const void *bytes,
                               size_t length)
{
    size_t written = fwrite(bytes, 1, length, data);
    if (written == length)
        return (la_ssize_t)length;
    archive_set_error(archive, errno ? errno : EIO, "%s", strerrordesc_np(errno ? errno : EIO));
    return -1;
}

void bundle_writer_free(struct bundle_writer *writer)
{
    if (!writer)
        return;
    archive_write_free(writer->archive);
    free(writer);
}

/* pax only where a name or a size needs it; else the plain ustar that every tar reads. */
int bundle_writer_new(FILE *out, struct bundle_writer **ret, struct error *err)
{
    struct bundle_writer *writer = calloc(1, sizeof(*writer));
    if (!writer || !(writer->archive = archive_write_new())) {
        free(writer);
        return error_errno(err, ENOMEM, "starting the archive");
    }
    struct archive *archive = writer->archive;
    if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(archive) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
        archive_write_open2(archive, out, NULL, write_stream, NULL, NULL) != ARCHIVE_OK) {
        int r = archive_failed(archive, "starting the archive", err);
        bundle_writer_free(writer);
        return r;
    }
    *ret = writer;
    return 0;
}

static int copy(struct archive *archive, const char *name, int fd, uint64_t bytes,
                struct error *err)
{
    char chunk[65536];
    while (bytes > 0) {
        size_t wanted = bytes < sizeof(chunk) ? (size_t)bytes : sizeof(chunk);
        ssize_t n = read(fd, chunk, wanted);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "reading '%s'", name);
        if (n == 0)
            return error_set(err, EIO, "'%s' became shorter while it was read", name);
        if (archive_write_data(archive, chunk, (size_t)n) != n)
            return archive_failed(archive, "writing the archive", err);
        bytes -= (uint64_t)n;
    }
    return 0;
}

static int add_header(struct bundle_writer *writer, const char *name, uint64_t bytes,
                      int64_t modified_s, struct error *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return error_errno(err, ENOMEM, "writing the archive");
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, FILE_MODE);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    archive_entry_set_mtime(entry, modified_s, 0);
    int r = archive_write_header(writer->archive, entry) == ARCHIVE_OK
                ? 0
                : archive_failed(writer->archive, "writing the archive", err);
    archive_entry_free(entry);
    return r;
}

int bundle_writer_add(struct bundle_writer *writer, const char *name, int fd, uint64_t bytes,
                      int64_t modified_s, struct error *err)
{
    int r = add_header(writer, name, bytes, modified_s, err);
    return r < 0 ? r : copy(writer->archive, name, fd, bytes, err);
}

int bundle_writer_add_text(struct bundle_writer *writer, const char *name, const char *text,
                           size_t length, int64_t modified_s, struct error *err)
{
    int r = add_header(writer, name, length, modified_s, err);
    if (r == 0 && length > 0 &&
        archive_write_data(writer->archive, text, length) != (la_ssize_t)length)
        r = archive_failed(writer->archive, "writing the archive", err);
    return r;
}

int bundle_writer_finish(struct bundle_writer *writer, struct error *err)
{
    return archive_write_close(writer->archive) == ARCHIVE_OK
               ? 0
               : archive_failed(writer->archive, "writing the archive", err);
}
