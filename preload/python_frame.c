/* SPDX-License-Identifier: Apache-2.0 */
/* What CPython keeps of a frame: the code that it runs, and where in it. The offsets are those of
 * the headers of each version (Include/cpython, Include/internal), which do not change within it
 * once it is released. */
#include "preload/python.h"

#include <string.h>

#define OWNED_BY_GENERATOR 1
#define OWNED_BY_CSTACK    3

#define OBJECT_REFERENCES 0
#define OBJECT_TYPE       8
#define VARIABLE_SIZE     16
#define BYTES_DATA        32
#define TEXT_LENGTH       16
#define TEXT_STATE        32

#define TEXT_MOST  4096       /* characters: longer is no name */
#define TABLE_MOST (1U << 20) /* bytes */
#define CODE_MOST  (1U << 24) /* bytes of instructions */
#define KNOWN      1024U      /* places in code; a power of two */

static const struct python_layout layouts[] = {
    {
        .minor = 9,
        .mark = PYTHON_MARK_CODE,
        .run = PYTHON_RUN_ONE,
        .lines = PYTHON_LINES_39,
        .instruction_bytes = 1,
        .thread_id = 176,
        .thread_frame = 24,
        .frame_code = 32,
        .frame_previous = 24,
        .frame_position = 104,
        .code_first_line = 40,
        .code_file = 104,
        .code_name = 112,
        .code_lines = 120,
        .text_ascii = 48,
        .text_other = 72,
        .arena_bytes = 1U << 18,
    },
    {
        .minor = 10,
        .mark = PYTHON_MARK_CFRAME,
        .run = PYTHON_RUN_ONE,
        .lines = PYTHON_LINES_310,
        .instruction_bytes = 2,
        .thread_id = 176,
        .thread_frame = 24,
        .thread_cframe = 48,
        .cframe_previous = 8,
        .frame_code = 32,
        .frame_previous = 24,
        .frame_position = 96,
        .code_first_line = 40,
        .code_file = 104,
        .code_name = 112,
        .code_lines = 120,
        .text_ascii = 48,
        .text_other = 72,
        .arena_bytes = 1U << 20,
    },
    {
        .minor = 11,
        .mark = PYTHON_MARK_CFRAME,
        .run = PYTHON_RUN_ENTRY,
        .lines = PYTHON_LINES_311,
        .thread_id = 152,
        .thread_cframe = 56,
        .cframe_frame = 8,
        .cframe_previous = 16,
        .frame_code = 32,
        .frame_previous = 48,
        .frame_position = 56,
        .frame_owner = 69,
        .frame_is_entry = 68,
        .code_first_line = 72,
        .code_file = 112,
        .code_name = 128,
        .code_lines = 136,
        .code_first_traceable = 168,
        .code_bytes = 184,
        .text_ascii = 48,
        .text_other = 72,
        .arena_bytes = 1U << 20,
    },
    {
        .minor = 12,
        .mark = PYTHON_MARK_CFRAME,
        .run = PYTHON_RUN_CSTACK,
        .lines = PYTHON_LINES_311,
        .thread_id = 136,
        .thread_cframe = 56,
        .cframe_frame = 0,
        .cframe_previous = 8,
        .frame_code = 0,
        .frame_previous = 8,
        .frame_position = 56,
        .frame_owner = 70,
        .code_first_line = 68,
        .code_file = 112,
        .code_name = 128,
        .code_lines = 136,
        .code_first_traceable = 176,
        .code_bytes = 192,
        .text_ascii = 40,
        .text_other = 56,
        .arena_bytes = 1U << 20,
    },
    {
        .minor = 13,
        .mark = PYTHON_MARK_CODE,
        .run = PYTHON_RUN_CSTACK,
        .lines = PYTHON_LINES_311,
        .thread_id = 152,
        .thread_frame = 72,
        .frame_code = 0,
        .frame_previous = 8,
        .frame_position = 56,
        .frame_owner = 70,
        .code_first_line = 68,
        .code_file = 112,
        .code_name = 128,
        .code_lines = 136,
        .code_first_traceable = 184,
        .code_bytes = 200,
        .text_ascii = 40,
        .text_other = 56,
        .arena_bytes = 1U << 20,
    },
};

/* --- versions ------------------------------------------------------------------------------------
 */

static const char *read_number(const char *text, uint32_t *ret)
{
    *ret = 0;
    while (*text >= '0' && *text <= '9' && *ret < 100)
        *ret = *ret * 10 + (uint32_t)(*text++ - '0');
    return text;
}

const struct python_layout *python_layout_find(const char *version, uint32_t *ret_hex)
{
    uint32_t major, minor, micro;
    const char *at = read_number(version, &major);
    at = read_number(*at == '.' ? at + 1 : "", &minor);
    at = read_number(*at == '.' ? at + 1 : "", &micro);
    *ret_hex = major << 24 | minor << 16 | micro << 8;
    /* "3.13.0rc1" is not released yet, "3.11.2+" is later than that. */
    if (major != 3 || (*at != ' ' && *at != '+') || strstr(version, "free-threading"))
        return NULL;
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (layouts[i].minor == minor)
            return &layouts[i];
    }
    return NULL;
}

/* --- memory --------------------------------------------------------------------------------------
 */

static int int_at(uintptr_t address)
{
    return *(const int *)address;
}

static uint8_t byte_at(uintptr_t address)
{
    return *(const uint8_t *)address;
}

/* It is one of that type and not about to go. */
static bool is_object(uintptr_t object, const void *type)
{
    return python_is_pointer(object) && python_word_at(object + OBJECT_TYPE) == (uintptr_t)type &&
           (intptr_t)python_word_at(object + OBJECT_REFERENCES) > 0;
}

