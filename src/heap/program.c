/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/program.h"

#include "base/cleanup.h"
#include "base/duration.h"
#include "heap/preload.h"

#include <ctype.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPT_LEVELS 4
#define GO_NOTE       4 /* "Go", the build id */

/* So long a process is left alone after it was first seen to run a program. */
#define LOADING_NS (150 * NS_PER_MS)

static void elf_cleanup(Elf **elf)
{
    elf_end(*elf);
}

static bool is_go(Elf *elf, const GElf_Phdr *segment)
{
    Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)segment->p_offset,
                                          (size_t)segment->p_filesz, ELF_T_NHDR);
    size_t at = 0, name, body;
    GElf_Nhdr note;
    while (data && (at = gelf_getnote(data, at, &note, &name, &body)) > 0) {
        if (note.n_type == GO_NOTE && note.n_namesz == 4 &&
            memcmp((const char *)data->d_buf + name, "Go\0", 4) == 0)
            return true;
    }
    return false;
}

struct traits {
    bool other_machine, go;
    char loader[PATH_MAX]; /* "" : none, it is static */
};

static void read_loader(int fd, const GElf_Phdr *segment, struct traits *traits)
{
    size_t bytes = (size_t)segment->p_filesz;
    if (bytes >= sizeof(traits->loader))
        bytes = sizeof(traits->loader) - 1;
    ssize_t n = pread(fd, traits->loader, bytes, (off_t)segment->p_offset);
    traits->loader[n > 0 ? n : 0] = '\0';
}

/* False: no ELF file. */
static bool read_traits(int fd, struct traits *traits)
{
    elf_version(EV_CURRENT);
    CLEANUP(elf_cleanup) Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    GElf_Ehdr header;
    size_t count = 0;
    *traits = (struct traits){0};
    if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header))
        return false;
    traits->other_machine = header.e_machine != EM_X86_64 || header.e_ident[EI_CLASS] != ELFCLASS64;
    elf_getphdrnum(elf, &count);
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, (int)i, &segment))
            continue;
        if (segment.p_type == PT_INTERP)
            read_loader(fd, &segment, traits);
        if (segment.p_type == PT_NOTE)
            traits->go |= is_go(elf, &segment);
    }
    return true;
}

static const char *fault_of(const struct traits *traits)
{
    const char *base = strrchr(traits->loader, '/');
    if (traits->go)
        return "is written in Go, whose heap is not malloc's; use Go's own profiler "
               "(net/http/pprof)";
    if (traits->other_machine)
        return "is not for x86-64";
    if (traits->loader[0] == '\0')
        return "is statically linked, so nothing can be preloaded; link it dynamically";
    if (strncmp(base ? base + 1 : traits->loader, "ld-musl", 7) == 0)
        return "is linked to musl, and the recorder to glibc; build it on a glibc distribution";
    return NULL;
}

