/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded objects, each recorded once with its build-id and path when a sample first runs through
 * it, because /proc is gone after the kill. What dlclose() unmaps stays recorded, and another
 * object at the same address gets an index of its own. */
#include "preload/recorder.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KNOWN_MAX  256U
#define PAGE_BYTES 4096U

/* What this process has seen: private, so that it needs no comparing of paths of other processes'.
 * Entries are only added; a reader of a half-written one does not find it. */
struct known {
    uintptr_t start, end;
    uint32_t index; /* 0: not complete */
};
static struct known known[KNOWN_MAX];
static uint32_t known_used;

static void copy_path(char path[static HEAP_PATH_MAX], const char *from)
{
    size_t length = strnlen(from, HEAP_PATH_MAX - 1);
    memcpy(path, from, length);
    path[length] = '\0';
}

static const ElfW(Ehdr) * elf_header(uintptr_t start, uintptr_t end)
{
    const ElfW(Ehdr) *header = (const void *)start;
    if (end - start < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return NULL;
    uint64_t last = header->e_phoff + (uint64_t)header->e_phnum * sizeof(ElfW(Phdr));
    bool whole = last <= PAGE_BYTES && last <= end - start;
    return header->e_phentsize == sizeof(ElfW(Phdr)) && whole ? header : NULL;
}

/* --- the program itself ------------------------------------------------------------------------
 */

/* Its segments may lie far apart (linker scripts, Node.js), and the loader then tells of one at a
 * time; and it knows the program by no name. Both are read before the program runs: later it may be
 * in another root, or forbidden to make system calls. */
static struct {
    uintptr_t start, end; /* start 0: not known */
    char path[HEAP_PATH_MAX];
} program;

static bool is_load(const ElfW(Phdr) * segment)
{
    return segment->p_type == PT_LOAD && segment->p_memsz > 0;
}

/* The kernel tells where it mapped the program's headers; where the program itself is, they say. */
static void find_extent(const ElfW(Phdr) * segments, size_t count, uintptr_t bias)
{
    uintptr_t first = UINTPTR_MAX, end = 0;
    bool has_header = false;
    for (size_t i = 0; i < count; i++) {
        if (!is_load(&segments[i]))
            continue;
        if (segments[i].p_vaddr < first) {
            first = segments[i].p_vaddr;
            has_header = segments[i].p_offset == 0 && (segments[i].p_flags & PF_R) &&
                         segments[i].p_filesz >= sizeof(ElfW(Ehdr));
        }
        if (segments[i].p_vaddr + segments[i].p_memsz > end)
            end = segments[i].p_vaddr + segments[i].p_memsz;
    }
    uintptr_t start = bias + first;
    if (!has_header || start % PAGE_BYTES != 0 || bias + end <= start)
        return;
    if (memcmp((const void *)start, ELFMAG, SELFMAG) == 0) {
        program.start = start;
        program.end = bias + end;
    }
}

void module_find_program(void)
{
    struct dl_find_object object;
    const ElfW(Phdr) *segments = (const void *)getauxval(AT_PHDR); /* no system call */
    size_t count = getauxval(AT_PHNUM);
    long n = syscall(SYS_readlink, "/proc/self/exe", program.path, (size_t)HEAP_PATH_MAX - 1);
    program.path[n > 0 ? n : 0] = '\0';
    if (segments && getauxval(AT_PHENT) == sizeof(*segments) &&
        _dl_find_object((void *)(uintptr_t)segments, &object) == 0 && object.dlfo_link_map &&
        object.dlfo_link_map->l_name[0] == '\0')
        find_extent(segments, count, object.dlfo_link_map->l_addr);
}

void module_extent(const struct dl_find_object *object, uintptr_t *ret_start, uintptr_t *ret_end)
{
    uintptr_t start = (uintptr_t)object->dlfo_map_start, end = (uintptr_t)object->dlfo_map_end;
    bool is_program = object->dlfo_link_map && object->dlfo_link_map->l_name[0] == '\0' &&
                      start >= program.start && end <= program.end && program.start != 0;
    *ret_start = is_program ? program.start : start;
    *ret_end = is_program ? program.end : end;
}

/* --- build-ids ---------------------------------------------------------------------------------
 */

static void find_in_notes(const unsigned char *note, const unsigned char *end,
                          struct heap_module *module)
{
    while ((size_t)(end - note) >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) header;
        memcpy(&header, note, sizeof(header));
        const unsigned char *name = note + sizeof(header);
        size_t name_bytes = (header.n_namesz + 3U) & ~(size_t)3;
        size_t body_bytes = (header.n_descsz + 3U) & ~(size_t)3;
        if ((size_t)(end - name) < name_bytes + body_bytes)
            return;
        if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
            memcmp(name, "GNU", 4) == 0) {
            module->build_id_bytes =
                header.n_descsz < HEAP_BUILD_ID_MAX ? header.n_descsz : HEAP_BUILD_ID_MAX;
            memcpy(module->build_id, name + name_bytes, module->build_id_bytes);
            return;
        }
        note = name + name_bytes + body_bytes;
    }
}

