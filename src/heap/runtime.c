/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/runtime.h"

#include <stddef.h>
#include <string.h>

static const struct heap_runtime JAVA = {
    "Java", "Java keeps its objects in a heap of its own, which this profile does not see: "
            "-XX:+HeapDumpOnOutOfMemoryError with -Xmx below the limit, or jcmd PID "
            "GC.class_histogram, shows them."};
static const struct heap_runtime NODE = {
    "Node.js", "Node.js keeps its objects in a heap of its own, which this profile does not see: "
               "node --heapsnapshot-near-heap-limit=1, or --heap-prof, shows them."};

/* Known by the base name: as it is, or up to a version behind ".so". */
static const struct {
    const char *module;
    const struct heap_runtime *runtime;
} MODULES[] = {
    {"libjvm.so", &JAVA}, {"java", &JAVA},       {"node", &NODE},
    {"nodejs", &NODE},    {"libnode.so", &NODE},
};

static bool names(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t length = strlen(name);
    bool library = strstr(name, ".so") != NULL;
    return strncmp(base, name, length) == 0 &&
           (base[length] == '\0' || (library && base[length] == '.'));
}

const struct heap_runtime *heap_runtime_find(const struct heap_profile *profile)
{
    for (uint32_t i = 1; i <= HEAP_MODULES; i++) {
        const struct heap_module *module = &profile->map->modules[i];
        if (module->state != HEAP_STATE_COMPLETE || module->process > HEAP_PROCESSES ||
            !heap_process_counts(&profile->map->processes[module->process]))
            continue;
        for (size_t k = 0; k < sizeof(MODULES) / sizeof(MODULES[0]); k++) {
            if (names(module->path, MODULES[k].module))
                return MODULES[k].runtime;
        }
    }
    return NULL;
}
