/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/proc.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PF_EXITING 0x4U /* include/linux/sched.h */

/* Where it lies is up to the container, which may have put FIFOs there: only the kernel's own will
 * do. */
bool heap_proc_open(pid_t main_pid, struct heap_proc *ret)
{
    char path[64];
    struct statfs kind;
    struct stat status;
    ret->fd = -1;
    snprintf(path, sizeof(path), "/proc/%d/root/proc", (int)main_pid);
    AUTO_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstatfs(fd, &kind) < 0 || kind.f_type != PROC_SUPER_MAGIC)
        return false;
    snprintf(path, sizeof(path), "%d/ns/pid", HEAP_MAIN_PID);
    ret->pid_namespace = fstatat(fd, path, &status, 0) == 0 ? status.st_ino : 0;
    ret->fd = steal_fd(&fd);
    return true;
}

void heap_proc_close(struct heap_proc *proc)
{
    close_fd(&proc->fd);
}

/* What is behind the name in /proc/PID/stat, which may hold anything: from the state, field 3, on.
 * False: it cannot be read; *ret_gone: because there is no such process. */
static bool read_stat(const struct heap_proc *proc, int32_t pid, char text[static 512],
                      const char **ret_fields, bool *ret_gone)
{
    char path[32];
    snprintf(path, sizeof(path), "%d/stat", (int)pid);
    AUTO_CLOSE int fd = openat(proc->fd, path, O_RDONLY | O_CLOEXEC);
    *ret_gone = fd < 0 && errno == ENOENT;
    if (fd < 0)
        return false;
    ssize_t length = read(fd, text, 511);
    *ret_gone = length < 0 && errno == ESRCH;
    if (length <= 0)
        return false;
    text[length] = '\0';
    const char *name_end = strrchr(text, ')');
    *ret_fields = name_end && name_end[1] == ' ' ? name_end + 2 : "";
    return true;
}

/* A zombie's memory is gone, too. */
bool heap_proc_is_gone(const struct heap_proc *proc, int32_t pid)
{
    char text[512];
    const char *fields;
    bool gone;
    if (!read_stat(proc, pid, text, &fields, &gone))
        return gone;
    return fields[0] != '\0' && strchr("ZXx", fields[0]) != NULL;
}

/* Of another program than the one that filled in the slot, because it was executed since. Without
 * the right to read it, or when the process has no memory any more, nothing is known. */
static bool is_replaced(const struct heap_proc *proc, const struct heap_process *process)
{
    char path[32];
    uint64_t entries[128][2];
    uint64_t random_address = 0, loader_address = 0;
    snprintf(path, sizeof(path), "%d/auxv", (int)process->pid);
    AUTO_CLOSE int fd = openat(proc->fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, entries, sizeof(entries));
    if (length < (ssize_t)sizeof(entries[0]))
        return false;
    for (size_t i = 0; i < (size_t)length / sizeof(entries[0]); i++) {
        if (entries[i][0] == AT_RANDOM)
            random_address = entries[i][1];
        else if (entries[i][0] == AT_BASE)
            loader_address = entries[i][1];
    }
    return heap_image(random_address, loader_address) != process->image;
}

/* A process in a pid namespace below the container's has a pid that is another process's here, or
 * nobody's. */
static bool is_elsewhere(const struct heap_proc *proc, const struct heap_process *process)
{
    return process->pid_namespace != 0 && proc->pid_namespace != 0 &&
           process->pid_namespace != proc->pid_namespace;
}

static bool is_live(const struct heap_process *process)
{
    return __atomic_load_n(&process->state, __ATOMIC_ACQUIRE) == HEAP_PROCESS_LIVE;
}

/* proc_pid_stat(5): flags are field 9, the signals that are pending for the main thread 31. */
bool heap_proc_is_dying(const struct heap_proc *proc, const struct heap_process *process)
{
    char text[512], state;
    const char *fields;
    bool gone;
    unsigned flags = 0;
    unsigned long pending = 0;
    if (!is_live(process) || process->pid <= HEAP_MAIN_PID || is_elsewhere(proc, process))
        return false;
    if (!read_stat(proc, process->pid, text, &fields, &gone))
        return gone;
    int found = sscanf(fields,
                       "%c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                       "%*u %*u %*d %*u %*u %*u %*u %*u %*u %lu",
                       &state, &flags, &pending);
    return (found >= 1 && strchr("ZXx", state)) || (flags & PF_EXITING) != 0 ||
           (pending & 1UL << (SIGKILL - 1)) != 0;
}

uint32_t heap_proc_look(const struct heap_proc *proc, const struct heap_process *process)
{
    if (!is_live(process) || process->pid < HEAP_MAIN_PID || is_elsewhere(proc, process))
        return HEAP_PROCESS_LIVE;
    if (process->pid != HEAP_MAIN_PID && heap_proc_is_gone(proc, process->pid))
        return HEAP_PROCESS_EXITED;
    return is_replaced(proc, process) ? HEAP_PROCESS_REPLACED : HEAP_PROCESS_LIVE;
}

/* "START-END PERMISSIONS OFFSET DEVICE INODE   PATH": the path may contain blanks. */
static const char *read_mapping(const char *line, struct heap_mapping *ret)
{
    int length = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64 " %n", &ret->start, &ret->end,
               &ret->inode, &length) < 3)
        return NULL;
    return line + length;
}

/* A newline in it stands there as "\012", so that no such file is found. */
static bool take_path(const char *found, char path[static HEAP_PATH_MAX])
{
    static const char deleted[] = " (deleted)";
    size_t length = strcspn(found, "\n"), tail = sizeof(deleted) - 1;
    if (found[0] != '/' || length >= HEAP_PATH_MAX ||
        (length > tail && memcmp(found + length - tail, deleted, tail) == 0))
        return false;
    memcpy(path, found, length);
    path[length] = '\0';
    return true;
}

bool heap_proc_find_mapping(const struct heap_proc *proc, const struct heap_process *process,
                            uint64_t start, struct heap_mapping *ret)
{
    char name[32];
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    if (!is_live(process) || heap_proc_look(proc, process) != HEAP_PROCESS_LIVE ||
        is_elsewhere(proc, process))
        return false;
    snprintf(name, sizeof(name), "%d/maps", (int)process->pid);
    AUTO_CLOSE int fd = openat(proc->fd, name, O_RDONLY | O_CLOEXEC);
    AUTO_FCLOSE FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
    if (maps)
        steal_fd(&fd);
    while (maps && getline(&line, &room, maps) > 0) {
        const char *path = read_mapping(line, ret);
        if (!path || ret->start != start)
            continue;
        if (!take_path(path, ret->path))
            ret->path[0] = '\0';
        return true;
    }
    return false;
}
