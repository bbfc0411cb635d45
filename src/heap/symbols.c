/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/symbols.h"

#include "base/cleanup.h"
#include "heap/module_file.h"
#include "heap/names.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 4096

/* An address that was resolved. */
struct resolved {
    const struct heap_module *module;
    uint64_t address;
    size_t count;
    struct heap_frame frames[];
};

/* A module of the profile and what libdwfl knows of it. */
struct known_module {
    struct known_module *next;
    const struct heap_module *module;
    Dwfl *dwfl; /* one each: their addresses overlap */
    Dwfl_Module *file;
    Dwarf_Addr start;
};

struct heap_symbols {
    const struct heap_names *names; /* borrowed */
    char *directory;                /* of the run */
    void *addresses;                /* tree of struct resolved */
    void *strings;                  /* tree of strings that we own */
    struct known_module *modules;
    char *(*demangle)(const char *, char *, size_t *, int *);
    void *cxx_library;
};

static char *debug_path; /* libdwfl's default */
static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debug_path,
};

/* The C++ library demangles. Where there is none, no C++ program has run either. */
static void find_demangler(struct heap_symbols *symbols)
{
    symbols->cxx_library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
    void *found = symbols->cxx_library ? dlsym(symbols->cxx_library, "__cxa_demangle") : NULL;
    memcpy(&symbols->demangle, &found, sizeof(found));
}

int heap_symbols_new(const struct heap_names *names, const char *directory,
                     struct heap_symbols **ret, struct error *err)
{
    struct heap_symbols *symbols = calloc(1, sizeof(*symbols));
    if (!symbols)
        return error_errno(err, ENOMEM, "preparing names");
    symbols->names = names;
    symbols->directory = strdup(directory);
    if (!symbols->directory) {
        free(symbols);
        return error_errno(err, ENOMEM, "preparing names");
    }
    find_demangler(symbols);
    *ret = symbols;
    return 0;
}

void heap_symbols_free(struct heap_symbols *symbols)
{
    if (!symbols)
        return;
    free(symbols->directory);
    tdestroy(symbols->addresses, free);
    tdestroy(symbols->strings, free);
    while (symbols->modules) {
        struct known_module *module = symbols->modules;
        symbols->modules = module->next;
        dwfl_end(module->dwfl);
        free(module);
    }
    if (symbols->cxx_library)
        dlclose(symbols->cxx_library);
    free(symbols);
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Keep an allocated string, or the equal one that is kept already. */
static const char *keep(struct heap_symbols *symbols, char *text)
{
    if (!text)
        return NULL;
    char **kept = tsearch(text, &symbols->strings, compare_strings);
    if (!kept || *kept != text)
        free(text);
    return kept ? *kept : NULL;
}

static const char *readable_name(struct heap_symbols *symbols, const char *name)
{
    int status = -1;
    if (!name)
        return NULL;
    char *demangled = symbols->demangle && strncmp(name, "_Z", 2) == 0
                          ? symbols->demangle(name, NULL, NULL, &status)
                          : NULL;
    return keep(symbols, demangled ? demangled : strdup(name));
}

/* --- modules --------------------------------------------------------------------------------- */

static uint64_t page_end(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

/* From the first segment to the end of the last, in whole pages; 0: it has none. */
static uint64_t mapped_bytes(Dwfl_Module *file)
{
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(file, &bias);
    size_t count = 0;
    uint64_t first = UINT64_MAX, end = 0;
    if (!elf || elf_getphdrnum(elf, &count) < 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, (int)i, &segment) || segment.p_type != PT_LOAD)
            continue;
        if (segment.p_vaddr < first)
            first = segment.p_vaddr & ~(uint64_t)(PAGE_BYTES - 1);
        if (segment.p_vaddr + segment.p_memsz > end)
            end = segment.p_vaddr + segment.p_memsz;
    }
    return end > first ? page_end(end - first) : 0;
}

