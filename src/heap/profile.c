/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/profile.h"

#include "base/buffer.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* The map, and every stamp with every stack: more is no profile. */
#define FILE_MAX_BYTES (UINT64_C(256) << 20)
#define READ_BYTES     (1U << 20)

/* The address spaces of all its processes: no map holds more. */
#define BYTES_MOST ((double)HEAP_PROCESSES * (double)HEAP_SIZE_MOST)

void heap_profile_free(struct heap_profile *profile)
{
    if (!profile)
        return;
    for (size_t i = 0; profile->stamps && i < profile->stamp_count; i++)
        free(profile->stamps[i].entries);
    free(profile->stamps);
    free(profile->totals);
    free(profile->map);
    free(profile);
}

static void profile_cleanup(struct heap_profile **profile)
{
    heap_profile_free(*profile);
}

struct cursor {
    const unsigned char *at;
    size_t left;
};

static bool take(struct cursor *cursor, void *to, size_t bytes)
{
    if (cursor->left < bytes)
        return false;
    memcpy(to, cursor->at, bytes);
    cursor->at += bytes;
    cursor->left -= bytes;
    return true;
}

static int damaged(struct error *err, const char *what)
{
    return error_usage(err, "it is damaged or of another version: %s", what);
}

static int compare_stamped(const void *a, const void *b)
{
    uint32_t x = ((const struct heap_stamped *)a)->stack;
    uint32_t y = ((const struct heap_stamped *)b)->stack;
    return (x > y) - (x < y);
}

static int take_stamp(struct cursor *cursor, struct heap_profile_stamp *stamp, struct error *err)
{
    if (!take(cursor, &stamp->head, sizeof(stamp->head)) || stamp->head.stacks > HEAP_STAMPED_MAX ||
        cursor->left < stamp->head.stacks * sizeof(struct heap_stamped))
        return damaged(err, "a stamp is cut off");
    stamp->entries = calloc(stamp->head.stacks + 1, sizeof(*stamp->entries));
    if (!stamp->entries)
        return error_errno(err, ENOMEM, "reading stamps");
    for (uint32_t i = 0; i < stamp->head.stacks; i++) {
        struct heap_stamped *entry = &stamp->entries[i];
        take(cursor, entry, sizeof(*entry));
        if (entry->stack >= HEAP_STACKS || !(entry->bytes >= 0 && entry->bytes <= BYTES_MOST) ||
            !(entry->objects >= 0 && entry->objects <= BYTES_MOST))
            return damaged(err, "a stamp names what is not there");
    }
    qsort(stamp->entries, stamp->head.stacks, sizeof(*stamp->entries), compare_stamped);
    return 0;
}

