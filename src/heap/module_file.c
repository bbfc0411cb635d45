/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/module_file.h"

#include "base/cleanup.h"
#include "heap/recording.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_FORMAT  "module-%016" PRIx64 ".elf"
#define NAME_PATTERN "module-*.elf"

/* Fowler, Noll and Vo's FNV-1a: an identity of the run's own, nothing that has to be hard to forge.
 */
static uint64_t mix(uint64_t hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

void heap_module_path(const char *directory, const struct heap_module *module,
                      char path[static PATH_MAX])
{
    uint64_t bytes = module->end - module->start;
    uint32_t id_bytes =
        module->build_id_bytes <= HEAP_BUILD_ID_MAX ? module->build_id_bytes : HEAP_BUILD_ID_MAX;
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), module->build_id, id_bytes);
    hash = mix(hash, module->path, strnlen(module->path, HEAP_PATH_MAX));
    hash = mix(hash, &bytes, sizeof(bytes));
    snprintf(path, PATH_MAX, "%s/" HEAP_DIRECTORY "/" NAME_FORMAT, directory, hash);
}

/* Opening a device does something, and a container may map one: look before. */
static int open_regular(int directory_fd, const char *name, uint64_t inode)
{
    struct stat status;
    char path[64];
    AUTO_CLOSE int fd = openat(directory_fd, name, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_ino != inode)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int heap_module_open(const struct heap_proc *proc, const struct heap_process *process,
                     const struct heap_module *module)
{
    struct heap_mapping mapping;
    char name[64];
    if (!heap_proc_find_mapping(proc, process, module->start, &mapping))
        return -1;
    snprintf(name, sizeof(name), "%d/map_files/%" PRIx64 "-%" PRIx64, (int)process->pid,
             mapping.start, mapping.end);
    int fd = open_regular(proc->fd, name, mapping.inode);
    if (fd >= 0)
        return fd;
    snprintf(name, sizeof(name), "%d/exe", (int)process->pid);
    return open_regular(proc->fd, name, mapping.inode);
}

/* Some file systems show a mapped file under another device than the same file by its name. */
static bool is_found_by_name(const struct heap_module *module, const struct stat *file)
{
    struct stat named;
    return module->path[0] == '/' && stat(module->path, &named) == 0 &&
           named.st_ino == file->st_ino && named.st_size == file->st_size &&
           named.st_mtim.tv_sec == file->st_mtim.tv_sec &&
           named.st_mtim.tv_nsec == file->st_mtim.tv_nsec;
}

static bool is_elf(int fd, const struct stat *file)
{
    char magic[SELFMAG];
    return S_ISREG(file->st_mode) && pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
           memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static int copy(int from, off_t bytes, const char *path, struct error *err)
{
    AUTO_CLOSE int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    off_t done = 0;
    if (to < 0)
        return error_errno(err, errno, "making '%s'", path);
    while (done < bytes) {
        ssize_t n = sendfile(to, from, &done, (size_t)(bytes - done));
        if (n <= 0) { /* 0: it was made shorter meanwhile */
            int errnum = n < 0 ? errno : EIO;
            unlink(path);
            return error_errno(err, errnum, "copying a program to '%s'", path);
        }
    }
    return 0;
}

int heap_module_keep(int fd, const struct heap_module *module, const char *directory,
                     uint64_t *left_bytes, struct error *err)
{
    struct stat file;
    char path[PATH_MAX];
    if (fstat(fd, &file) < 0 || !is_elf(fd, &file) || is_found_by_name(module, &file) ||
        (uint64_t)file.st_size > *left_bytes)
        return 0;
    *left_bytes -= (uint64_t)file.st_size;
    heap_module_path(directory, module, path);
    return access(path, F_OK) == 0 ? 0 : copy(fd, file.st_size, path, err);
}

void heap_module_remove_all(const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" HEAP_DIRECTORY, directory);
    DIR *files = opendir(path);
    for (struct dirent *file; files && (file = readdir(files));) {
        if (fnmatch(NAME_PATTERN, file->d_name, 0) == 0)
            unlinkat(dirfd(files), file->d_name, 0);
    }
    if (files)
        closedir(files);
}
