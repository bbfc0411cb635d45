/* SPDX-License-Identifier: Apache-2.0 */
/* Open, create and remove cgroups. */
#include "kernel/cgroup-internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REMOVE_WAIT_NS (5 * NS_PER_S)
#define DEPTH_MAX      32
#define LIST_BYTES     1024

static void cgroup_init(struct cgroup *cgroup, enum cgroup_version version)
{
    memset(cgroup, 0, sizeof(*cgroup));
    cgroup->version = version;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        cgroup->dir_fd[i] = -1;
}

void cgroup_done(struct cgroup *cgroup)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        close_fd(&cgroup->dir_fd[i]);
}

static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int cgroup_open_own(const struct cgroup_host *host, struct cgroup *ret, struct error *err)
{
    CLEANUP(cgroup_done) struct cgroup cgroup;
    cgroup_init(&cgroup, host->version);
    snprintf(cgroup.kernel_path, sizeof(cgroup.kernel_path), "%s", host->kernel_own);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        bool wanted = host->version == CGROUP_V2 ? i == CGROUP_MEMORY : host->available[i];
        if (!wanted)
            continue;
        int fd = open_directory(host->own[i]);
        if (fd < 0 && i == CGROUP_MEMORY)
            return error_errno(err, -fd, "opening our own cgroup '%s'", host->own[i]);
        if (fd < 0)
            continue;
        cgroup.dir_fd[i] = fd;
        snprintf(cgroup.path[i], CGROUP_PATH_MAX, "%s", host->own[i]);
    }
    *ret = cgroup;
    cgroup_init(&cgroup, host->version);
    return 0;
}

static void cut_last_component(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = '\0';
}

int cgroup_open_above(const struct cgroup_host *host, const struct cgroup *cgroup,
                      struct cgroup *ret, struct error *err)
{
    const char *path = cgroup->path[CGROUP_MEMORY];
    if (cgroup->version != CGROUP_V2 || strcmp(path, host->mount[CGROUP_MEMORY]) == 0)
        return 0;
    struct cgroup above;
    cgroup_init(&above, CGROUP_V2);
    memcpy(above.path[CGROUP_MEMORY], path, CGROUP_PATH_MAX);
    memcpy(above.kernel_path, cgroup->kernel_path, CGROUP_PATH_MAX);
    cut_last_component(above.path[CGROUP_MEMORY]);
    cut_last_component(above.kernel_path);
    int fd = open_directory(above.path[CGROUP_MEMORY]);
    if (fd < 0)
        return error_errno(err, -fd, "opening '%s'", above.path[CGROUP_MEMORY]);
    above.dir_fd[CGROUP_MEMORY] = fd;
    *ret = above;
    return 1;
}

static const char *const v2_wanted[] = {"memory", "cpu", "pids"};

int cgroup_enable_controllers(const struct cgroup *cgroup, struct error *err)
{
    if (cgroup->version != CGROUP_V2)
        return 0;
    int dir_fd = cgroup->dir_fd[CGROUP_MEMORY];
    char enabled[LIST_BYTES];
    ssize_t n = file_read_text(dir_fd, "cgroup.subtree_control", enabled, sizeof(enabled));
    if (n < 0)
        return error_errno(err, (int)-n, "reading '%s/cgroup.subtree_control'",
                           cgroup->path[CGROUP_MEMORY]);
    for (size_t i = 0; i < sizeof(v2_wanted) / sizeof(*v2_wanted); i++) {
        if (cgroup_list_has(enabled, v2_wanted[i]))
            continue;
        char word[16];
        snprintf(word, sizeof(word), "+%s", v2_wanted[i]);
        int r = file_write_text(dir_fd, "cgroup.subtree_control", word);
        if (r < 0 && i == 0)
            return error_errno(err, -r, "enabling memory in '%s/cgroup.subtree_control'",
                               cgroup->path[CGROUP_MEMORY]);
    }
    return 0;
}

void cgroup_disable_controllers(const struct cgroup *cgroup)
{
    for (size_t i = 0; i < sizeof(v2_wanted) / sizeof(*v2_wanted); i++) {
        char word[16];
        snprintf(word, sizeof(word), "-%s", v2_wanted[i]);
        if (cgroup->version == CGROUP_V2)
            file_write_text(cgroup->dir_fd[CGROUP_MEMORY], "cgroup.subtree_control", word);
    }
}

/* Controllers mounted together share a directory: whether an earlier one is the same. */
static bool shares_directory(const struct cgroup *cgroup, int controller)
{
    for (int i = 0; i < controller; i++)
        if (strcmp(cgroup->path[i], cgroup->path[controller]) == 0)
            return true;
    return false;
}