/* Of a module without a build-id nothing but its size can be compared. */
static bool is_recorded_file(Dwfl_Module *file, const struct heap_module *module)
{
    const unsigned char *bits;
    GElf_Addr at;
    int length = dwfl_module_build_id(file, &bits, &at);
    if (module->build_id_bytes == 0)
        return mapped_bytes(file) == page_end(module->end - module->start);
    return length == (int)module->build_id_bytes &&
           memcmp(bits, module->build_id, module->build_id_bytes) == 0;
}

/* Whether it is the module's file, which may have been replaced since. */
static bool open_file(struct known_module *known, const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    Dwfl *dwfl = fd >= 0 ? dwfl_begin(&callbacks) : NULL;
    if (!dwfl)
        return false;
    dwfl_report_begin(dwfl);
    Dwfl_Module *file = dwfl_report_elf(dwfl, known->module->path, path, fd, 0x10000000, false);
    if (file)
        steal_fd(&fd); /* libdwfl's now */
    dwfl_report_end(dwfl, NULL, NULL);
    if (!file || !is_recorded_file(file, known->module)) {
        dwfl_end(dwfl);
        return false;
    }
    known->dwfl = dwfl;
    known->file = file;
    dwfl_module_info(file, NULL, &known->start, NULL, NULL, NULL, NULL, NULL);
    return true;
}

/* Under its own name, or, where the container's end found another there, as its copy. */
static void open_module(const struct heap_symbols *symbols, struct known_module *known)
{
    char copy[PATH_MAX];
    if (known->module->path[0] != '/' || open_file(known, known->module->path))
        return;
    heap_module_path(symbols->directory, known->module, copy);
    open_file(known, copy);
}

static struct known_module *find_module(struct heap_symbols *symbols,
                                        const struct heap_module *module)
{
    for (struct known_module *known = symbols->modules; known; known = known->next) {
        if (known->module == module)
            return known;
    }
    struct known_module *known = calloc(1, sizeof(*known));
    if (!known)
        return NULL;
    known->module = module;
    open_module(symbols, known);
    known->next = symbols->modules;
    symbols->modules = known;
    return known;
}

/* --- one address ----------------------------------------------------------------------------- */

static const char *function_name(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    static const unsigned int linkage[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name};
    for (size_t i = 0; i < 2; i++) {
        if (dwarf_attr_integrate(die, linkage[i], &attribute))
            return dwarf_formstring(&attribute);
    }
    return dwarf_diename(die);
}

/* Where the inlined call stands: the line of the frame around it. */
static void read_call(Dwarf_Die *die, Dwarf_Die *unit, struct heap_symbols *symbols,
                      struct heap_frame *frame)
{
    Dwarf_Attribute attribute;
    Dwarf_Word number = 0;
    Dwarf_Files *files;
    size_t count;
    frame->file = NULL;
    frame->line = 0;
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &number) == 0 &&
        dwarf_getsrcfiles(unit, &files, &count) == 0 && number < count) {
        const char *file = dwarf_filesrc(files, number, NULL, NULL);
        frame->file = file ? keep(symbols, strdup(file)) : NULL;
    }
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &number) == 0)
        frame->line = (int)number;
}

/* The unit that covers the address; compilers may leave the index of units out. */
static Dwarf_Die *find_unit(Dwfl_Module *file, Dwarf_Addr address, Dwarf_Addr *ret_bias)
{
    Dwarf_Die *unit = dwfl_module_addrdie(file, address, ret_bias);
    if (unit)
        return unit;
    while ((unit = dwfl_module_nextcu(file, unit, ret_bias))) {
        if (dwarf_haspc(unit, address - *ret_bias) > 0)
            return unit;
    }
    return NULL;
}

/* The chain of scopes from the innermost outwards: each inlined function gives a frame, and the
 * line where it is called belongs to the next. frames[0] has its line already. */
