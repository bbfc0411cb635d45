/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/record.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "kernel/cgroup.h"
#include "sandbox/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX           ".run"
#define PATH_BYTES       512
#define RECORD_MAX_BYTES 16384
#define CANDIDATES_MAX   2
#define KILL_WAIT_NS     (10 * NS_PER_S)
#define CHILD_WAIT_NS    (2 * NS_PER_S)
#define OWNER_BYTES      128

/* From behind the name in /proc/PID/stat: the state, and the 22nd field, the start time. */
#define STATE_AND_START_FORMAT                                                                     \
    " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu"

struct candidates {
    char path[CANDIDATES_MAX][PATH_BYTES];
    unsigned count;
};

static void add_candidate(struct candidates *list, const char *base, const char *rest)
{
    char *path = list->path[list->count];
    if (base[0] == '/' && snprintf(path, PATH_BYTES, "%s%s", base, rest) < PATH_BYTES)
        list->count++;
}

static void find_candidates(struct candidates *list)
{
    list->count = 0;
    const char *chosen = getenv("OOMLAB_RUNTIME_DIR");
    if (chosen) {
        add_candidate(list, chosen, "");
        return;
    }
    if (geteuid() == 0) {
        add_candidate(list, "/run/oomlab", "");
    } else {
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        add_candidate(list, runtime ? runtime : "", "/oomlab");
    }
    char fallback[32];
    snprintf(fallback, sizeof(fallback), "/tmp/oomlab-%u", geteuid());
    add_candidate(list, fallback, "");
}

/* Records decide what is killed, so nobody else may be able to write them. */
static int open_directory(const char *path, bool make, struct error *err)
{
    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_errno(err, errno, "creating '%s'", path);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "opening '%s'", path);
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_errno(err, errno, "examining '%s'", path);
    if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
        return error_set(err, EPERM,
                         "'%s' must belong to user %u and be closed to others (mode 0700); "
                         "remove it or correct it",
                         path, geteuid());
    return steal_fd(&fd);
}

static int open_writable_directory(struct error *err)
{
    struct candidates list;
    find_candidates(&list);
    int fd = error_set(err, EINVAL, "$OOMLAB_RUNTIME_DIR must be an absolute path");
    for (unsigned i = 0; fd < 0 && i < list.count; i++)
        fd = open_directory(list.path[i], true, err);
    return fd;
}

/* Whether the name still leads to the open file: a sweep may have deleted it before we had the
 * lock. */
static bool still_linked(int dir_fd, const char *name, int fd)
{
    struct stat by_name;
    struct stat by_fd;
    return fstatat(dir_fd, name, &by_name, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &by_fd) == 0 &&
           by_name.st_ino == by_fd.st_ino && by_name.st_dev == by_fd.st_dev;
}

/* "owner PID STARTED NAMESPACE": the process, told from later ones of the same number by its start,
 * and the pid namespace in which the number means it. Empty when there is no such process, or only
 * its zombie. */
