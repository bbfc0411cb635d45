/* SPDX-License-Identifier: Apache-2.0 */
#include "image/stream.h"

#include <archive.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK     65536
#define TAR_BLOCK UINT64_C(512)
#define TAR_END   (2 * TAR_BLOCK)

struct image_stream {
    struct image_blob *blob;
    struct archive *filter; /* NULL: not compressed */
    struct error blob_error;
    struct sha256_ctx hash;
    uint64_t bytes;
    size_t zeros_left;
    bool ended;
    unsigned char chunk[CHUNK];
};

static la_ssize_t read_blob(struct archive *archive, void *context, const void **ret)
{
    struct image_stream *stream = context;
    ssize_t n =
        image_blob_read(stream->blob, stream->chunk, sizeof(stream->chunk), &stream->blob_error);
    *ret = stream->chunk;
    if (n < 0)
        archive_set_error(archive, EIO, "%s", stream->blob_error.text);
    return n < 0 ? ARCHIVE_FATAL : n;
}

static int filter_failed(const struct image_stream *stream, struct error *err)
{
    if (stream->blob_error.code < 0) {
        *err = stream->blob_error;
        return err->code;
    }
    const char *text = archive_error_string(stream->filter);
    return error_usage(err, "the layer cannot be decompressed: %s", text ? text : "it is damaged");
}

static int open_filter(struct image_stream *stream, enum image_compression compression,
                       struct error *err)
{
    struct archive_entry *entry = NULL;
    stream->filter = archive_read_new();
    if (!stream->filter)
        return error_errno(err, ENOMEM, "decompressing a layer");
    if (compression == IMAGE_GZIP)
        archive_read_support_filter_gzip(stream->filter);
    else
        archive_read_support_filter_zstd(stream->filter);
    archive_read_support_format_raw(stream->filter);
    archive_read_support_format_empty(stream->filter);
    if (archive_read_open(stream->filter, stream, NULL, read_blob, NULL) != ARCHIVE_OK)
        return filter_failed(stream, err);
    int found = archive_read_next_header(stream->filter, &entry);
    if (found == ARCHIVE_EOF)
        stream->ended = true;
    else if (found < ARCHIVE_WARN)
        return filter_failed(stream, err);
    return 0;
}

int image_stream_open(struct image_blob *blob, enum image_compression compression,
                      struct image_stream **ret, struct error *err)
{
    struct image_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return error_errno(err, ENOMEM, "reading a layer");
    stream->blob = blob;
    sha256_init(&stream->hash);
    int r = compression == IMAGE_PLAIN ? 0 : open_filter(stream, compression, err);
    if (r < 0) {
        image_stream_free(stream);
        return r;
    }
    *ret = stream;
    return 0;
}

static ssize_t read_layer(struct image_stream *stream, void *bytes, size_t size, struct error *err)
{
    if (stream->ended)
        return 0;
    if (!stream->filter)
        return image_blob_read(stream->blob, bytes, size, err);
    la_ssize_t n = archive_read_data(stream->filter, bytes, size);
    return n < 0 ? filter_failed(stream, err) : n;
}

static ssize_t give_zeros(struct image_stream *stream, void *bytes, size_t size)
{
    size_t given = size < stream->zeros_left ? size : stream->zeros_left;
    memset(bytes, 0, given);
    stream->zeros_left -= given;
    return (ssize_t)given;
}

ssize_t image_stream_read(struct image_stream *stream, void *bytes, size_t size, struct error *err)
{
    if (stream->zeros_left > 0)
        return give_zeros(stream, bytes, size);
    ssize_t n = read_layer(stream, bytes, size, err);
    if (n < 0)
        return n;
    if (n == 0 && !stream->ended && stream->bytes > 0) {
        stream->ended = true;
        stream->zeros_left =
            (size_t)(TAR_END + (TAR_BLOCK - stream->bytes % TAR_BLOCK) % TAR_BLOCK);
        return give_zeros(stream, bytes, size);
    }
    stream->ended |= n == 0;
    stream->bytes += (uint64_t)n;
    sha256_update(&stream->hash, (size_t)n, bytes);
    return n;
}

int image_stream_finish(struct image_stream *stream, const char *diff_id, struct error *err)
{
    char digest[IMAGE_DIGEST_MAX];
    int r = image_blob_finish(stream->blob, err);
    if (r < 0)
        return r;
    image_digest_of(&stream->hash, digest);
    if (strcmp(digest, diff_id) != 0)
        return error_usage(err,
                           "the layer is not the one that the image's configuration names: its "
                           "content's digest is '%s', and should be '%s'",
                           digest, diff_id);
    return 0;
}

void image_stream_free(struct image_stream *stream)
{
    if (!stream)
        return;
    if (stream->filter)
        archive_read_free(stream->filter);
    free(stream);
}