static size_t read_inlined(struct heap_symbols *symbols, Dwfl_Module *file, Dwarf_Addr address,
                           struct heap_frame *frames)
{
    Dwarf_Addr bias;
    Dwarf_Die *unit = find_unit(file, address, &bias);
    AUTO_FREE Dwarf_Die *scopes = NULL;
    int count = unit ? dwarf_getscopes(unit, address - bias, &scopes) : 0;
    AUTO_FREE Dwarf_Die *outer = NULL;
    /* Within an inlined function the scopes go on with its abstract definition's: take the
     * instance's own chain. */
    if (count > 0) {
        count = dwarf_getscopes_die(&scopes[0], &outer);
    }
    size_t used = 0;
    for (int i = 0; i < count && used + 1 < HEAP_INLINED_MAX; i++) {
        int tag = dwarf_tag(&outer[i]);
        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        frames[used].function = readable_name(symbols, function_name(&outer[i]));
        frames[used].inlined = tag == DW_TAG_inlined_subroutine;
        if (tag == DW_TAG_subprogram)
            return used + 1;
        read_call(&outer[i], unit, symbols, &frames[++used]);
    }
    return used;
}

static void read_line(struct heap_symbols *symbols, Dwfl_Module *file, Dwarf_Addr address,
                      struct heap_frame *frame)
{
    Dwfl_Line *line = dwfl_module_getsrc(file, address);
    const char *source = line ? dwfl_lineinfo(line, NULL, &frame->line, NULL, NULL, NULL) : NULL;
    frame->file = source ? keep(symbols, strdup(source)) : NULL;
}

static size_t name_frames(struct heap_symbols *symbols, const struct known_module *known,
                          uint64_t address, struct heap_frame *frames)
{
    if (!known || !known->file)
        return 1;
    Dwarf_Addr at = known->start + address;
    read_line(symbols, known->file, at, &frames[0]);
    size_t count = read_inlined(symbols, known->file, at, frames);
    size_t last = count > 0 ? count - 1 : 0;
    if (count == 0 || !frames[last].function || frames[last].inlined) {
        last = count;
        frames[last].function = readable_name(symbols, dwfl_module_addrname(known->file, at));
        count++;
    }
    return count;
}

/* Kept names without a line may be from before the program's debug information was installed, which
 * a build-id proves to be of the same program. */
static size_t find_frames(struct heap_symbols *symbols, const struct heap_module *module,
                          uint64_t address, struct heap_frame *frames)
{
    size_t kept_count = 0;
    const struct heap_frame *kept =
        module ? heap_names_find(symbols->names, module, address, &kept_count) : NULL;
    if (!kept || (!kept[0].file && module->build_id_bytes > 0)) {
        const struct known_module *known = module ? find_module(symbols, module) : NULL;
        size_t count = name_frames(symbols, known, address, frames);
        if (!kept || frames[0].file)
            return count;
    }
    memcpy(frames, kept, kept_count * sizeof(*frames));
    return kept_count;
}

static int compare_resolved(const void *a, const void *b)
{
    const struct resolved *x = a, *y = b;
    if (x->module != y->module)
        return (uintptr_t)x->module > (uintptr_t)y->module ? 1 : -1;
    return (x->address > y->address) - (x->address < y->address);
}

static const struct resolved *remember(struct heap_symbols *symbols,
                                       const struct heap_module *module, uint64_t address)
{
    struct heap_frame frames[HEAP_INLINED_MAX] = {0};
    size_t count = find_frames(symbols, module, address, frames);
    for (size_t i = 0; i < count; i++) {
        frames[i].module = module && module->path[0] ? module->path : NULL;
        frames[i].address = address;
    }
    struct resolved *resolved = malloc(sizeof(*resolved) + count * sizeof(frames[0]));
    if (!resolved)
        return NULL;
    *resolved = (struct resolved){.module = module, .address = address, .count = count};
    memcpy(resolved->frames, frames, count * sizeof(frames[0]));
    if (tsearch(resolved, &symbols->addresses, compare_resolved))
        return resolved;
    free(resolved);
    return NULL;
}

const struct heap_frame *heap_symbols_resolve(struct heap_symbols *symbols,
                                              const struct heap_module *module, uint64_t address,
                                              size_t *ret_count)
{
    static const struct heap_frame nothing;
    const struct resolved key = {.module = module, .address = address};
    struct resolved **found = tfind(&key, &symbols->addresses, compare_resolved);
    const struct resolved *resolved = found ? *found : remember(symbols, module, address);
    *ret_count = resolved ? resolved->count : 1;
    return resolved ? resolved->frames : &nothing;
}