static void describe_process(pid_t pid, char text[static OWNER_BYTES])
{
    char path[32];
    char status[PATH_BYTES];
    char space[64];
    text[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    ssize_t length = readlink("/proc/self/ns/pid", space, sizeof(space) - 1);
    if (length < 0 || file_read_text(AT_FDCWD, path, status, sizeof(status)) < 0)
        return;
    space[length] = '\0';
    unsigned long long started;
    char state;
    const char *fields = strrchr(status, ')'); /* the name before may hold anything */
    if (fields && sscanf(fields + 1, STATE_AND_START_FORMAT, &state, &started) == 2 &&
        state != 'Z' && state != 'X')
        snprintf(text, OWNER_BYTES, "owner %d %llu %s\n", pid, started, space);
}

int record_open(const char *cgroup_name, struct record *ret, struct error *err)
{
    struct record record = RECORD_NONE;
    if (snprintf(record.name, sizeof(record.name), "%s" SUFFIX, cgroup_name) >=
        (int)sizeof(record.name))
        return error_errno(err, ENAMETOOLONG, "recording '%s'", cgroup_name);
    AUTO_CLOSE int dir_fd = open_writable_directory(err);
    if (dir_fd < 0)
        return error_wrap(err, "recording which cgroups are ours");
    for (;;) {
        AUTO_CLOSE int fd =
            openat(dir_fd, record.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST)
            return error_set(err, EEXIST, "a run with the name '%s' exists already", cgroup_name);
        if (fd < 0)
            return error_errno(err, errno, "creating the record '%s'", record.name);
        if (flock(fd, LOCK_EX) < 0)
            return error_errno(err, errno, "locking the record '%s'", record.name);
        if (still_linked(dir_fd, record.name, fd)) {
            record.fd = steal_fd(&fd);
            break;
        }
    }
    record.dir_fd = steal_fd(&dir_fd);
    char owner[OWNER_BYTES];
    describe_process(getpid(), owner);
    if (write(record.fd, owner, strlen(owner)) != (ssize_t)strlen(owner)) {
        int errnum = errno;
        record_drop(&record);
        return error_errno(err, errnum, "writing the record '%s'", cgroup_name);
    }
    *ret = record;
    return 0;
}

int record_add(const struct record *record, const char *word, const char *path, struct error *err)
{
    char line[CGROUP_PATH_MAX + 32];
    int length = snprintf(line, sizeof(line), "%s %s\n", word, path);
    if (length >= (int)sizeof(line) || strchr(path, '\n'))
        return error_set(err, EINVAL, "the cgroup path '%s' cannot be recorded", path);
    ssize_t n = write(record->fd, line, (size_t)length);
    if (n != length)
        return error_errno(err, n < 0 ? errno : ENOSPC, "writing the record '%s'", record->name);
    return 0;
}

void record_drop(struct record *record)
{
    if (record->dir_fd >= 0)
        unlinkat(record->dir_fd, record->name, 0);
    record_abandon(record);
}

void record_abandon(struct record *record)
{
    close_fd(&record->fd);
    close_fd(&record->dir_fd);
}

/* What one record names. */
struct leftover {
    struct cgroup cgroup;
    char self[CGROUP_PATH_MAX];
    bool found;
};

static void leftover_done(struct leftover *leftover)
{
    cgroup_done(&leftover->cgroup);
}

/* Only a cgroup directory whose last component is the record's own name is ever touched. */
static bool is_ours(const char *path, const char *base, const char *suffix)
{
    char expected[RECORD_NAME_MAX + 8];
    snprintf(expected, sizeof(expected), "%s%s", base, suffix);
    const char *last = strrchr(path, '/');
    return path[0] == '/' && last && strcmp(last + 1, expected) == 0 && !strstr(path, "/../") &&
           strncmp(expected, "oomlab-", strlen("oomlab-")) == 0 && strlen(path) < CGROUP_PATH_MAX;
}

static enum cgroup_version version_of(int fd)
{
    struct statfs status;
    if (fstatfs(fd, &status) < 0)
        return CGROUP_NONE;
    if (status.f_type == CGROUP2_SUPER_MAGIC)
        return CGROUP_V2;
    return status.f_type == CGROUP_SUPER_MAGIC ? CGROUP_V1 : CGROUP_NONE;
}

static void take_path(struct leftover *leftover, int controller, const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    enum cgroup_version version = fd < 0 ? CGROUP_NONE : version_of(fd);
    if (version == CGROUP_NONE || leftover->cgroup.dir_fd[controller] >= 0)
        return;
    leftover->cgroup.version = version;
    leftover->cgroup.dir_fd[controller] = steal_fd(&fd);
    snprintf(leftover->cgroup.path[controller], CGROUP_PATH_MAX, "%s", path);
    leftover->found = true;
}

static void take_self(struct leftover *leftover, const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && version_of(fd) == CGROUP_V2)
        snprintf(leftover->self, sizeof(leftover->self), "%s", path);
}

static void read_leftover(char *text, const char *base, struct leftover *leftover)
{
    for (char *line; (line = strsep(&text, "\n"));) {
        char *path = line;
        const char *word = strsep(&path, " ");
        if (!path)
            continue;
        if (strcmp(word, "self") == 0 && is_ours(path, base, ROOT_SELF_SUFFIX))
            take_self(leftover, path);
        for (int i = 0; i < CGROUP_CONTROLLERS; i++)
            if (strcmp(word, cgroup_controller_name((enum cgroup_controller)i)) == 0 &&
                is_ours(path, base, ""))
                take_path(leftover, i, path);
    }
}

