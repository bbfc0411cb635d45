/* SPDX-License-Identifier: Apache-2.0 */
/* Which hierarchy holds memory, where it is mounted and where we are in it. */
#include "kernel/cgroup-internal.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES   (16U << 20)
#define CONTROLLERS_TEXT 1024

static const char *const controller_names[CGROUP_CONTROLLERS] = {
    [CGROUP_MEMORY] = "memory",
    [CGROUP_CPU] = "cpu",
    [CGROUP_CPUACCT] = "cpuacct",
    [CGROUP_PIDS] = "pids",
};

const char *cgroup_controller_name(enum cgroup_controller controller)
{
    return controller_names[controller];
}

/* Whether the comma-separated list has the whole word. */
static bool comma_list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *p = list; *p;) {
        size_t span = strcspn(p, ",");
        if (span == length && memcmp(p, word, length) == 0)
            return true;
        p += span;
        p += *p == ',';
    }
    return false;
}

static bool copy_path(char *to, const char *from)
{
    size_t length = strlen(from);
    if (length >= CGROUP_PATH_MAX)
        return false;
    memcpy(to, from, length + 1);
    return true;
}

/* mountinfo writes blanks, tabs, newlines and backslashes as \NNN. */
static void unescape_octal(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* "4:memory:/path" or "0::/path". */
static void scan_membership_line(char *line, struct cgroup_scan *scan)
{
    char *rest = line;
    const char *id = strsep(&rest, ":");
    const char *controllers = strsep(&rest, ":");
    if (!controllers || !rest || rest[0] != '/')
        return;
    if (strcmp(id, "0") == 0 && !*controllers)
        scan->v2.member = copy_path(scan->v2.path, rest);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        if (comma_list_has(controllers, controller_names[i]))
            scan->v1[i].member = copy_path(scan->v1[i].path, rest);
}

void cgroup_scan_membership(char *text, struct cgroup_scan *scan)
{
    for (char *line; (line = strsep(&text, "\n"));)
        scan_membership_line(line, scan);
}

/* `path` relative to `root`: its end, starting with '/' or empty; NULL when it lies elsewhere. */
static const char *path_below(const char *path, const char *root)
{
    if (strcmp(root, "/") == 0) /* "/..": outside our cgroup namespace */
        return strncmp(path, "/..", 3) == 0 ? NULL : strcmp(path, "/") == 0 ? "" : path;
    size_t length = strlen(root);
    if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    return path + length;
}

static void offer_mount(struct cgroup_place *place, const char *root, const char *mount)
{
    bool covers = place->member && path_below(place->path, root);
    if (place->mounted && (place->covers || !covers))
        return;
    if (strlen(root) >= CGROUP_PATH_MAX || !copy_path(place->mount, mount))
        return;
    copy_path(place->root, root);
    place->mounted = true;
    place->covers = covers;
}

/* "31 23 0:28 ROOT MOUNT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS" */
static void scan_mount_line(char *line, struct cgroup_scan *scan)
{
    char *separator = strstr(line, " - ");
    if (!separator)
        return;
    *separator = '\0';
    char *rest = separator + 3;
    const char *type = strsep(&rest, " ");
    strsep(&rest, " ");
    const char *options = rest;
    rest = line;
    for (int i = 0; i < 3; i++)
        strsep(&rest, " ");
    char *root = strsep(&rest, " ");
    char *mount = strsep(&rest, " ");
    if (!root || !mount || !options || root[0] != '/' || mount[0] != '/')
        return;
    unescape_octal(root);
    unescape_octal(mount);
    if (strcmp(type, "cgroup2") == 0)
        offer_mount(&scan->v2, root, mount);
    if (strcmp(type, "cgroup") == 0)
        for (int i = 0; i < CGROUP_CONTROLLERS; i++)
            if (comma_list_has(options, controller_names[i]))
                offer_mount(&scan->v1[i], root, mount);
}

void cgroup_scan_mounts(char *text, struct cgroup_scan *scan)
{
    for (char *line; (line = strsep(&text, "\n"));)
        scan_mount_line(line, scan);
}

/* Our own cgroup's directory; the mount's top when the mount does not show it. */
static bool place_own(const struct cgroup_place *place, char own[static CGROUP_PATH_MAX])
{
    const char *below = place->covers ? path_below(place->path, place->root) : "";
    return snprintf(own, CGROUP_PATH_MAX, "%s%s", place->mount, below) < CGROUP_PATH_MAX;
}

/* The same as the kernel log names it. */
static bool place_kernel_own(const struct cgroup_place *place, char own[static CGROUP_PATH_MAX])
{
    return copy_path(own, place->covers ? place->path : place->root);
}

static const char *relative(const char *absolute)
{
    return absolute[1] ? absolute + 1 : ".";
}

static bool fill_v1(int root_fd, const struct cgroup_scan *scan, struct cgroup_host *host)
{
    host->version = CGROUP_V1;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        const struct cgroup_place *place = &scan->v1[i];
        if (!place->mounted)
            continue;
        if (!copy_path(host->mount[i], place->mount) || !place_own(place, host->own[i]))
            return false;
        host->available[i] =
            faccessat(root_fd, relative(host->own[i]), W_OK | X_OK, AT_EACCESS) == 0;
    }
    return place_kernel_own(&scan->v1[CGROUP_MEMORY], host->kernel_own);
}