/* Between segments nothing may be mapped. */
static bool is_mapped(const ElfW(Phdr) * segments, size_t count, const ElfW(Phdr) * part)
{
    for (size_t i = 0; i < count; i++) {
        if (is_load(&segments[i]) && (segments[i].p_flags & PF_R) &&
            part->p_vaddr >= segments[i].p_vaddr && part->p_memsz <= segments[i].p_filesz &&
            part->p_vaddr - segments[i].p_vaddr <= segments[i].p_filesz - part->p_memsz)
            return true;
    }
    return false;
}

/* The first segment maps the ELF header. */
static void read_build_id(struct heap_module *module)
{
    const ElfW(Ehdr) *header = elf_header(module->start, module->end);
    if (!header)
        return;
    const ElfW(Phdr) *segments = (const void *)((const char *)header + header->e_phoff);
    uintptr_t first = UINTPTR_MAX;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && segments[i].p_vaddr < first)
            first = segments[i].p_vaddr & ~(uintptr_t)4095;
    }
    for (unsigned i = 0; i < header->e_phnum; i++) {
        uintptr_t at = module->start + (segments[i].p_vaddr - first);
        if (segments[i].p_type != PT_NOTE || at < module->start ||
            at + segments[i].p_memsz > module->end ||
            !is_mapped(segments, header->e_phnum, &segments[i]))
            continue;
        find_in_notes((const void *)at, (const unsigned char *)at + segments[i].p_memsz, module);
        if (module->build_id_bytes > 0)
            return;
    }
}

static bool is_same(const struct heap_module *a, const struct heap_module *b)
{
    if (a->build_id_bytes != b->build_id_bytes || strcmp(a->path, b->path) != 0 ||
        a->end - a->start != b->end - b->start)
        return false;
    return memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0;
}

/* In the map already, from another process or an earlier loading? */
static uint32_t find_shared(const struct heap_module *module)
{
    uint32_t used = __atomic_load_n(&map->header.modules_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 1; i <= used && i <= HEAP_MODULES; i++) {
        if (__atomic_load_n(&map->modules[i].state, __ATOMIC_ACQUIRE) == HEAP_STATE_COMPLETE &&
            is_same(&map->modules[i], module))
            return i;
    }
    return 0;
}

static uint32_t add_shared(const struct heap_module *module)
{
    uint32_t used = __atomic_load_n(&map->header.modules_used, __ATOMIC_RELAXED);
    if (used >= HEAP_MODULES)
        return 0;
    uint32_t index = __atomic_add_fetch(&map->header.modules_used, 1, __ATOMIC_ACQ_REL);
    if (index > HEAP_MODULES)
        return 0;
    map->modules[index] = *module;
    __atomic_store_n(&map->modules[index].state, HEAP_STATE_COMPLETE, __ATOMIC_RELEASE);
    return index;
}

static void remember(uintptr_t start, uintptr_t end, uint32_t index)
{
    uint32_t at = __atomic_fetch_add(&known_used, 1, __ATOMIC_RELAXED);
    if (at >= KNOWN_MAX) {
        __atomic_store_n(&known_used, KNOWN_MAX, __ATOMIC_RELAXED);
        return;
    }
    known[at].start = start;
    known[at].end = end;
    __atomic_store_n(&known[at].index, index, __ATOMIC_RELEASE);
}

static uint32_t find_known(uintptr_t start, uintptr_t end, const char *path)
{
    uint32_t used = __atomic_load_n(&known_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used && i < KNOWN_MAX; i++) {
        uint32_t index = __atomic_load_n(&known[i].index, __ATOMIC_ACQUIRE);
        if (index != 0 && known[i].start == start && known[i].end == end &&
            (path[0] == '\0' || strncmp(map->modules[index].path, path, HEAP_PATH_MAX - 1) == 0))
            return index;
    }
    return 0;
}

uint32_t module_intern(uintptr_t start, uintptr_t end, const char *path)
{
    uint32_t index = find_known(start, end, path);
    if (index != 0)
        return index;
    struct heap_module module = {.start = start, .end = end, .process = attach_slot_now()};
    copy_path(module.path, path[0] == '\0' ? program.path : path);
    read_build_id(&module);
    index = find_shared(&module);
    if (index == 0)
        index = add_shared(&module);
    if (index != 0)
        remember(start, end, index);
    return index;
}
