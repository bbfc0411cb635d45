/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/layer.h"

#include "base/cleanup.h"
#include "base/tree.h"
#include "sandbox/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void layer_remove(char *path)
{
    if (path)
        tree_remove(AT_FDCWD, path);
    free(path);
}

/* The overlay's root is its upper directory: it takes after the lower one. */
static int copy_mode(int layer_fd, const char *root)
{
    struct stat status;
    AUTO_CLOSE int fd = openat(layer_fd, ROOTFS_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || stat(root, &status) < 0)
        return -1;
    /* An ordinary user's files all are the user's. */
    if (geteuid() == 0 && fchown(fd, status.st_uid, status.st_gid) < 0)
        return -1;
    return fchmod(fd, status.st_mode & 07777);
}

static int fill(const char *path, const char *root)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || mkdirat(fd, ROOTFS_UPPER, 0755) < 0 || mkdirat(fd, ROOTFS_WORK, 0700) < 0 ||
        mkdirat(fd, ROOTFS_MERGED, 0755) < 0 || symlinkat(root, fd, ROOTFS_LOWER) < 0)
        return -1;
    return copy_mode(fd, root);
}

int layer_make(const char *path, const char *root, char **ret, struct error *err)
{
    char *made = strdup(path);
    if (!made)
        return error_errno(err, ENOMEM, "making a layer for what it writes");
    if (mkdir(path, 0700) < 0) {
        free(made);
        return error_errno(err, errno, "making '%s' for what it writes", path);
    }
    if (fill(path, root) < 0) {
        int r = error_errno(err, errno, "making '%s' for what it writes", path);
        layer_remove(made);
        return r;
    }
    *ret = made;
    return 0;
}