static bool fill_v2(int root_fd, const struct cgroup_place *place, struct cgroup_host *host)
{
    host->version = CGROUP_V2;
    char name[CGROUP_PATH_MAX + sizeof("/cgroup.controllers")];
    char list[CONTROLLERS_TEXT] = "";
    char own[CGROUP_PATH_MAX];
    if (!place_own(place, own))
        return false;
    snprintf(name, sizeof(name), "%s/cgroup.controllers", relative(own));
    if (file_read_text(root_fd, name, list, sizeof(list)) < 0)
        list[0] = '\0';
    bool writable = faccessat(root_fd, relative(own), W_OK | X_OK, AT_EACCESS) == 0;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        copy_path(host->mount[i], place->mount);
        copy_path(host->own[i], own);
        /* CPU time is accounted in every v2 cgroup, whatever is enabled. */
        host->available[i] =
            writable && (i == CGROUP_CPUACCT || cgroup_list_has(list, controller_names[i]));
    }
    return place_kernel_own(place, host->kernel_own);
}

/* A v2 tree counts when its visible top has memory: below it, it can be enabled. */
static bool v2_has_memory(int root_fd, const struct cgroup_place *place)
{
    char name[CGROUP_PATH_MAX + sizeof("/cgroup.controllers")];
    char list[CONTROLLERS_TEXT];
    snprintf(name, sizeof(name), "%s/cgroup.controllers", relative(place->mount));
    return file_read_text(root_fd, name, list, sizeof(list)) >= 0 &&
           cgroup_list_has(list, controller_names[CGROUP_MEMORY]);
}

int cgroup_host_detect_at(int root_fd, struct cgroup_host *ret, struct error *err)
{
    AUTO_BUFFER membership = {0};
    AUTO_BUFFER mounts = {0};
    int r = file_read_all(root_fd, "proc/self/cgroup", FILE_MAX_BYTES, &membership, err);
    if (r >= 0)
        r = file_read_all(root_fd, "proc/self/mountinfo", FILE_MAX_BYTES, &mounts, err);
    if (r < 0)
        return error_wrap(err, "looking for the cgroup hierarchies");
    AUTO_FREE struct cgroup_scan *scan = calloc(1, sizeof(*scan));
    AUTO_FREE struct cgroup_host *host = calloc(1, sizeof(*host));
    if (!scan || !host)
        return error_errno(err, ENOMEM, "looking for the cgroup hierarchies");
    cgroup_scan_membership(membership.data, scan);
    cgroup_scan_mounts(mounts.data, scan);
    bool fits;
    if (scan->v1[CGROUP_MEMORY].mounted)
        fits = fill_v1(root_fd, scan, host);
    else if (scan->v2.mounted && v2_has_memory(root_fd, &scan->v2))
        fits = fill_v2(root_fd, &scan->v2, host);
    else
        return error_unavailable(
            err, "no cgroup hierarchy has the memory controller here. Mount cgroup2 on "
                 "/sys/fs/cgroup, and boot with cgroup_enable=memory if the kernel turns it off");
    if (!fits)
        return error_set(err, ENAMETOOLONG, "the path of our own cgroup is too long");
    *ret = *host;
    return 0;
}

int cgroup_host_detect(struct cgroup_host *ret, struct error *err)
{
    AUTO_CLOSE int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_errno(err, errno, "opening '/'");
    return cgroup_host_detect_at(root_fd, ret, err);
}
