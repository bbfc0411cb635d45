/* SPDX-License-Identifier: Apache-2.0 */
/* Code objects of Python, each stored once with the texts that name it: they go with the process.
 * Found by what they say and not by where they are, because another one takes the place of one that
 * is gone. Published as stacks are. */
#include "preload/python.h"

#include <string.h>

#define PROBES 64U

#define LOAD(object)         __atomic_load_n(object, __ATOMIC_ACQUIRE)
#define STORE(object, value) __atomic_store_n(object, value, __ATOMIC_RELEASE)

static uint64_t hash_text(uint64_t hash, const struct python_text *text)
{
    size_t left = text->length * text->width;
    const unsigned char *at = text->data;
    hash = python_mix(hash, left << 3 | text->width);
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        hash = python_mix(hash, word);
    }
    uint64_t word = 0;
    memcpy(&word, at, left);
    return python_mix(hash, word);
}

static uint32_t character(const struct python_text *text, size_t index)
{
    const unsigned char *at = text->data + index * text->width;
    uint32_t value = 0;
    memcpy(&value, at, text->width);
    bool valid = value != 0 && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
    return valid ? value : '?';
}

/* UTF-8; returns how many bytes. */
static size_t encode(uint32_t c, char to[static 4])
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    size_t bytes = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = bytes; i-- > 1; c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(c | (bytes == 2 ? 0xc0 : bytes == 3 ? 0xe0 : 0xf0));
    return bytes;
}

/* As many whole characters from `from` on as there is room for. */
static size_t copy_text(const struct python_text *text, size_t from, char *to, size_t room)
{
    size_t used = 0;
    for (size_t i = from; i < text->length; i++) {
        char bytes[4];
        size_t more = encode(character(text, i), bytes);
        if (used + more > room)
            break;
        memcpy(to + used, bytes, more);
        used += more;
    }
    return used;
}

/* Of a long path the end says more than the beginning. */
static size_t file_begin(const struct python_text *file)
{
    size_t widest = file->ascii ? 1 : file->width == 1 ? 2 : file->width == 2 ? 3 : 4;
    size_t most = HEAP_CODE_FILE_MAX / widest;
    return file->length > most ? file->length - most : 0;
}

/* Room in the texts; HEAP_TEXT_BYTES where there is none. */
static uint32_t take_room(uint32_t bytes)
{
    uint32_t at = __atomic_load_n(&map->header.texts_used, __ATOMIC_RELAXED);
    if (at + bytes <= HEAP_TEXT_BYTES) /* do not let the counter run round */
        at = __atomic_fetch_add(&map->header.texts_used, bytes, __ATOMIC_RELAXED);
    return at + bytes <= HEAP_TEXT_BYTES ? at : HEAP_TEXT_BYTES;
}

/* The claimed place is ours alone: texts first, its state last. */
static void publish(struct heap_code *code, const struct python_text *file,
                    const struct python_text *name, int first_line)
{
    char text[HEAP_CODE_FILE_MAX + HEAP_CODE_NAME_MAX + 2];
    size_t file_bytes = copy_text(file, file_begin(file), text, HEAP_CODE_FILE_MAX);
    text[file_bytes] = '\0';
    char *second = text + file_bytes + 1;
    size_t name_bytes = copy_text(name, 0, second, HEAP_CODE_NAME_MAX);
    second[name_bytes] = '\0';
    uint32_t bytes = (uint32_t)(file_bytes + name_bytes + 2);
    uint32_t at = take_room(bytes);
    if (at == HEAP_TEXT_BYTES) {
        __atomic_fetch_add(&map->header.lost_codes, 1, __ATOMIC_RELAXED);
        return; /* it stays claimed and without a name */
    }
    memcpy(&map->texts[at], text, bytes);
    code->text = at;
    code->first_line = first_line;
    code->file_bytes = (uint16_t)file_bytes;
    code->name_bytes = (uint8_t)name_bytes;
    STORE(&code->state, HEAP_STATE_COMPLETE);
}

uint32_t python_code_intern(const struct python_text *file, const struct python_text *name,
                            int first_line)
{
    uint64_t hash = hash_text(hash_text(python_mix(1, (uint64_t)first_line), file), name) | 1;
    uint32_t index = (uint32_t)(hash >> 32) & (HEAP_CODES - 1);
    for (unsigned i = 0; i < PROBES; i++, index = (index + 1) & (HEAP_CODES - 1)) {
        if (index == 0)
            continue; /* 0 stands for a lost one */
        uint64_t *at = &map->codes[index].hash;
        uint64_t found = LOAD(at);
        if (found == 0 && __atomic_compare_exchange_n(at, &found, hash, false, __ATOMIC_ACQ_REL,
                                                      __ATOMIC_ACQUIRE)) {
            publish(&map->codes[index], file, name, first_line);
            return index;
        }
        if (found == hash)
            return index;
    }
    __atomic_fetch_add(&map->header.lost_codes, 1, __ATOMIC_RELAXED);
    return 0;
}