/* Before 5.11 a v1 memory cgroup counted its children's memory only when told to. */
static int set_use_hierarchy(int dir_fd)
{
    char text[8];
    ssize_t n = file_read_text(dir_fd, "memory.use_hierarchy", text, sizeof(text));
    if (n < 0 || text[0] != '0')
        return 0;
    return file_write_text(dir_fd, "memory.use_hierarchy", "1");
}

static int join_path(char to[static CGROUP_PATH_MAX], const char *parent, const char *name)
{
    const char *slash = strcmp(parent, "/") == 0 ? "" : "/";
    int n = snprintf(to, CGROUP_PATH_MAX, "%s%s%s", parent, slash, name);
    return n < CGROUP_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int create_in(const struct cgroup *parent, const char *name, int i, struct cgroup *cgroup)
{
    int r = join_path(cgroup->path[i], parent->path[i], name);
    if (r < 0) {
        cgroup->path[i][0] = '\0';
        return r;
    }
    if (!shares_directory(cgroup, i) && mkdirat(parent->dir_fd[i], name, 0755) < 0) {
        r = -errno;
        cgroup->path[i][0] = '\0'; /* not ours to remove */
        return r;
    }
    int fd = openat(parent->dir_fd[i], name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    cgroup->dir_fd[i] = fd;
    if (i == CGROUP_MEMORY && cgroup->version == CGROUP_V1)
        return set_use_hierarchy(fd);
    return 0;
}

int cgroup_create(const struct cgroup *parent, const char *name, struct cgroup *ret,
                  struct error *err)
{
    struct cgroup cgroup;
    cgroup_init(&cgroup, parent->version);
    int r = join_path(cgroup.kernel_path, parent->kernel_path, name);
    for (int i = 0; r == 0 && i < CGROUP_CONTROLLERS; i++) {
        if (parent->dir_fd[i] < 0)
            continue;
        r = create_in(parent, name, i, &cgroup);
        if (r < 0)
            error_errno(err, -r, "creating the cgroup '%s/%s'", parent->path[i], name);
    }
    if (r < 0) {
        struct error ignored;
        cgroup_remove(&cgroup, &ignored);
        cgroup_done(&cgroup);
        return r;
    }
    *ret = cgroup;
    return 0;
}

int cgroup_each_child(int dir_fd, int (*visit)(int dir_fd, const char *name, void *data),
                      void *data)
{
    int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own_fd < 0)
        return -errno;
    DIR *dir = fdopendir(own_fd);
    if (!dir) {
        int errnum = errno;
        close(own_fd);
        return -errnum;
    }
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));)
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0)
            r = visit(dir_fd, entry->d_name, data);
    closedir(dir);
    return r;
}

struct removal {
    enum cgroup_version version;
    int64_t deadline_ns;
    int depth;
};

/* A member that is dying holds the directory for a moment. v2 tells when the last one is gone; v1
 * has no such event, so look again after a millisecond. */
static int wait_for_members(int dir_fd, const struct removal *removal)
{
    if (clock_monotonic_ns() >= removal->deadline_ns)
        return -EBUSY;
    if (removal->version == CGROUP_V2) {
        int r = cgroup_wait_empty(dir_fd, removal->deadline_ns);
        if (r < 0)
            return r == -ETIMEDOUT ? -EBUSY : r;
    }
    nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    return 0;
}

static int remove_at(int parent_fd, const char *name, void *data)
{
    struct removal *removal = data;
    if (removal->depth >= DEPTH_MAX)
        return -ELOOP;
    for (;;) {
        if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY && errno != ENOTEMPTY)
            return -errno;
        AUTO_CLOSE int fd =
            openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return errno == ENOENT ? 0 : -errno;
        removal->depth++;
        int r = cgroup_each_child(fd, remove_at, removal);
        removal->depth--;
        if (r == 0 && (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT))
            return 0;
        if (r == 0)
            r = wait_for_members(fd, removal);
        if (r < 0)
            return r;
    }
}

int cgroup_remove(const struct cgroup *cgroup, struct error *err)
{
    struct removal removal = {
        .version = cgroup->version,
        .deadline_ns = clock_monotonic_ns() + REMOVE_WAIT_NS,
    };
    int result = 0;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (!cgroup->path[i][0] || shares_directory(cgroup, i))
            continue;
        int r = remove_at(AT_FDCWD, cgroup->path[i], &removal);
        if (r < 0)
            result = error_errno(err, -r, "removing the cgroup '%s'", cgroup->path[i]);
    }
    return result;
}
