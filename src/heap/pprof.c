/* SPDX-License-Identifier: Apache-2.0 */
/* profile.proto (github.com/google/pprof), written by hand: seven messages of varints and strings.
 * Each row is a sample; each named frame a location of its own, and inlined functions are lines of
 * the location they are inlined into. */
#include "base/cleanup.h"
#include "base/file.h"
#include "heap/fold.h"

#include <errno.h>
#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE = 2, PROFILE_LOCATION = 4, PROFILE_FUNCTION = 5 };
enum { PROFILE_STRING = 6, PROFILE_TIME = 9, PROFILE_PERIOD_TYPE = 11, PROFILE_PERIOD = 12 };
enum { PROFILE_DEFAULT_TYPE = 14 };

#define NAME_BYTES 512

struct numbered_text {
    char *key;
    uint64_t id;
};

/* Texts and what they are numbered. */
struct numbered {
    void *tree;
    uint64_t count;
};

struct writer {
    struct buffer out;
    struct numbered strings, functions, locations;
    bool failed;
    struct buffer location_ids; /* of the sample at hand, packed */
    struct buffer lines;        /* of the location at hand */
    struct buffer key;
};

static void put_varint(struct buffer *out, uint64_t value)
{
    unsigned char bytes[10];
    size_t used = 0;
    do {
        bytes[used] = (unsigned char)(value & 0x7f);
        value >>= 7;
        bytes[used++] |= (unsigned char)(value ? 0x80 : 0);
    } while (value);
    buffer_append(out, bytes, used);
}

static void put_number(struct buffer *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_bytes(struct buffer *out, unsigned field, const void *data, size_t length)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, length);
    buffer_append(out, data, length);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct numbered_text *)a)->key, ((const struct numbered_text *)b)->key);
}

/* The number of a text, from 1; `*ret_new`: it is new. 0: no memory. */
static uint64_t number_of(struct numbered *numbered, const char *key, bool *ret_new)
{
    const struct numbered_text wanted = {.key = (char *)(uintptr_t)key};
    struct numbered_text **found = tfind(&wanted, &numbered->tree, compare_entries);
    *ret_new = !found;
    if (found)
        return (*found)->id;
    struct numbered_text *entry = malloc(sizeof(*entry));
    char *copy = strdup(key);
    if (entry && copy) {
        *entry = (struct numbered_text){.key = copy, .id = numbered->count + 1};
        if (tsearch(entry, &numbered->tree, compare_entries))
            return ++numbered->count;
    }
    free(entry);
    free(copy);
    return 0;
}

static void free_entry(void *entry)
{
    free(((struct numbered_text *)entry)->key);
    free(entry);
}

/* Index into the string table, whose first string is "". */
static uint64_t put_string(struct writer *writer, const char *text)
{
    bool is_new;
    uint64_t id = number_of(&writer->strings, text, &is_new);
    writer->failed |= id == 0;
    if (is_new)
        put_bytes(&writer->out, PROFILE_STRING, text, strlen(text));
    return id ? id - 1 : 0;
}

static uint64_t put_function(struct writer *writer, const char *name, const char *file)
{
    AUTO_BUFFER key = {0};
    AUTO_BUFFER function = {0};
    bool is_new;
    buffer_printf(&key, "%s\n%s", name, file);
    uint64_t id = number_of(&writer->functions, buffer_text(&key), &is_new);
    writer->failed |= id == 0;
    if (is_new) {
        put_number(&function, 1, id);
        put_number(&function, 2, put_string(writer, name));
        put_number(&function, 4, put_string(writer, file));
        put_bytes(&writer->out, PROFILE_FUNCTION, function.data, function.length);
    }
    return id;
}

static void end_location(struct writer *writer)
{
    AUTO_BUFFER location = {0};
    bool is_new;
    uint64_t id = number_of(&writer->locations, buffer_text(&writer->key), &is_new);
    writer->failed |= id == 0 || writer->lines.failed || writer->key.failed;
    if (is_new) {
        put_number(&location, 1, id);
        buffer_append(&location, buffer_text(&writer->lines), writer->lines.length);
        put_bytes(&writer->out, PROFILE_LOCATION, location.data, location.length);
    }
    put_varint(&writer->location_ids, id);
    buffer_done(&writer->lines);
    buffer_done(&writer->key);
}

