/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/scope.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define JOB_WAIT_NS (15 * NS_PER_S)
#define SERVICE     "org.freedesktop.systemd1"
#define MANAGER     "org.freedesktop.systemd1.Manager"
#define OBJECT      "/org/freedesktop/systemd1"

static void bus_done(sd_bus **bus)
{
    sd_bus_flush_close_unref(*bus);
}

static void message_done(sd_bus_message **message)
{
    sd_bus_message_unref(*message);
}

bool scope_needed(void)
{
    return sd_booted() > 0;
}

/* Managers also listen on a socket of their own, for machines without a message bus. */
static int open_private(const char *address, sd_bus **ret)
{
    CLEANUP(bus_done) sd_bus *bus = NULL;
    int r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_address(bus, address);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r >= 0)
        *ret = steal_ptr(&bus);
    return r;
}

static int open_bus(sd_bus **ret, struct error *err)
{
    if (geteuid() == 0) {
        int r = sd_bus_open_system(ret);
        if (r < 0)
            r = open_private("unix:path=/run/systemd/private", ret);
        return r >= 0 ? 0
                      : error_unavailable(err,
                                          "systemd runs this machine but cannot be reached (%s). "
                                          "Start oomlab where the system bus is, not in a chroot",
                                          strerrordesc_np(-r));
    }
    int r = sd_bus_open_user(ret);
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (r < 0 && runtime) {
        char address[512];
        snprintf(address, sizeof(address), "unix:path=%s/systemd/private", runtime);
        r = open_private(address, ret);
    }
    return r >= 0 ? 0
                  : error_unavailable(
                        err,
                        "the systemd manager of user %u cannot be reached (%s), and only it may "
                        "make cgroups for an ordinary user. Log in as that user (ssh, machinectl "
                        "shell) instead of su, or run oomlab as root",
                        geteuid(), strerrordesc_np(-r));
}

int scope_check(struct error *err)
{
    CLEANUP(bus_done) sd_bus *bus = NULL;
    return open_bus(&bus, err);
}

struct job {
    char path[256];
    char result[32];
};

static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *error)
{
    (void)error;
    struct job *job = data;
    uint32_t id;
    const char *path;
    const char *unit;
    const char *result;
    int r = sd_bus_message_read(message, "uoss", &id, &path, &unit, &result);
    if (r >= 0 && strcmp(path, job->path) == 0)
        snprintf(job->result, sizeof(job->result), "%s", result);
    return 0;
}

static int append_request(sd_bus_message *message, const char *unit)
{
    int r = sd_bus_message_append(message, "ss", unit, "fail");
    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "(sv)");
    if (r >= 0)
        r = sd_bus_message_append(message, "(sv)(sv)(sv)(sv)(sv)(sv)",       /* */
                                  "Description", "s", "oomlab's containers", /* */
                                  "PIDs", "au", 1, (uint32_t)getpid(),       /* */
                                  "Delegate", "b", 1,                        /* */
                                  "MemoryAccounting", "b", 1,                /* */
                                  "CPUAccounting", "b", 1,                   /* */
                                  "TasksMax", "t", UINT64_MAX);
    if (r >= 0)
        r = sd_bus_message_append(message, "(sv)", "CollectMode", "s", "inactive-or-failed");
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return r < 0 ? r : sd_bus_message_append(message, "a(sa(sv))", 0);
}

static int call_start(sd_bus *bus, const char *unit, struct job *job, struct error *err)
{
    CLEANUP(message_done) sd_bus_message *request = NULL;
    CLEANUP(message_done) sd_bus_message *reply = NULL;
    CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_message_new_method_call(bus, &request, SERVICE, OBJECT, MANAGER,
                                           "StartTransientUnit");
    if (r >= 0)
        r = append_request(request, unit);
    if (r >= 0)
        r = sd_bus_call(bus, request, JOB_WAIT_NS / NS_PER_US, &error, &reply);
    const char *path = NULL;
    if (r >= 0)
        r = sd_bus_message_read(reply, "o", &path);
    if (r < 0)
        return error_unavailable(err,
                                 "systemd refused the scope '%s': %s. See its log "
                                 "(journalctl -e), or run oomlab as root",
                                 unit, error.message ? error.message : strerrordesc_np(-r));
    snprintf(job->path, sizeof(job->path), "%s", path);
    return 0;
}

static int wait_for_job(sd_bus *bus, const char *unit, struct job *job, struct error *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + JOB_WAIT_NS;
    while (!job->result[0]) {
        int r = sd_bus_process(bus, NULL);
        int64_t left_ns = deadline_ns - clock_monotonic_ns();
        if (r == 0 && left_ns <= 0)
            r = -ETIMEDOUT;
        if (r == 0)
            r = sd_bus_wait(bus, (uint64_t)(left_ns / NS_PER_US));
        if (r < 0 && r != -EINTR)
            return error_errno(err, -r, "waiting for systemd to start '%s'", unit);
    }
    if (strcmp(job->result, "done") != 0)
        return error_unavailable(err,
                                 "systemd could not start the scope '%s' (%s). See its log "
                                 "(journalctl -e)",
                                 unit, job->result);
    return 0;
}

int scope_enter(const char *name, struct error *err)
{
    char unit[160];
    snprintf(unit, sizeof(unit), "%s.scope", name);
    CLEANUP(bus_done) sd_bus *bus = NULL;
    int r = open_bus(&bus, err);
    if (r < 0)
        return r;
    struct job job = {.path = ""};
    r = sd_bus_match_signal(bus, NULL, NULL, OBJECT, MANAGER, "JobRemoved", on_job_removed, &job);
    if (r < 0)
        return error_errno(err, -r, "listening to systemd");
    r = call_start(bus, unit, &job, err);
    return r < 0 ? r : wait_for_job(bus, unit, &job, err);
}
