/* SPDX-License-Identifier: Apache-2.0 */
#include "image/root.h"

#include "base/cleanup.h"
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define HIDE_DEPTH_MAX 256

void image_root_init(struct image_root *root, struct image_unpacking *unpacking)
{
    *root = (struct image_root){.unpacking = unpacking, .directory_fd = -1};
}

static void forget_directory(struct image_root *root)
{
    close_fd(&root->directory_fd);
}

void image_root_done(struct image_root *root)
{
    forget_directory(root);
    image_made_done(&root->made);
}

int image_root_count(struct image_root *root, struct error *err)
{
    if (root->unpacking->entries_left == 0)
        return error_usage(err, "the image has too many files");
    root->unpacking->entries_left--;
    return 0;
}

/* --- finding -------------------------------------------------------------------------------- */

int image_root_open(const struct image_root *root, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    long fd = 0;
    do
        fd =
            syscall(SYS_openat2, root->unpacking->root_fd, path[0] ? path : ".", &how, sizeof(how));
    while (fd < 0 && errno == EAGAIN); /* something was renamed elsewhere on this machine */
    return fd < 0 ? -errno : (int)fd;
}

/* One more directory of the path, below the one that `parent` is. */
static int make_next(struct image_root *root, int parent, const char *path, const char *name,
                     struct error *err)
{
    int fd = image_root_open(root, path, O_PATH | O_DIRECTORY);
    if (fd != -ENOENT)
        return fd >= 0 ? fd : error_errno(err, -fd, "its directory '%.300s'", path);
    int r = image_root_count(root, err);
    if (r < 0)
        return r;
    if (mkdirat(parent, name, 0755) < 0)
        return error_errno(err, errno, "making its directory '%.300s'", path);
    fd = image_root_open(root, path, O_PATH | O_DIRECTORY);
    return fd >= 0 ? fd : error_errno(err, -fd, "its directory '%.300s'", path);
}

/* The directory, made with all that is above it where a layer left that out. */
static int make_directories(struct image_root *root, const char *path, struct error *err)
{
    char part[PATH_MAX];
    AUTO_CLOSE int fd = image_root_open(root, "", O_PATH | O_DIRECTORY);
    snprintf(part, sizeof(part), "%s", path);
    for (char *at = part; fd >= 0 && *at;) {
        char *name = at;
        at += strcspn(at, "/");
        char separator = *at;
        *at = '\0';
        int next = make_next(root, fd, part, name, err);
        if (next < 0)
            return next;
        *at = separator;
        at += separator == '/';
        close_fd(&fd);
        fd = next;
    }
    return fd >= 0 ? steal_fd(&fd) : error_errno(err, -fd, "opening the image's root");
}

static int open_directory(struct image_root *root, const char *path, struct error *err)
{
    struct stat status;
    if (root->directory_fd >= 0 && strcmp(root->directory, path) == 0)
        return 0;
    forget_directory(root);
    int fd = image_root_open(root, path, O_PATH | O_DIRECTORY);
    if (fd == -ENOENT)
        fd = make_directories(root, path, err);
    else if (fd < 0)
        return error_errno(err, -fd, "its directory '%.300s'", path);
    if (fd < 0)
        return fd;
    root->directory_fd = fd;
    snprintf(root->directory, sizeof(root->directory), "%s", path);
    if (fstat(fd, &status) < 0)
        return error_errno(err, errno, "its directory '%.300s'", path);
    root->directory_ino = status.st_ino;
    return 0;
}

int image_root_find(struct image_root *root, const char *path, struct image_place *ret,
                    struct error *err)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) : 0, path);
    int r = open_directory(root, directory, err);
    if (r < 0)
        return r;
    *ret = (struct image_place){
        .fd = root->directory_fd,
        .ino = root->directory_ino,
        .name = slash ? slash + 1 : path,
    };
    return 0;
}

/* --- removing ------------------------------------------------------------------------------- */

int image_root_clear(const struct image_place *place, bool keep_directory, struct error *err)
{
    struct stat status;
    if (fstatat(place->fd, place->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, "looking at it");
    if (keep_directory && S_ISDIR(status.st_mode))
        return 1;
    int r = tree_remove(place->fd, place->name);
    return r < 0 ? error_errno(err, -r, "replacing it") : 0;
}

static int hide_below(struct image_root *root, int dir_fd, const char *name, unsigned depth,
                      struct error *err);

static int hide(struct image_root *root, int dir_fd, ino_t ino, const char *name, unsigned depth,
                struct error *err)
{
    struct stat status;
    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, "looking at '%.100s'", name);
    bool directory = S_ISDIR(status.st_mode);
    int r = directory ? hide_below(root, dir_fd, name, depth, err) : 0;
    if (r < 0 || image_made_has(&root->made, ino, name))
        return r;
    if (unlinkat(dir_fd, name, directory ? AT_REMOVEDIR : 0) < 0 && errno != ENOTEMPTY)
        return error_errno(err, errno, "removing '%.100s'", name);
    return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by HIDE_DEPTH_MAX */
static int hide_below(struct image_root *root, int dir_fd, const char *name, unsigned depth,
                      struct error *err)
{
    struct stat status;
    const struct dirent *entry = NULL;
    if (depth == HIDE_DEPTH_MAX)
        return error_usage(err, "its directories are nested more than %d deep", HIDE_DEPTH_MAX);
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory || fstat(fd, &status) < 0) {
        int errnum = errno;
        if (directory)
            closedir(directory);
        else if (fd >= 0)
            close(fd);
        return error_errno(err, errnum, "opening '%.100s'", name);
    }
    int r = 0;
    while (r == 0 && (entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = hide(root, fd, status.st_ino, entry->d_name, depth + 1, err);
    closedir(directory);
    return r;
}

int image_root_hide(struct image_root *root, const struct image_place *place, const char *name,
                    struct error *err)
{
    return hide(root, place->fd, place->ino, name, 0, err);
}

int image_root_hide_all(struct image_root *root, const struct image_place *place, struct error *err)
{
    return hide_below(root, place->fd, ".", 0, err);
}