static void add_frame(void *context, const struct heap_frame *frame)
{
    struct writer *writer = context;
    AUTO_BUFFER line = {0};
    char name[NAME_BYTES];
    heap_frame_name(frame, name, sizeof(name));
    put_number(&line, 1, put_function(writer, name, frame->file ? frame->file : ""));
    put_number(&line, 2, (uint64_t)frame->line);
    put_bytes(&writer->lines, 4, line.data, line.length);
    buffer_printf(&writer->key, "%s\n%s\n%d\n", name, frame->file ? frame->file : "", frame->line);
    if (!frame->inlined)
        end_location(writer);
}

static void put_type(struct writer *writer, unsigned field, const char *type, const char *unit)
{
    AUTO_BUFFER value = {0};
    put_number(&value, 1, put_string(writer, type));
    put_number(&value, 2, put_string(writer, unit));
    put_bytes(&writer->out, field, value.data, value.length);
}

static void put_row(struct writer *writer, const struct heap_view *view, const struct heap_row *row)
{
    AUTO_BUFFER sample = {0};
    AUTO_BUFFER values = {0};
    heap_view_frames(view, row->stack, add_frame, writer);
    put_varint(&values, (uint64_t)llround(fmax(row->objects, 0)));
    put_varint(&values, (uint64_t)llround(fmax(row->bytes, 0)));
    put_bytes(&sample, 1, buffer_text(&writer->location_ids), writer->location_ids.length);
    put_bytes(&sample, 2, values.data, values.length);
    put_bytes(&writer->out, PROFILE_SAMPLE, sample.data, sample.length);
    buffer_done(&writer->location_ids);
}

static void put_profile(struct writer *writer, const struct heap_view *view, int64_t time_ns)
{
    put_string(writer, "");
    put_type(writer, PROFILE_SAMPLE_TYPE, "inuse_objects", "count");
    put_type(writer, PROFILE_SAMPLE_TYPE, "inuse_space", "bytes");
    for (size_t i = 0; i < view->row_count; i++)
        put_row(writer, view, &view->rows[i]);
    put_number(&writer->out, PROFILE_TIME, (uint64_t)time_ns);
    put_type(writer, PROFILE_PERIOD_TYPE, "space", "bytes");
    put_number(&writer->out, PROFILE_PERIOD, view->profile->map->header.rate_bytes);
    put_number(&writer->out, PROFILE_DEFAULT_TYPE, put_string(writer, "inuse_space"));
}

/* As gzip(1) would: 15 bits of window, 16 for gzip's own header. */
static int compress_gzip(const struct buffer *from, struct buffer *out, struct error *err)
{
    z_stream stream = {.next_in = (unsigned char *)from->data, .avail_in = (uInt)from->length};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return error_errno(err, ENOMEM, "compressing the pprof profile");
    unsigned char block[16384];
    int r;
    do {
        stream.next_out = block;
        stream.avail_out = sizeof(block);
        r = deflate(&stream, Z_FINISH);
        buffer_append(out, block, sizeof(block) - stream.avail_out);
    } while (r == Z_OK);
    deflateEnd(&stream);
    return r == Z_STREAM_END && !out->failed
               ? 0
               : error_errno(err, ENOMEM, "compressing the pprof profile");
}

int heap_pprof_write(const struct heap_view *view, int64_t time_ns, const char *path,
                     struct error *err)
{
    struct writer writer = {.failed = false};
    put_profile(&writer, view, time_ns);
    int r = 0;
    if (writer.failed || writer.out.failed) {
        r = error_errno(err, ENOMEM, "making the pprof profile");
    } else {
        AUTO_BUFFER compressed = {0};
        r = compress_gzip(&writer.out, &compressed, err);
        if (r == 0)
            r = file_write_output(path, compressed.data, compressed.length, err);
    }
    buffer_done(&writer.out);
    buffer_done(&writer.location_ids);
    buffer_done(&writer.lines);
    buffer_done(&writer.key);
    tdestroy(writer.strings.tree, free_entry);
    tdestroy(writer.functions.tree, free_entry);
    tdestroy(writer.locations.tree, free_entry);
    return r;
}
