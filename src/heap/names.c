/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/names.h"

#include "base/cleanup.h"
#include "base/utf8.h"
#include "heap/json.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Of a module: no profile has more. */
#define ADDRESSES_MAX HEAP_FRAMES

/* The frames of an address: some in a row of the module's. */
struct named {
    uint64_t address;
    size_t first, count;
};

struct named_module {
    struct named_module *next;
    struct heap_module identity; /* build-id, path and size alone */
    struct named *addresses;     /* ascending */
    size_t address_count;
    struct heap_frame *frames; /* their texts are owned */
    size_t frame_count;
};

struct heap_names {
    struct named_module *modules;
};

static void free_module(struct named_module *module)
{
    for (size_t i = 0; module->frames && i < module->frame_count; i++) {
        free((char *)module->frames[i].function);
        free((char *)module->frames[i].file);
    }
    free(module->frames);
    free(module->addresses);
    free(module);
}

void heap_names_free(struct heap_names *names)
{
    while (names && names->modules) {
        struct named_module *module = names->modules;
        names->modules = module->next;
        free_module(module);
    }
    free(names);
}

/* --- which module ---------------------------------------------------------------------------- */

static bool has_build_id(const struct heap_module *module)
{
    return module->build_id_bytes > 0 && module->build_id_bytes <= HEAP_BUILD_ID_MAX;
}

/* A build-id tells a program wherever it lies; without one, path and size must do. */
static bool is_same(const struct heap_module *a, const struct heap_module *b)
{
    if (has_build_id(a) || has_build_id(b))
        return a->build_id_bytes == b->build_id_bytes &&
               memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0;
    return a->path[0] == '/' && strcmp(a->path, b->path) == 0 &&
           a->end - a->start == b->end - b->start;
}

static void write_build_id(const struct heap_module *module,
                           char text[static 2 * HEAP_BUILD_ID_MAX + 1])
{
    text[0] = '\0';
    for (uint32_t i = 0; has_build_id(module) && i < module->build_id_bytes; i++)
        snprintf(text + 2 * (size_t)i, 3, "%02x", module->build_id[i]);
}

static bool read_build_id(const char *text, struct heap_module *ret)
{
    size_t length = strlen(text);
    if (length % 2 != 0 || length > 2 * (size_t)HEAP_BUILD_ID_MAX ||
        strspn(text, "0123456789abcdef") < length)
        return false;
    for (size_t i = 0; i < length; i += 2) {
        const char digits[] = {text[i], text[i + 1], '\0'};
        ret->build_id[i / 2] = (uint8_t)strtoul(digits, NULL, 16);
    }
    ret->build_id_bytes = (uint32_t)(length / 2);
    return true;
}

/* --- reading --------------------------------------------------------------------------------- */

static bool is_text_or_null(const json_t *value)
{
    return json_is_null(value) || (json_is_string(value) && json_string_length(value) > 0);
}

/* A text as it was before it was made UTF-8; NULL stays NULL. */
static bool take_text(const json_t *value, const char **ret)
{
    if (!json_is_string(value))
        return true;
    char *text = strdup(json_string_value(value));
    if (text)
        utf8_unescape(text);
    *ret = text;
    return text;
}

/* [function, file, line, inlined] */
static bool is_frame(const json_t *frame)
{
    json_int_t line = json_integer_value(json_array_get(frame, 2));
    return json_array_size(frame) == 4 && is_text_or_null(json_array_get(frame, 0)) &&
           is_text_or_null(json_array_get(frame, 1)) && json_is_integer(json_array_get(frame, 2)) &&
           line >= 0 && line <= INT_MAX && json_is_boolean(json_array_get(frame, 3));
}

static bool take_frame(const json_t *frame, struct named_module *module)
{
    struct heap_frame *to = &module->frames[module->frame_count++];
    to->line = (int)json_integer_value(json_array_get(frame, 2));
    to->inlined = json_is_true(json_array_get(frame, 3));
    return take_text(json_array_get(frame, 0), &to->function) &&
           take_text(json_array_get(frame, 1), &to->file);
}

/* [address, frame, frame, ...]; how many frames, 0: it is none. */
static size_t count_frames(const json_t *entry)
{
    const json_t *address = json_array_get(entry, 0);
    size_t count = json_array_size(entry);
    if (count < 2 || count - 1 > HEAP_INLINED_MAX || !json_is_integer(address) ||
        json_integer_value(address) < 0)
        return 0;
    for (size_t i = 1; i < count; i++) {
        if (!is_frame(json_array_get(entry, i)))
            return 0;
    }
    return count - 1;
}

static int compare_named(const void *a, const void *b)
{
    uint64_t x = ((const struct named *)a)->address, y = ((const struct named *)b)->address;
    return (x > y) - (x < y);
}

