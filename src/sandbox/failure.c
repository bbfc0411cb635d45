/* SPDX-License-Identifier: Apache-2.0 */
/* From a failed start's step and errno to what a person can act on. */
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/size.h"
#include "sandbox/container.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

const char *failure_step_text(enum child_step step)
{
    switch (step) {
    case CHILD_STEP_DEATH_SIGNAL:
        return "asking the kernel to kill it together with oomlab";
    case CHILD_STEP_DESCRIPTORS:
        return "arranging its descriptors";
    case CHILD_STEP_MOUNTS:
        return "making its mounts private";
    case CHILD_STEP_LAYER:
        return "putting a layer of its own over its root file system (overlayfs)";
    case CHILD_STEP_ROOT:
        return "entering its root file system";
    case CHILD_STEP_FURNISH:
        return "making /dev and /sys in its root file system";
    case CHILD_STEP_PROC:
        return "mounting its own /proc";
    case CHILD_STEP_HOSTNAME:
        return "setting its host name";
    case CHILD_STEP_SESSION:
        return "starting its session";
    case CHILD_STEP_DIRECTORY:
        return "changing to its working directory";
    case CHILD_STEP_OOM_SCORE:
        return "making the OOM killer treat it like any process";
    case CHILD_STEP_USER:
        return "becoming the user that its image names";
    case CHILD_STEP_PRIVILEGES:
        return "forbidding it new privileges";
    case CHILD_STEP_SIGNALS:
        return "resetting its signals";
    case CHILD_STEP_NAMESPACES:
        return "entering the container's namespaces";
    case CHILD_STEP_CLONE:
        return "making a process in the container";
    case CHILD_STEP_TERMINAL:
        return "opening a terminal in the container (its /dev/ptmx)";
    case CHILD_READY:
    case CHILD_OUTSIDE:
    case CHILD_STEP_EXEC:
    case CHILD_ENTERED:
        break;
    }
    return "preparing it";
}

static int limit_too_small(const struct sandbox *sandbox, struct error *err)
{
    char size[SIZE_TEXT_MAX];
    error_set(err, ENOMEM,
              "the memory limit of %s is too small to start a process at all; raise it",
              size_format(sandbox->memory_bytes, size));
    err->kind = ERROR_USAGE;
    return err->code;
}

int failure_reported(const struct sandbox *sandbox, const struct child_report *report,
                     struct error *err)
{
    if (report->errnum == ENOMEM && sandbox->memory_bytes)
        return limit_too_small(sandbox, err);
    if (report->step == CHILD_STEP_EXEC)
        return command_error(&sandbox->command, report->candidate, report->errnum, err);
    if (sandbox->new_user && (report->errnum == EPERM || report->errnum == EACCES) &&
        (report->step == CHILD_STEP_MOUNTS || report->step == CHILD_STEP_PROC))
        return error_unavailable(
            err,
            "%s is not permitted in a user namespace here. In a container, start that one "
            "with an unmasked /proc (podman run --security-opt unmask=ALL); on Ubuntu set "
            "kernel.apparmor_restrict_unprivileged_userns=0; or run oomlab as root",
            failure_step_text(report->step));
    if (report->step == CHILD_STEP_LAYER)
        return error_unavailable(
            err,
            "%s in '%s': %s. That takes Linux 5.11 for an ordinary user, and a file system with "
            "extended attributes (ext4, xfs, btrfs, tmpfs; no overlay): name a directory on one "
            "with --state",
            failure_step_text(report->step), sandbox->layer, strerrordesc_np(report->errnum));
    if (report->step == CHILD_STEP_ROOT || (report->step == CHILD_STEP_FURNISH &&
                                            (report->errnum == EROFS || report->errnum == EACCES)))
        return error_errno(err, report->errnum, "%s '%s'", failure_step_text(report->step),
                           sandbox->command.root);
    if (report->step == CHILD_STEP_DIRECTORY) {
        error_errno(err, report->errnum, "its working directory '%s'", sandbox->command.directory);
        err->kind = ERROR_USAGE;
        return err->code;
    }
    return error_errno(err, report->errnum, "%s", failure_step_text(report->step));
}

int failure_silent(const struct sandbox *sandbox, struct error *err)
{
    if (sandbox_wait_for_end(sandbox, clock_monotonic_ns() + SANDBOX_KILL_WAIT_NS) < 0)
        return error_set(err, ETIMEDOUT, "its process hangs while it is being set up");
    struct error ignored;
    struct cgroup_reader reader;
    struct metrics metrics = {.present = 0};
    if (cgroup_reader_open(&sandbox->cgroup, &reader, &ignored) == 0) {
        cgroup_reader_sample_events(&reader, &metrics);
        cgroup_reader_close(&reader);
    }
    if (metrics_has(&metrics, METRIC_OOM_KILL) && metrics.value[METRIC_OOM_KILL] > 0)
        return limit_too_small(sandbox, err);
    return error_set(err, ECHILD, "its process was killed before it could execute the command");
}

static bool has_ended(const struct sandbox *sandbox)
{
    struct pollfd end = {.fd = sandbox->pidfd, .events = POLLIN};
    return poll(&end, 1, 0) == 1;
}

bool failure_died_held(const struct sandbox *sandbox)
{
    char path[32];
    char name[32];
    snprintf(path, sizeof(path), "/proc/%d/comm", sandbox->pid);
    return has_ended(sandbox) && file_read_text(AT_FDCWD, path, name, sizeof(name)) > 0 &&
           strcmp(name, CHILD_HELD_NAME "\n") == 0;
}
