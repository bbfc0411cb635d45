/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a heap profile in which bytes are changed. The whole file has 11 MiB, so the input
 * is a list of changes: four bytes of offset, one of length, then the bytes; what stands after a
 * length of 0 are the stamps. */
#include "heap/profile.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WHOLE_BYTES (sizeof(struct heap_saved_header) + sizeof(struct heap_map))

static void make_plain(unsigned char *file)
{
    const struct heap_saved_header saved = {
        .magic = HEAP_SAVED_MAGIC, .map_bytes = sizeof(struct heap_map), .stamps = 1};
    const struct heap_header header = {
        .magic = HEAP_MAGIC, .version = HEAP_VERSION, .header_bytes = sizeof(struct heap_map)};
    memset(file, 0, WHOLE_BYTES);
    memcpy(file, &saved, sizeof(saved));
    memcpy(file + sizeof(saved), &header, sizeof(header));
}

static void look_at(const struct heap_profile *profile)
{
    for (uint32_t stack = 0; stack < HEAP_STACKS; stack++) {
        uint32_t depth;
        const uint64_t *frames = heap_profile_frames(profile, stack, &depth);
        for (uint32_t i = 0; i < depth; i++) {
            struct heap_python_frame python;
            const struct heap_module *module = heap_profile_module(profile, frames[i]);
            if (heap_profile_python(profile, frames[i], &python) && python.function &&
                strlen(python.function) + strlen(python.file) > HEAP_TEXT_BYTES)
                abort();
            if (module && strlen(module->path) >= HEAP_PATH_MAX)
                abort();
        }
        for (size_t i = 0; i < profile->stamp_count; i++)
            heap_profile_stamped_bytes(&profile->stamps[i], stack);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heap_profile *profile = NULL;
    struct error err;
    unsigned char *file = malloc(WHOLE_BYTES + size);
    if (!file)
        return 0;
    make_plain(file);
    while (size > 5 && data[4] > 0 && size - 5 >= data[4]) {
        uint32_t offset;
        memcpy(&offset, data, sizeof(offset));
        memcpy(file + offset % (WHOLE_BYTES - 255), data + 5, data[4]);
        size -= 5U + data[4];
        data += 5U + data[4];
    }
    memcpy(file + WHOLE_BYTES, data, size);
    if (heap_profile_parse(file, WHOLE_BYTES + size, &profile, &err) == 0) {
        look_at(profile);
        heap_profile_free(profile);
    }
    free(file);
    return 0;
}