/* 0, -ENOMEM, or 1: it is no list of names. */
static int take_names(const json_t *list, struct named_module *module)
{
    size_t frames = 0, addresses = json_array_size(list);
    if (addresses == 0 || addresses > ADDRESSES_MAX)
        return 1;
    for (size_t i = 0; i < addresses; i++) {
        size_t count = count_frames(json_array_get(list, i));
        if (count == 0)
            return 1;
        frames += count;
    }
    module->addresses = calloc(addresses, sizeof(*module->addresses));
    module->frames = calloc(frames, sizeof(*module->frames));
    if (!module->addresses || !module->frames)
        return -ENOMEM;
    for (size_t i = 0; i < addresses; i++) {
        const json_t *entry = json_array_get(list, i);
        size_t first = module->frame_count;
        for (size_t k = 1; k < json_array_size(entry); k++) {
            if (!take_frame(json_array_get(entry, k), module))
                return -ENOMEM;
        }
        module->addresses[module->address_count++] = (struct named){
            .address = (uint64_t)json_integer_value(json_array_get(entry, 0)),
            .first = first,
            .count = module->frame_count - first,
        };
    }
    qsort(module->addresses, addresses, sizeof(*module->addresses), compare_named);
    return 0;
}

static bool take_identity(const char *build_id, const char *path, int64_t bytes,
                          struct heap_module *ret)
{
    char plain[UTF8_ESCAPED_MAX(HEAP_PATH_MAX)];
    if (bytes < 0 || !read_build_id(build_id, ret))
        return false;
    snprintf(plain, sizeof(plain), "%s", path);
    utf8_unescape(plain);
    if (strlen(plain) >= sizeof(ret->path))
        return false;
    memcpy(ret->path, plain, strlen(plain) + 1);
    ret->end = (uint64_t)bytes;
    return true;
}

int heap_names_add(struct heap_names *names, const char *build_id, const char *path, int64_t bytes,
                   const char *text)
{
    struct named_module *module = calloc(1, sizeof(*module));
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    bool known =
        module && build_id && path && take_identity(build_id, path, bytes, &module->identity);
    int r = !module ? -ENOMEM : known ? take_names(list, module) : 1;
    json_decref(list);
    if (r == 0) {
        module->next = names->modules;
        names->modules = module;
    } else if (module) {
        free_module(module);
    }
    return r;
}

static int take_row(sqlite3_stmt *row, struct heap_names *names, bool *damaged)
{
    int r = heap_names_add(names, (const char *)sqlite3_column_text(row, 0),
                           (const char *)sqlite3_column_text(row, 1), sqlite3_column_int64(row, 2),
                           (const char *)sqlite3_column_text(row, 3));
    *damaged |= r == 1;
    return r < 0 ? r : 0;
}

static void names_cleanup(struct heap_names **names)
{
    heap_names_free(*names);
}

struct heap_names *heap_names_new(void)
{
    return calloc(1, sizeof(struct heap_names));
}

int heap_names_load(struct store *store, struct heap_names **ret, bool *ret_damaged,
                    struct error *err)
{
    CLEANUP(names_cleanup) struct heap_names *names = heap_names_new();
    sqlite3_stmt *row = NULL;
    struct error ignored;
    int step = SQLITE_ERROR, r = names ? 0 : -ENOMEM;
    *ret_damaged = false;
    if (r == 0 && store_prepare(store, "SELECT build_id, path, bytes, names FROM heap_names", &row,
                                &ignored) == 0) {
        while (r == 0 && (step = sqlite3_step(row)) == SQLITE_ROW)
            r = take_row(row, names, ret_damaged);
    }
    sqlite3_finalize(row);
    if (r < 0)
        return error_errno(err, -r, "reading the names");
    *ret_damaged |= step != SQLITE_DONE;
    *ret = steal_ptr(&names);
    return 0;
}

const struct heap_frame *heap_names_find(const struct heap_names *names,
                                         const struct heap_module *module, uint64_t address,
                                         size_t *ret_count)
{
    const struct named key = {.address = address};
    for (const struct named_module *at = names ? names->modules : NULL; at; at = at->next) {
        const struct named *found =
            is_same(&at->identity, module)
                ? bsearch(&key, at->addresses, at->address_count, sizeof(key), compare_named)
                : NULL;
        if (found) {
            *ret_count = found->count;
            return &at->frames[found->first];
        }
    }
    return NULL;
}

/* --- writing --------------------------------------------------------------------------------- */

/* Addresses whose names are to be kept, as frames of the profile. */
struct wanted {
    uint64_t *frames;
    size_t count, capacity;
    uint32_t
        same[HEAP_MODULES + 1]; /* the first module that is the same: each process has its own */
};

