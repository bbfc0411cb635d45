/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: names that were kept with a run: a line with the build-id, one with the path, and
 * the names. */
#include "heap/names.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODULE_BYTES  4096
#define ADDRESS_TRIED 64

static void look_at(const struct heap_names *names, const struct heap_module *module)
{
    for (uint64_t address = 0; address < ADDRESS_TRIED; address++) {
        size_t count = 0;
        const struct heap_frame *frames = heap_names_find(names, module, address, &count);
        if (frames && (count == 0 || count > HEAP_INLINED_MAX))
            abort();
        for (size_t i = 0; i < count; i++) {
            if (frames[i].line < 0 || (frames[i].function && strlen(frames[i].function) == 0) ||
                (frames[i].file && strlen(frames[i].file) == 0))
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct heap_names *names = heap_names_new();
    struct heap_module module = {.end = MODULE_BYTES, .build_id_bytes = 2, .build_id = {1, 2}};
    if (text && names) {
        memcpy(text, data, size);
        text[size] = '\0';
        char *rest = text;
        const char *build_id = strsep(&rest, "\n");
        const char *path = rest ? strsep(&rest, "\n") : "";
        heap_names_add(names, build_id, path, MODULE_BYTES, rest);
        look_at(names, &module);
        module.build_id_bytes = 0;
        strcpy(module.path, "/a");
        look_at(names, &module);
    }
    heap_names_free(names);
    free(text);
    return 0;
}