static bool read_text(const struct python_layout *layout, const struct python_types *types,
                      uintptr_t object, struct python_text *ret)
{
    if (!is_object(object, types->text) || python_word_at(object + TEXT_LENGTH) > TEXT_MOST)
        return false;
    /* interned: 2 bits, kind: 3, compact: 1, ascii: 1 */
    unsigned state = (unsigned)int_at(object + TEXT_STATE);
    ret->ascii = state >> 6 & 1;
    ret->width = state >> 2 & 7;
    ret->length = python_word_at(object + TEXT_LENGTH);
    ret->data =
        (const unsigned char *)object + (ret->ascii ? layout->text_ascii : layout->text_other);
    return (state >> 5 & 1) && (ret->width == 1 || ret->width == 2 || ret->width == 4);
}

/* --- what was read before ------------------------------------------------------------------------
 */

/* Texts and tables are read once for each place in the code. A code object may be followed by
 * another at its address, so the key has what tells them apart, too. */
struct place {
    uintptr_t code;
    int64_t offset;
    int first_line;
    struct python_text file, name;
};
/* Two words that other threads may mix up: the first is the key xor the second. */
static struct {
    uint64_t check, frame;
} known[KNOWN];

/* Where it is, how long it is, and how it ends. */
static uint64_t mix_text(uint64_t hash, const struct python_text *text)
{
    uint64_t bytes = text->length * text->width, last = 0;
    memcpy(&last, text->data + (bytes >= 8 ? bytes - 8 : 0), bytes >= 8 ? 8 : bytes);
    return python_mix(python_mix(hash, (uintptr_t)text->data ^ bytes << 48), last);
}

static uint64_t key_of(const struct python_layout *layout, const struct place *place)
{
    uint64_t key = python_mix(place->code, python_word_at(place->code + layout->code_lines));
    key = python_mix(key, (uint64_t)place->first_line << 32 ^ (uint64_t)place->offset);
    return mix_text(mix_text(key, &place->file), &place->name);
}

static int find_line(const struct python_layout *layout, const struct python_types *types,
                     const struct place *place)
{
    uintptr_t lines = python_word_at(place->code + layout->code_lines);
    if (!is_object(lines, types->bytes) || python_word_at(lines + VARIABLE_SIZE) > TABLE_MOST)
        return 0;
    const struct python_table table = {
        .data = (const unsigned char *)lines + BYTES_DATA,
        .bytes = python_word_at(lines + VARIABLE_SIZE),
        .first_line = place->first_line,
    };
    return python_line_find((enum python_lines)layout->lines, &table, place->offset);
}

static uint64_t name_place(const struct python_layout *layout, const struct python_types *types,
                           const struct place *place)
{
    uint64_t key = key_of(layout, place);
    size_t index = key >> 20 & (KNOWN - 1);
    uint64_t frame = __atomic_load_n(&known[index].frame, __ATOMIC_RELAXED);
    if ((__atomic_load_n(&known[index].check, __ATOMIC_RELAXED) ^ frame) == key)
        return frame;
    uint32_t code = python_code_intern(&place->file, &place->name, place->first_line);
    frame = HEAP_FRAME_PYTHON(code, (uint32_t)find_line(layout, types, place));
    __atomic_store_n(&known[index].check, key ^ frame, __ATOMIC_RELAXED);
    __atomic_store_n(&known[index].frame, frame, __ATOMIC_RELAXED);
    return frame;
}

/* --- frames --------------------------------------------------------------------------------------
 */

uintptr_t python_frame_previous(const struct python_layout *layout, uintptr_t frame)
{
    return python_word_at(frame + layout->frame_previous);
}

bool python_frame_is_mark(const struct python_layout *layout, uintptr_t frame)
{
    return layout->run == PYTHON_RUN_CSTACK &&
           byte_at(frame + layout->frame_owner) == OWNED_BY_CSTACK;
}

bool python_frame_ends_run(const struct python_layout *layout, uintptr_t frame)
{
    return layout->run == PYTHON_RUN_ONE ||
           (layout->run == PYTHON_RUN_ENTRY && byte_at(frame + layout->frame_is_entry));
}

/* How far in its code the frame has come. False: it has not begun, and is nobody's yet. */
static bool find_offset(const struct python_layout *layout, uintptr_t frame, uintptr_t code,
                        int64_t *ret)
{
    if (layout->run == PYTHON_RUN_ONE) {
        *ret = (int64_t)int_at(frame + layout->frame_position) * layout->instruction_bytes;
        return true;
    }
    *ret = (int64_t)(python_word_at(frame + layout->frame_position) - (code + layout->code_bytes));
    int first = int_at(code + layout->code_first_traceable);
    return byte_at(frame + layout->frame_owner) == OWNED_BY_GENERATOR || *ret >= 2 * (int64_t)first;
}

bool python_frame_read(const struct python_layout *layout, const struct python_types *types,
                       uintptr_t frame, uint64_t *ret)
{
    struct place place = {.code = python_word_at(frame + layout->frame_code)};
    if (!is_object(place.code, types->code) ||
        !find_offset(layout, frame, place.code, &place.offset) || place.offset > CODE_MOST ||
        !read_text(layout, types, python_word_at(place.code + layout->code_file), &place.file) ||
        !read_text(layout, types, python_word_at(place.code + layout->code_name), &place.name))
        return false;
    place.first_line = int_at(place.code + layout->code_first_line);
    *ret = name_place(layout, types, &place);
    return true;
}