static void find_same(const struct heap_view *view, struct wanted *wanted)
{
    for (uint32_t i = 1; i <= HEAP_MODULES; i++) {
        const struct heap_module *module = heap_profile_module(view->profile, HEAP_FRAME(i, 0));
        wanted->same[i] = i;
        for (uint32_t k = 1; module && k < i && wanted->same[i] == i; k++) {
            const struct heap_module *other = heap_profile_module(view->profile, HEAP_FRAME(k, 0));
            if (other && is_same(module, other))
                wanted->same[i] = k;
        }
    }
}

static int add_stack(const struct heap_view *view, uint32_t stack, struct wanted *wanted)
{
    uint32_t depth;
    const uint64_t *frames = heap_profile_frames(view->profile, stack, &depth);
    if (wanted->count + depth > wanted->capacity) {
        size_t capacity = 2 * (wanted->count + depth);
        uint64_t *grown = realloc(wanted->frames, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        wanted->frames = grown;
        wanted->capacity = capacity;
    }
    for (uint32_t i = 0; i < depth; i++) {
        const struct heap_module *module = heap_profile_module(view->profile, frames[i]);
        uint64_t address = HEAP_FRAME_ADDRESS(frames[i]);
        size_t ignored;
        if (module && !heap_names_find(view->names, module, address, &ignored))
            wanted->frames[wanted->count++] =
                HEAP_FRAME(wanted->same[HEAP_FRAME_MODULE(frames[i])], address);
    }
    return 0;
}

static int compare_frames(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void add_names(const struct heap_view *view, const struct heap_module *module,
                      uint64_t address, json_t *list)
{
    size_t count;
    bool named = false;
    const struct heap_frame *frames = heap_symbols_resolve(view->symbols, module, address, &count);
    json_t *entry = json_pack("[I]", (json_int_t)address);
    for (size_t i = 0; i < count && i < HEAP_INLINED_MAX; i++) {
        named |= frames[i].function || frames[i].file;
        json_array_append_new(entry, json_pack("[o, o, i, b]", heap_text_json(frames[i].function),
                                               heap_text_json(frames[i].file),
                                               frames[i].line > 0 ? frames[i].line : 0,
                                               frames[i].inlined));
    }
    if (named)
        json_array_append_new(list, entry);
    else
        json_decref(entry);
}

static int keep_module(struct store *store, const struct heap_module *module, const json_t *list,
                       struct error *err)
{
    char build_id[2 * HEAP_BUILD_ID_MAX + 1], path[UTF8_ESCAPED_MAX(HEAP_PATH_MAX)];
    AUTO_FREE char *names = json_dumps(list, JSON_COMPACT);
    if (!names)
        return error_errno(err, ENOMEM, "keeping the names");
    write_build_id(module, build_id);
    utf8_escape(module->path, false, path, sizeof(path));
    const struct store_value values[] = {
        STORE_STR("build_id", build_id),
        STORE_STR("path", path),
        STORE_INT("bytes", module->end - module->start),
        STORE_STR("names", names),
        STORE_END,
    };
    return store_insert(store, "heap_names", values, NULL, err);
}

/* The frames are sorted: those of a module are together. */
static int keep_wanted(struct store *store, const struct heap_view *view,
                       const struct wanted *wanted, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < wanted->count && r == 0;) {
        uint32_t index = HEAP_FRAME_MODULE(wanted->frames[i]);
        const struct heap_module *module = heap_profile_module(view->profile, wanted->frames[i]);
        json_t *list = json_array();
        for (; i < wanted->count && HEAP_FRAME_MODULE(wanted->frames[i]) == index; i++) {
            if (i == 0 || wanted->frames[i] != wanted->frames[i - 1])
                add_names(view, module, HEAP_FRAME_ADDRESS(wanted->frames[i]), list);
        }
        if (json_array_size(list) > 0)
            r = keep_module(store, module, list, err);
        json_decref(list);
    }
    return r;
}

int heap_names_keep(struct store *store, const struct heap_view *view, struct error *err)
{
    struct wanted wanted = {.count = 0};
    int r = 0;
    find_same(view, &wanted);
    for (size_t i = 0; i < view->row_count && r == 0; i++)
        r = add_stack(view, view->rows[i].stack, &wanted);
    if (r < 0)
        error_errno(err, ENOMEM, "keeping the names");
    if (r == 0 && wanted.count > 0)
        qsort(wanted.frames, wanted.count, sizeof(*wanted.frames), compare_frames);
    if (r == 0)
        r = keep_wanted(store, view, &wanted, err);
    free(wanted.frames);
    return r;
}