static int take_stamps(struct cursor *cursor, uint32_t count, struct heap_profile *profile,
                       struct error *err)
{
    if (count > HEAP_STAMPS_MAX)
        return damaged(err, "too many stamps");
    profile->stamps = calloc(count + 1, sizeof(*profile->stamps));
    if (!profile->stamps)
        return error_errno(err, ENOMEM, "reading stamps");
    profile->stamp_count = count;
    for (uint32_t i = 0; i < count; i++) {
        int r = take_stamp(cursor, &profile->stamps[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_map(struct cursor *cursor, struct heap_profile *profile, struct error *err)
{
    profile->map = aligned_alloc(4096, sizeof(struct heap_map));
    profile->totals = calloc(1, sizeof(*profile->totals));
    if (!profile->map || !profile->totals)
        return error_errno(err, ENOMEM, "reading the profile");
    if (!take(cursor, profile->map, sizeof(struct heap_map)))
        return damaged(err, "it is cut off");
    const struct heap_header *header = &profile->map->header;
    if (header->magic != HEAP_MAGIC || header->version != HEAP_VERSION ||
        header->header_bytes != sizeof(struct heap_map) || header->rate_bytes > HEAP_SIZE_MOST)
        return damaged(err, "the map's header is another");
    for (uint32_t i = 0; i <= HEAP_MODULES; i++)
        profile->map->modules[i].path[HEAP_PATH_MAX - 1] = '\0';
    heap_totals_sum(profile->map, profile->map->processes, profile->totals);
    if (!(profile->totals->bytes <= BYTES_MOST))
        return damaged(err, "it holds more than there are addresses");
    return 0;
}

int heap_profile_parse(const void *data, size_t length, struct heap_profile **ret,
                       struct error *err)
{
    struct cursor cursor = {data, length};
    struct heap_saved_header header;
    if (!take(&cursor, &header, sizeof(header)) || header.magic != HEAP_SAVED_MAGIC ||
        header.map_bytes != sizeof(struct heap_map))
        return damaged(err, "its beginning is not that of a heap profile");
    CLEANUP(profile_cleanup) struct heap_profile *profile = calloc(1, sizeof(*profile));
    if (!profile)
        return error_errno(err, ENOMEM, "reading the profile");
    profile->kill_ns = header.at_ns;
    profile->kills = header.kills;
    int r = take_map(&cursor, profile, err);
    if (r == 0)
        r = take_stamps(&cursor, header.stamps, profile, err);
    if (r == 0)
        *ret = steal_ptr(&profile);
    return r;
}

static void gz_cleanup(gzFile *file)
{
    if (*file)
        gzclose(*file);
}

static int inflate_file(const char *path, struct buffer *out, struct error *err)
{
    CLEANUP(gz_cleanup) gzFile file = gzopen(path, "rbe");
    AUTO_FREE char *block = malloc(READ_BYTES);
    if (!file || !block)
        return error_errno(err, file || errno == 0 ? ENOMEM : errno, "opening it");
    int n;
    while ((n = gzread(file, block, READ_BYTES)) > 0) {
        if (out->length + (size_t)n > FILE_MAX_BYTES)
            return damaged(err, "it is too long");
        if (buffer_append(out, block, (size_t)n) < 0)
            return error_errno(err, ENOMEM, "reading it");
    }
    return n < 0 ? damaged(err, "it cannot be decompressed") : 0;
}

int heap_profile_read(const char *path, struct heap_profile **ret, struct error *err)
{
    AUTO_BUFFER data = {0};
    int r = inflate_file(path, &data, err);
    if (r == 0)
        r = heap_profile_parse(buffer_text(&data), data.length, ret, err);
    return r < 0 ? error_wrap(err, "the heap profile '%s'", path) : 0;
}

const uint64_t *heap_profile_frames(const struct heap_profile *profile, uint32_t stack,
                                    uint32_t *ret_depth)
{
    *ret_depth = 0;
    if (stack == 0 || stack >= HEAP_STACKS)
        return NULL;
    const struct heap_stack *entry = &profile->map->stacks[stack];
    if (entry->state != HEAP_STATE_COMPLETE || entry->depth > HEAP_STACK_DEPTH ||
        entry->first_frame > HEAP_FRAMES - entry->depth)
        return NULL;
    *ret_depth = entry->depth;
    return &profile->map->frames[entry->first_frame];
}

const struct heap_module *heap_profile_module(const struct heap_profile *profile, uint64_t frame)
{
    uint32_t index = HEAP_FRAME_MODULE(frame);
    if (index == 0 || index > HEAP_MODULES ||
        profile->map->modules[index].state != HEAP_STATE_COMPLETE)
        return NULL;
    return &profile->map->modules[index];
}

/* The two texts of a code object, if both end within the texts. */
static bool find_texts(const struct heap_map *map, uint32_t index, struct heap_python_frame *ret)
{
    const struct heap_code *code = index > 0 && index < HEAP_CODES ? &map->codes[index] : NULL;
    if (!code || code->state != HEAP_STATE_COMPLETE)
        return false;
    uint64_t name = (uint64_t)code->text + code->file_bytes + 1;
    uint64_t end = name + code->name_bytes;
    if (end >= HEAP_TEXT_BYTES || map->texts[name - 1] != '\0' || map->texts[end] != '\0')
        return false;
    ret->file = &map->texts[code->text];
    ret->function = &map->texts[name];
    return true;
}

bool heap_profile_python(const struct heap_profile *profile, uint64_t frame,
                         struct heap_python_frame *ret)
{
    *ret = (struct heap_python_frame){0};
    if (HEAP_FRAME_MODULE(frame) != HEAP_MODULE_PYTHON)
        return false;
    uint32_t index = HEAP_FRAME_CODE(frame);
    ret->arena = index == HEAP_CODE_ARENA;
    if (find_texts(profile->map, index, ret))
        ret->line = (int)HEAP_FRAME_LINE(frame);
    return true;
}

static const struct heap_stamped *find_stamped(const struct heap_profile_stamp *stamp,
                                               uint32_t stack)
{
    static const struct heap_stamped nothing;
    const struct heap_stamped key = {.stack = stack};
    const struct heap_stamped *found =
        bsearch(&key, stamp->entries, stamp->head.stacks, sizeof(*stamp->entries), compare_stamped);
    return found ? found : &nothing;
}

double heap_profile_stamped_bytes(const struct heap_profile_stamp *stamp, uint32_t stack)
{
    return find_stamped(stamp, stack)->bytes;
}

double heap_profile_stamped_objects(const struct heap_profile_stamp *stamp, uint32_t stack)
{
    return find_stamped(stamp, stack)->objects;
}
