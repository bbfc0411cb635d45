/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the cgroup below which a run's cgroup may stand.
 *
 * v1: our own. v2 knows a rule against inner processes: a cgroup other than the hierarchy's root
 * cannot hold processes and hand out controllers too. So: the nearest one from our own upwards that
 * can have children with memory. If there is none because our own process stands in the way (a
 * systemd scope, a container whose visible root is its own cgroup), and only ours, it can move to a
 * leaf of its own; nobody else's process is ever moved. */
#include "sandbox/root.h"

#include "base/cleanup.h"
#include "sandbox/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int refuse_v1(const char *path, struct error *err)
{
    if (geteuid() != 0)
        return error_unavailable(
            err,
            "user %u may not make cgroups in '%s', and cgroup v1 cannot be delegated safely. Run "
            "oomlab as root, for example with sudo",
            geteuid(), path);
    return error_unavailable(err,
                             "cgroups cannot be made in '%s': it is not writable. In a container, "
                             "start that one with --privileged",
                             path);
}

static int refuse_v2(const struct cgroup_host *host, struct error *err)
{
    const char *path = host->own[CGROUP_MEMORY];
    if (geteuid() != 0)
        return error_unavailable(
            err,
            "user %u may not make memory cgroups in '%s' or above it. Run oomlab as root, for "
            "example with sudo, or on a systemd host from a login session",
            geteuid(), path);
    if (faccessat(AT_FDCWD, host->mount[CGROUP_MEMORY], W_OK, AT_EACCESS) < 0)
        return error_unavailable(err,
                                 "'%s' is not writable. In a container, start that one with "
                                 "--privileged",
                                 host->mount[CGROUP_MEMORY]);
    return error_unavailable(
        err,
        "the memory controller cannot be handed to children of '%s', because other processes live "
        "in it. Start oomlab as the container's only process, or move the others into a child: "
        "mkdir %s/init, and write their pids to its cgroup.procs",
        path, path);
}

static bool is_usable(const struct cgroup *cgroup)
{
    struct error ignored;
    return faccessat(cgroup->dir_fd[CGROUP_MEMORY], ".", W_OK | X_OK, AT_EACCESS) == 0 &&
           cgroup_enable_controllers(cgroup, &ignored) == 0;
}

/* The nearest usable one, from `cgroup` (taken over) upwards: 1, 0, or -errno. */
static int walk_up(const struct cgroup_host *host, struct cgroup *cgroup, struct error *err)
{
    for (;;) {
        if (is_usable(cgroup))
            return 1;
        struct cgroup above;
        int r = cgroup_open_above(host, cgroup, &above, err);
        cgroup_done(cgroup);
        if (r <= 0)
            return r;
        *cgroup = above;
    }
}

static bool is_ours_alone(const struct cgroup *cgroup)
{
    pid_t pids[2];
    return cgroup_members(cgroup, pids, 2) == 1 && pids[0] == getpid() &&
           faccessat(cgroup->dir_fd[CGROUP_MEMORY], ".", W_OK | X_OK, AT_EACCESS) == 0;
}

static int find_v2(const struct cgroup_host *host, bool in_scope, struct place *place,
                   struct error *err)
{
    int r = 0;
    if (!in_scope) {
        r = cgroup_open_own(host, &place->parent, err);
        if (r == 0)
            r = walk_up(host, &place->parent, err);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    r = cgroup_open_own(host, &place->parent, err);
    if (r < 0)
        return r;
    /* Without memory in cgroup.controllers there is nothing to hand out. */
    if (host->available[CGROUP_MEMORY] && is_ours_alone(&place->parent)) {
        place->needs_self = true;
        return 0;
    }
    cgroup_done(&place->parent);
    return refuse_v2(host, err);
}

static int find(const struct cgroup_host *host, bool in_scope, struct place *place,
                struct error *err)
{
    place->needs_self = false;
    if (host->version == CGROUP_V2)
        return find_v2(host, in_scope, place, err);
    if (!host->available[CGROUP_MEMORY])
        return refuse_v1(host->own[CGROUP_MEMORY], err);
    return cgroup_open_own(host, &place->parent, err);
}

static bool in_own_leaf(const struct cgroup_host *host)
{
    const char *own = host->own[CGROUP_MEMORY];
    const char *last = strrchr(own, '/');
    size_t length = strlen(own);
    size_t suffix = strlen(ROOT_SELF_SUFFIX);
    return host->version == CGROUP_V2 && last && strncmp(last, "/oomlab-", 8) == 0 &&
           length > suffix && strcmp(own + length - suffix, ROOT_SELF_SUFFIX) == 0;
}

int place_find(const char *scope_name, struct place *ret, struct error *err)
{
    AUTO_FREE struct cgroup_host *host = malloc(sizeof(*host));
    if (!host)
        return error_errno(err, ENOMEM, "looking for a place in the cgroup tree");
    int r = cgroup_host_detect(host, err);
    if (r < 0)
        return r;
    /* v1 cannot be delegated to an ordinary user: no need to ask. Nor where another root of this
     * process has a scope already: a second one would empty it, and systemd would remove it. */
    bool ordinary = geteuid() != 0;
    if (!scope_needed() || (ordinary && host->version == CGROUP_V1) || in_own_leaf(host))
        return find(host, false, ret, err);
    r = scope_enter(scope_name, err);
    if (r == 0)
        r = cgroup_host_detect(host, err);
    if (r == 0)
        return find(host, true, ret, err);
    /* No manager, but perhaps a cgroup that was delegated all the same: a service with
     * Delegate=yes. */
    struct error ignored;
    return ordinary && find(host, false, ret, &ignored) == 0 ? 0 : r;
}