static bool find_in_path(const char *name, const char *search_path, char path[static PATH_MAX])
{
    if (strchr(name, '/')) {
        snprintf(path, PATH_MAX, "%s", name);
        return true;
    }
    for (const char *at = search_path ? search_path : ""; *at;) {
        size_t length = strcspn(at, ":");
        int n = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, at, name);
        if (n > 0 && n < PATH_MAX && access(path, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

/* The interpreter of a script; "#!/usr/bin/env NAME" means NAME. */
static bool find_interpreter(int fd, const char *search_path, char path[static PATH_MAX])
{
    char line[256];
    ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
    if (n < 3 || line[0] != '#' || line[1] != '!')
        return false;
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    char *rest = NULL;
    const char *word = strtok_r(line + 2, " \t", &rest);
    const char *argument = strtok_r(NULL, " \t", &rest);
    if (!word)
        return false;
    const char *base = strrchr(word, '/');
    if (base && strcmp(base, "/env") == 0 && argument && argument[0] != '-' &&
        !strchr(argument, '='))
        return find_in_path(argument, search_path, path);
    snprintf(path, PATH_MAX, "%s", word);
    return true;
}

bool heap_program_can_be_profiled(const char *path, const char *search_path, char *reason,
                                  size_t size)
{
    char current[PATH_MAX], next[PATH_MAX];
    snprintf(current, sizeof(current), "%s", path);
    for (int level = 0; level < SCRIPT_LEVELS; level++) {
        AUTO_CLOSE int fd = open(current, O_RDONLY | O_CLOEXEC);
        struct traits traits;
        if (fd < 0)
            return true;
        if (read_traits(fd, &traits)) {
            const char *fault = fault_of(&traits);
            if (fault)
                snprintf(reason, size, "'%s' %s", current, fault);
            return !fault;
        }
        if (!find_interpreter(fd, search_path, next))
            return true;
        memcpy(current, next, sizeof(current));
    }
    return true;
}

/* --- what runs ---------------------------------------------------------------------------------
 */

/* The loader maps what is preloaded first: a process that has the C library and not the recorder
 * was started without it. */
static bool lacks_recorder(pid_t pid)
{
    char path[64];
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    bool has_libc = false;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    AUTO_FCLOSE FILE *maps = fopen(path, "re");
    while (maps && getline(&line, &room, maps) > 0) {
        if (strstr(line, "/" HEAP_LIBRARY_NAME))
            return false;
        has_libc |= strstr(line, "/libc.so.") != NULL;
    }
    return has_libc;
}

/* NULL: it is new, and *ret_new is to be filled in. */
static struct heap_known_program *find_program(struct heap_programs *known, const struct stat *file,
                                               struct heap_known_program **ret_new)
{
    for (unsigned i = 0; i < known->program_count; i++) {
        struct heap_known_program *program = &known->programs[i];
        if (program->inode == file->st_ino && program->device == file->st_dev)
            return program;
    }
    if (known->program_count == HEAP_PROGRAMS_KNOWN)
        known->program_count = 0;
    *ret_new = &known->programs[known->program_count++];
    return NULL;
}

/* Whether it is time to look at its memory, once. */
static bool is_due(struct heap_programs *known, pid_t pid, const struct stat *file, int64_t now_ns)
{
    for (unsigned i = 0; i < known->process_count; i++) {
        struct heap_known_process *process = &known->processes[i];
        if (process->pid != pid || process->inode != file->st_ino ||
            process->device != file->st_dev)
            continue;
        bool due = !process->examined && now_ns - process->since_ns >= LOADING_NS;
        process->examined |= due;
        return due;
    }
    if (known->process_count == HEAP_PROCESSES_KNOWN)
        known->process_count = 0;
    known->processes[known->process_count++] = (struct heap_known_process){
        .pid = pid, .inode = file->st_ino, .device = file->st_dev, .since_ns = now_ns};
    return false;
}

static const char *examine_program(const char *link)
{
    struct traits traits;
    AUTO_CLOSE int fd = open(link, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read_traits(fd, &traits) ? fault_of(&traits) : NULL;
}

/* A container's process before it executes its command, or a workload. */
static bool is_ours(const struct stat *file)
{
    struct stat own;
    return stat("/proc/self/exe", &own) == 0 && own.st_ino == file->st_ino &&
           own.st_dev == file->st_dev;
}

bool heap_process_is_profiled(struct heap_programs *known, pid_t pid, bool main, int64_t now_ns,
                              char *reason, size_t size)
{
    char link[64], program[PATH_MAX];
    struct stat file;
    struct heap_known_program *new = NULL;
    const char *fault = NULL;
    snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
    if (stat(link, &file) < 0 || is_ours(&file))
        return true;
    const struct heap_known_program *old = find_program(known, &file, &new);
    if (new) {
        fault = examine_program(link);
        *new = (struct heap_known_program){
            .device = file.st_dev, .inode = file.st_ino, .faulty = fault != NULL};
    }
    bool faulty = old ? old->faulty : fault != NULL;
    if (!faulty && is_due(known, pid, &file, now_ns) && lacks_recorder(pid))
        fault = "was started without the recorder: with another environment, in which LD_PRELOAD "
                "does not name it, or below another root";
    ssize_t n = fault ? readlink(link, program, sizeof(program) - 1) : 0;
    if (n <= 0)
        return true;
    program[n] = '\0';
    snprintf(reason, size, "'%s', which %s, %s", program,
             main ? "the command executed" : "a child process runs", fault);
    return false;
}
