/* SPDX-License-Identifier: Apache-2.0 */
/* A run's place in the cgroup tree, from the record that shows who owns it to its removal. */
#include "sandbox/root.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KILL_WAIT_NS (10 * NS_PER_S)
#define SELF_MEMBERS 64 /* oomlab, and what it may have forked */
#define RUN_ID_MAX   64
#define NAME_BYTES   (RUN_ID_MAX + 32)

bool root_has_capability(int capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

bool sandbox_has_one_user(void)
{
    return !root_has_capability(CAP_SYS_ADMIN);
}

static int check_run_id(const char *run_id, struct error *err)
{
    size_t length = strlen(run_id);
    bool good = length > 0 && length <= RUN_ID_MAX;
    for (const char *p = run_id; *p; p++)
        good = good && (isalnum((unsigned char)*p) || strchr("._-", *p));
    return good ? 0
                : error_usage(err,
                              "the run id '%.80s' must be 1 to %d letters, digits, dots, "
                              "underscores or dashes",
                              run_id, RUN_ID_MAX);
}

/* Write down what is about to be made. */
static int record_paths(const struct sandbox_root *root, const char *name, struct error *err)
{
    char path[CGROUP_PATH_MAX + NAME_BYTES + sizeof(ROOT_SELF_SUFFIX)];
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (root->parent.dir_fd[i] < 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", root->parent.path[i], name);
        int r =
            record_add(&root->record, cgroup_controller_name((enum cgroup_controller)i), path, err);
        if (r < 0)
            return r;
    }
    if (!root->has_self)
        return 0;
    snprintf(path, sizeof(path), "%s/%s" ROOT_SELF_SUFFIX, root->parent.path[CGROUP_MEMORY], name);
    return record_add(&root->record, "self", path, err);
}

/* Leave `parent` for a leaf of our own, so that it can hand out controllers. */
static int move_to_leaf(struct sandbox_root *root, const char *name, struct error *err)
{
    char leaf[NAME_BYTES + sizeof(ROOT_SELF_SUFFIX)];
    snprintf(leaf, sizeof(leaf), "%s" ROOT_SELF_SUFFIX, name);
    int r = cgroup_create(&root->parent, leaf, &root->self, err);
    if (r == 0)
        r = cgroup_attach(&root->self, getpid(), err);
    if (r == 0)
        r = cgroup_enable_controllers(&root->parent, err);
    return r;
}

static bool is_inside(const struct cgroup *cgroup)
{
    pid_t pids[SELF_MEMBERS];
    int count = cgroup_members(cgroup, pids, SELF_MEMBERS);
    for (int i = 0; i < count; i++)
        if (pids[i] == getpid())
            return true;
    return false;
}

/* Undo it: possible again once nothing below `parent` uses a controller. */
static int leave_leaf(struct sandbox_root *root)
{
    struct error ignored;
    if (is_inside(&root->self)) {
        cgroup_disable_controllers(&root->parent);
        int r = cgroup_attach(&root->parent, getpid(), &ignored);
        if (r < 0)
            return r;
    }
    return cgroup_remove(&root->self, &ignored);
}

static int build(struct sandbox_root *root, const char *name, struct error *err)
{
    int r = record_open(name, &root->record, err);
    if (r == 0)
        r = record_paths(root, name, err);
    if (r == 0 && root->has_self)
        r = move_to_leaf(root, name, err);
    if (r == 0)
        r = cgroup_create(&root->parent, name, &root->cgroup, err);
    if (r == 0)
        r = cgroup_enable_controllers(&root->cgroup, err);
    return r;
}

static void cgroup_clear(struct cgroup *cgroup)
{
    memset(cgroup, 0, sizeof(*cgroup));
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        cgroup->dir_fd[i] = -1;
}

int sandbox_root_new(const char *run_id, struct sandbox_root **ret, struct error *err)
{
    int r = check_run_id(run_id, err);
    if (r < 0)
        return r;
    struct error ignored; /* what cannot be swept must not keep a run from starting */
    record_sweep(&ignored);
    char name[NAME_BYTES];
    snprintf(name, sizeof(name), "oomlab-%s", run_id);
    struct sandbox_root *root = calloc(1, sizeof(*root));
    if (!root)
        return error_errno(err, ENOMEM, "preparing the run's cgroup");
    cgroup_clear(&root->parent);
    cgroup_clear(&root->cgroup);
    cgroup_clear(&root->self);
    root->record = RECORD_NONE;
    root->needs_user_namespace = sandbox_has_one_user();
    struct place place = {.parent = root->parent};
    r = place_find(name, &place, err);
    if (r == 0) {
        root->parent = place.parent;
        root->has_self = place.needs_self;
        r = build(root, name, err);
    }
    if (r < 0) {
        sandbox_root_free(root);
        return error_wrap(err, "preparing the run's cgroup");
    }
    *ret = root;
    return 0;
}

/* Whatever could not be removed stays on record for the next start. */
void sandbox_root_free(struct sandbox_root *root)
{
    if (!root)
        return;
    struct error ignored;
    int r = 0;
    if (root->cgroup.dir_fd[CGROUP_MEMORY] >= 0) {
        cgroup_kill_all(&root->cgroup, clock_monotonic_ns() + KILL_WAIT_NS, &ignored);
        r = cgroup_remove(&root->cgroup, &ignored);
    }
    if (root->self.dir_fd[CGROUP_MEMORY] >= 0 && leave_leaf(root) < 0)
        r = -EBUSY;
    if (r < 0)
        record_abandon(&root->record);
    else
        record_drop(&root->record);
    cgroup_done(&root->self);
    cgroup_done(&root->cgroup);
    cgroup_done(&root->parent);
    free(root);
}

enum cgroup_version sandbox_root_version(const struct sandbox_root *root)
{
    return root->cgroup.version;
}

int sandbox_sweep(struct error *err)
{
    return record_sweep(err);
}
