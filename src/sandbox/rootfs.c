/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Relative paths: nothing in them needs to be escaped. "volatile" (Linux 5.10) spares the end of
 * the mount a sync of the whole disk, for files that go with it. */
int rootfs_overlay(const char *layer, bool new_user)
{
#define PLACES "lowerdir=" ROOTFS_LOWER ",upperdir=" ROOTFS_UPPER ",workdir=" ROOTFS_WORK
    static const char *const options[2][2] = {
        {PLACES ",volatile", PLACES},
        {PLACES ",userxattr,volatile", PLACES ",userxattr"},
    };
    if (chdir(layer) < 0)
        return -1;
    if (mount("overlay", ROOTFS_MERGED, "overlay", 0, options[new_user][0]) == 0)
        return 0;
    return errno == EINVAL ? mount("overlay", ROOTFS_MERGED, "overlay", 0, options[new_user][1])
                           : -1;
}

int rootfs_change_directory(const char *path)
{
    char part[PATH_MAX];
    size_t length = 0;
    if (chdir(path) == 0)
        return 0;
    if (errno != ENOENT || path[0] != '/')
        return -1;
    while (path[length] != '\0' && length + 1 < sizeof(part)) {
        do {
            part[length] = path[length];
            length++;
        } while (path[length] != '\0' && path[length] != '/' && length + 1 < sizeof(part));
        part[length] = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return -1;
    }
    return chdir(path);
}

int rootfs_enter(const char *root)
{
    int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0)
        return -1;
    /* Twice ".": the old root lies over the new one and needs no directory of its own in somebody's
     * image (pivot_root(2)). */
    bool entered = mount(root, root, NULL, MS_BIND | MS_REC, NULL) == 0 && chdir(root) == 0 &&
                   syscall(SYS_pivot_root, ".", ".") == 0 && fchdir(old) == 0;
    int errnum = errno;
    close(old);
    errno = errnum;
    return entered ? 0 : -1;
}

/* An image may lack it, or have a link in its place, which then leads elsewhere in the image. */
static int make_directory(const char *path)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : -1;
}

int rootfs_mount_proc(void)
{
    if (make_directory("/proc") < 0)
        return -1;
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* An ordinary user cannot make devices: the old root's are bound here. The same path without its
 * '/' is the old root's, because that is the working directory. */
static int bind_device(const char *path)
{
    if (access(path + 1, F_OK) < 0)
        return 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    close(fd);
    return mount(path + 1, path, NULL, MS_BIND, NULL);
}

static int make_devices(void)
{
    static const char *const devices[] = {"/dev/full", "/dev/null",    "/dev/random",
                                          "/dev/tty",  "/dev/urandom", "/dev/zero"};
    static const char *const links[][2] = {
        {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"},
        {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
        {"pts/ptmx", "/dev/ptmx"},
    };
    if (make_directory("/dev") < 0 ||
        mount("dev", "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k") < 0)
        return -1;
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (bind_device(devices[i]) < 0)
            return -1;
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            return -1;
    if (mkdir("/dev/shm", 01777) < 0 || mkdir("/dev/pts", 0755) < 0)
        return -1;
    /* Best effort: a kernel may lack it, and few services open a terminal. */
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
          "newinstance,ptmxmode=0666,mode=0620");
    return 0;
}

int rootfs_furnish(void)
{
    if (make_devices() < 0)
        return -1;
    /* Run times size their heaps by the cgroup files there. An image without a place for it goes
     * without. */
    if (make_directory("/sys") == 0)
        mount("sys", "/sys", NULL, MS_BIND | MS_REC, NULL);
    if (umount2(".", MNT_DETACH) < 0)
        return -1;
    return chdir("/");
}
