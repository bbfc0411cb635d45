/* SPDX-License-Identifier: Apache-2.0 */
/* A directory that is not empty moves up into the tree's top until its turn comes, so that there
 * are never more than two levels. */
#include "base/tree.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

struct tree {
    int fd;
    unsigned moved; /* for names */
};

static int open_directory(int dir_fd, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, name, flags);
    if (fd < 0 && errno == EACCES && fchmodat(dir_fd, name, 0700, 0) == 0)
        fd = openat(dir_fd, name, flags);
    if (fd < 0)
        return -errno;
    fchmod(fd, 0700); /* to change what is in it, too; root needs none of this */
    return fd;
}

static int move_up(struct tree *tree, int dir_fd, const char *name)
{
    char moved[32];
    bool opened = false;
    for (;;) {
        snprintf(moved, sizeof(moved), "moved-%u", tree->moved++);
        if (renameat(dir_fd, name, tree->fd, moved) == 0)
            return 0;
        if (errno == EACCES && !opened) {
            opened = true;
            fchmodat(dir_fd, name, 0700, 0);
        } else if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) {
            return -errno;
        }
    }
}

/* 0: gone; 1: a directory with something in it; or -errno. */
static int remove_one(int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -errno;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
        return 0;
    return errno == ENOTEMPTY || errno == EEXIST ? 1 : -errno;
}

typedef int (*tree_visitor)(struct tree *tree, int dir_fd, const char *name);

/* Returns how many entries there were, or -errno. */
static int visit(struct tree *tree, int dir_fd, tree_visitor visitor)
{
    int copy = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    if (!directory) {
        int r = -errno;
        if (copy >= 0)
            close(copy);
        return r;
    }
    rewinddir(directory);
    int count = 0;
    int r = 0;
    const struct dirent *entry = NULL;
    while (r == 0 && (entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        r = visitor(tree, dir_fd, entry->d_name);
        count += count < INT_MAX;
    }
    closedir(directory);
    return r < 0 ? r : count;
}

static int lift(struct tree *tree, int dir_fd, const char *name)
{
    int r = remove_one(dir_fd, name);
    return r == 1 ? move_up(tree, dir_fd, name) : r;
}

/* 0: gone; 1: a directory with something in it, now open as *ret_fd; or -errno. */
static int remove_or_open(int dir_fd, const char *name, int *ret_fd)
{
    int r = remove_one(dir_fd, name);
    if (r != 1)
        return r;
    *ret_fd = open_directory(dir_fd, name);
    return *ret_fd < 0 ? *ret_fd : 1;
}

static int remove_below_top(struct tree *tree, int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = -1;
    int r = remove_or_open(dir_fd, name, &fd);
    if (r <= 0)
        return r;
    r = visit(tree, fd, lift);
    if (r >= 0)
        r = remove_one(dir_fd, name);
    return r > 0 ? -ENOTEMPTY : r;
}

int tree_remove(int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = -1;
    int r = remove_or_open(dir_fd, name, &fd);
    if (r <= 0)
        return r;
    struct tree tree = {.fd = fd};
    do
        r = visit(&tree, fd, remove_below_top);
    while (r > 0);
    if (r == 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
        r = -errno;
    return r;
}