static int remove_leftover(const struct leftover *leftover, struct error *err)
{
    int r = 0;
    if (leftover->found) {
        r = cgroup_kill_all(&leftover->cgroup, clock_monotonic_ns() + KILL_WAIT_NS, err);
        if (r == 0)
            r = cgroup_remove(&leftover->cgroup, err);
    }
    /* The leaf held only oomlab itself; should anything live there now, it is not ours to kill. */
    if (r == 0 && leftover->self[0] && rmdir(leftover->self) < 0 && errno != ENOENT)
        r = error_errno(err, errno, "removing the cgroup '%s'", leftover->self);
    return r;
}

/* Whether a record that is still locked says that its owner ended: only in our own pid namespace.
 */
static bool owner_is_gone(int fd)
{
    char text[RECORD_MAX_BYTES];
    char now[OWNER_BYTES];
    char self[OWNER_BYTES];
    int pid;
    if (file_pread_text(fd, text, sizeof(text)) < 0 || sscanf(text, "owner %d ", &pid) != 1)
        return false;
    describe_process(getpid(), self);
    const char *space = strrchr(self, ' ');
    const char *end = strchr(text, '\n');
    if (!space || !end || end - text < (ptrdiff_t)strlen(space) ||
        strncmp(end + 1 - strlen(space), space, strlen(space)) != 0)
        return false;
    describe_process(pid, now);
    return strncmp(text, now, (size_t)(end - text)) != 0;
}

/* The lock decides whether the owner lives. A child that it was just cloning shares the lock for a
 * moment, until it closes its descriptors or dies with the owner; no event tells that moment. */
static bool take_lock(int fd)
{
    int64_t deadline_ns = clock_monotonic_ns() + CHILD_WAIT_NS;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || !owner_is_gone(fd) || clock_monotonic_ns() >= deadline_ns)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    }
    return true;
}

/* 1 when something was removed, 0 when there was nothing or the owner lives, or -errno. */
static int sweep_record(int dir_fd, const char *name, struct error *err)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, "opening the record '%s'", name);
    if (!take_lock(fd) || !still_linked(dir_fd, name, fd))
        return 0;
    char text[RECORD_MAX_BYTES];
    ssize_t n = file_pread_text(fd, text, sizeof(text));
    if (n < 0)
        return error_errno(err, (int)-n, "reading the record '%s'", name);
    char base[RECORD_NAME_MAX];
    snprintf(base, sizeof(base), "%.*s", (int)(strlen(name) - strlen(SUFFIX)), name);
    AUTO_FREE struct leftover *leftover = calloc(1, sizeof(*leftover));
    if (!leftover)
        return error_errno(err, ENOMEM, "sweeping '%s'", base);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        leftover->cgroup.dir_fd[i] = -1;
    read_leftover(text, base, leftover);
    int r = remove_leftover(leftover, err);
    leftover_done(leftover);
    if (r < 0)
        return r;
    unlinkat(dir_fd, name, 0);
    return leftover->found;
}

static bool is_record(const char *name)
{
    size_t length = strlen(name);
    return strncmp(name, "oomlab-", strlen("oomlab-")) == 0 && length > strlen(SUFFIX) &&
           length < RECORD_NAME_MAX && strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static int sweep_directory(int dir_fd, int *ret_count, struct error *err)
{
    AUTO_CLOSE int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    if (!dir)
        return error_errno(err, errno, "listing the records");
    steal_fd(&own_fd);
    int result = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!is_record(entry->d_name))
            continue;
        int r = sweep_record(dir_fd, entry->d_name, err);
        if (r < 0)
            result = r;
        else
            *ret_count += r;
    }
    closedir(dir);
    return result;
}

int record_sweep(struct error *err)
{
    struct candidates list;
    find_candidates(&list);
    int count = 0;
    int result = 0;
    for (unsigned i = 0; i < list.count; i++) {
        AUTO_CLOSE int dir_fd = open_directory(list.path[i], false, err);
        int r = dir_fd < 0 ? dir_fd : sweep_directory(dir_fd, &count, err);
        if (r < 0 && r != -ENOENT)
            result = r;
    }
    return result < 0 ? error_wrap(err, "sweeping what earlier runs left") : count;
}
