/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one serve: its lock, its session, its loop, its end. */
#include "api/serve.h"

#include "api/exec.h"
#include "api/http.h"
#include "api/ingress.h"
#include "api/model.h"
#include "api/stream.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS        1000
#define GIVE_UP_S      10
#define TRIM_EVERY     60 /* ticks */
#define SESSIONS_MAX   8  /* directories with consoles that are kept */
#define STOP_GRACE_MAX (60 * NS_PER_S)

struct running {
    struct serve serve;
    uv_signal_t terminate, interrupt;
    int lock_fd;
    unsigned ticks;
    bool handles, attached;
    int64_t give_up_ns; /* CLOCK_MONOTONIC; 0: the evidence can be written */
};

/* --- directories ---------------------------------------------------------------------------- */

static int make_directory(const char *path, struct error *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_errno(err, errno, "making '%s'", path);
    return 0;
}

static int lock_state(struct running *running, struct error *err)
{
    AUTO_FREE char *path = NULL;
    const char *directory = running->serve.options->directory;
    if (asprintf(&path, "%s/lock", directory) < 0)
        return error_errno(err, ENOMEM, "locking '%s'", directory);
    running->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (running->lock_fd < 0)
        return error_errno(err, errno, "opening '%s'", path);
    if (flock(running->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return error_usage(err,
                           "another oomlab serve uses '%s'; stop it, or name another "
                           "directory with --state",
                           directory);
    return 0;
}

static int newest_last(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Their events and metrics are in state.db; what goes are console logs and raw evidence. */
static void remove_old_sessions(const char *sessions)
{
    struct dirent **entries = NULL;
    int count = scandir(sessions, &entries, no_dots, newest_last);
    for (int i = 0; i < count; i++) {
        AUTO_FREE char *path = NULL;
        if (i + SESSIONS_MAX < count && asprintf(&path, "%s/%s", sessions, entries[i]->d_name) > 0)
            tree_remove(AT_FDCWD, path);
        free(entries[i]);
    }
    free(entries);
}

static int make_session(struct serve *serve, struct error *err)
{
    const char *directory = serve->options->directory;
    char sessions[4200];
    char stamp[32];
    unsigned random = 0;
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &parts);
    if (getrandom(&random, sizeof(random), 0) < 0)
        random = (unsigned)getpid();
    snprintf(serve->session, sizeof(serve->session), "%s-serve-%08x", stamp, random);
    snprintf(sessions, sizeof(sessions), "%s/sessions", directory);
    int length = snprintf(serve->directory, sizeof(serve->directory), "%s/sessions/%s", directory,
                          serve->session);
    if (length < 0 || (size_t)length >= sizeof(serve->directory))
        return error_usage(err, "the state's path is too long");
    int r = make_directory(sessions, err);
    if (r == 0)
        remove_old_sessions(sessions);
    return r == 0 ? make_directory(serve->directory, err) : r;
}

/* --- the session's evidence ------------------------------------------------------------------- */

static int record_session(struct running *running, struct error *err)
{
    struct serve *serve = &running->serve;
    char path[4200];
    serve->realtime_offset_ns = clock_realtime_ns() - clock_monotonic_ns();
    int r = state_run(serve->state, err, "INSERT INTO session VALUES (?, ?, ?, 0, 0)", "sii",
                      serve->session, clock_realtime_ns(), serve->realtime_offset_ns);
    snprintf(path, sizeof(path), "%s/evidence.db", serve->directory);
    if (r == 0)
        r = state_run(serve->state, err, "ATTACH ? AS evidence", "s", path);
    running->attached = r == 0;
    return r;
}

static int open_platform(struct running *running, struct error *err)
{
    struct serve *serve = &running->serve;
    const struct platform_options options = {
        .directory = serve->directory,
        .run_id = serve->session,
        .store = serve->store,
        .sample_rate_hz = serve->options->sample_rate_hz,
    };
    int r = store_writer_start(serve->store, err);
    if (r == 0)
        r = platform_new(&options, &serve->platform, err);
    if (r == 0)
        serve->loop = platform_loop(serve->platform);
    return r;
}

/* --- the loop ------------------------------------------------------------------------------- */

static void stop(struct serve *serve)
{
    if (serve->stopping)
        return;
    serve->stopping = true;
    images_cancel(serve);
    execs_stop(serve);
    streams_stop(serve);
    sd_notify(0, "STOPPING=1");
    for (struct app *app = serve->apps; app; app = app->next) {
        ingress_close(app);
        app_stop(app);
    }
    controller_later(serve);
}

static void hurry(struct serve *serve)
{
    for (struct app *app = serve->apps; app; app = app->next) {
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            for (struct app_replica *p = r->replicas; p; p = p->next)
                replica_hurry(p->replica);
        }
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct serve *serve = handle->data;
    (void)number;
    if (serve->stopping)
        hurry(serve);
    else
        stop(serve);
}

/* Without evidence no end of a replica is told any more, and so none is waited for: the containers
 * are killed, and if that does not end serve, it ends as by SIGKILL, after which the next start
 * clears up. */
static void give_up(struct running *running)
{
    if (running->give_up_ns == 0) {
        log_error("the evidence cannot be written any more: stopping");
        stop(&running->serve);
        hurry(&running->serve);
        running->give_up_ns = clock_monotonic_ns() + GIVE_UP_S * NS_PER_S;
    } else if (clock_monotonic_ns() >= running->give_up_ns) {
        _exit(EXIT_FAILURE);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct running *running = timer->data;
    struct error err;
    if (store_failed(running->serve.store))
        give_up(running);
    if (pump_run(&running->serve, &err) < 0 && running->ticks % TRIM_EVERY == 0)
        log_warning("%s", err.text);
    streams_tick(&running->serve);
    if (++running->ticks % TRIM_EVERY == 0) {
        operations_trim(&running->serve, false);
        if (pump_trim(&running->serve, &err) < 0)
            log_warning("%s", err.text);
    }
}

static void start_handles(struct running *running)
{
    struct serve *serve = &running->serve;
    uv_timer_init(serve->loop, &serve->tick);
    uv_timer_init(serve->loop, &serve->later);
    uv_timer_init(serve->loop, &serve->progress);
    uv_idle_init(serve->loop, &serve->starting);
    uv_signal_init(serve->loop, &running->terminate);
    uv_signal_init(serve->loop, &running->interrupt);
    serve->tick.data = running;
    serve->later.data = serve->starting.data = serve->progress.data = serve;
    running->terminate.data = running->interrupt.data = serve;
    uv_timer_start(&serve->tick, on_tick, TICK_MS, TICK_MS);
    uv_signal_start(&running->terminate, on_signal, SIGTERM);
    uv_signal_start(&running->interrupt, on_signal, SIGINT);
    running->handles = true;
}

/* An app whose first revision was not written yet when serve was killed was never acknowledged. */
static int drop_unfinished(struct serve *serve, struct error *err)
{
    struct app **link = &serve->apps;
    while (*link) {
        struct app *app = *link;
        if (app->revisions) {
            link = &app->next;
            continue;
        }
        int r = app_delete(app, err);
        if (r < 0)
            return r;
        *link = app->next;
        app_free(app);
    }
    return 0;
}

/* It ran before, with other limits of serve perhaps. */
static void tell_not_started(struct app_revision *revision, const struct error *err)
{
    log_warning("revision '%s': %s", revision->name, err->text);
    app_event(revision->app, revision->name, "Warning", "RevisionStartFailed",
              "Revision '%s' was not started again: %s", revision->name, err->text);
    revision_fail(revision, err->text);
}

static void start_apps(struct serve *serve)
{
    struct error err;
    for (struct app *app = serve->apps; app; app = app->next) {
        if (ingress_open(app, &err) < 0)
            log_warning("app '%s': %s", app->name, err.text);
        for (struct app_revision *r = app->revisions; r; r = r->next) {
            if (r->active && revision_start(r, &err) < 0)
                tell_not_started(r, &err);
        }
    }
}

static void announce(const struct serve *serve)
{
    log_info("serving on %s",
             serve->socket_is_managers ? "systemd's socket" : serve->options->socket);
    if (serve->options->tcp) {
        log_info("the page for a browser: 'cat %s/page' prints its address",
                 serve->options->directory);
        log_info("serving on http://127.0.0.1:%u, token in %s/token", serve->tcp_port,
                 serve->options->directory);
    }
    if (serve->options->systemd)
        sd_notify(0, "READY=1");
}

/* --- beginning and end ------------------------------------------------------------------------ */

/* Each replica needs some twenty descriptors. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int begin(struct running *running, struct error *err)
{
    struct serve *serve = &running->serve;
    int r = make_directory(serve->options->directory, err);
    if (r == 0)
        r = lock_state(running, err);
    if (r == 0)
        r = state_open(serve->options->directory, &serve->state, err);
    if (r == 0)
        r = pump_recover(serve, serve->options->directory, err);
    if (r == 0)
        r = model_load(serve, err);
    if (r == 0)
        r = drop_unfinished(serve, err);
    if (r == 0)
        r = make_session(serve, err);
    if (r == 0)
        r = store_create(serve->directory, &serve->store, err);
    if (r == 0)
        r = record_session(running, err);
    if (r == 0)
        r = open_platform(running, err);
    if (r == 0)
        r = images_open(serve, err);
    if (r == 0) {
        start_handles(running);
        r = http_open(serve, &serve->listeners, err);
    }
    return r;
}

static void end(struct running *running)
{
    struct serve *serve = &running->serve;
    struct error err;
    http_close(serve->listeners);
    if (running->handles) {
        uv_close((uv_handle_t *)&serve->tick, NULL);
        uv_close((uv_handle_t *)&serve->later, NULL);
        uv_close((uv_handle_t *)&serve->progress, NULL);
        uv_close((uv_handle_t *)&serve->starting, NULL);
        uv_close((uv_handle_t *)&running->terminate, NULL);
        uv_close((uv_handle_t *)&running->interrupt, NULL);
    }
    if (running->attached && pump_run(serve, &err) < 0)
        log_warning("%s", err.text);
    for (struct app *app = serve->apps; app; app = app->next)
        ingress_close(app);
    platform_free(serve->platform);
    if (serve->store && store_writer_stop(serve->store, &err) < 0)
        log_warning("%s", err.text);
    operations_trim(serve, true);
    image_cache_free(serve->images);
    model_free(serve);
    free(serve->tickets);
    state_close(serve->state);
    store_close(serve->store);
    close_fd(&running->lock_fd);
}

int serve_run(const struct serve_options *options, struct error *err)
{
    struct running *running = calloc(1, sizeof(*running));
    if (!running)
        return error_errno(err, ENOMEM, "starting");
    running->serve.options = options;
    running->lock_fd = -1;
    raise_descriptors();
    int r = begin(running, err);
    if (r == 0) {
        images_sweep(&running->serve);
        start_apps(&running->serve);
        announce(&running->serve);
        uv_run(running->serve.loop, UV_RUN_DEFAULT);
    }
    end(running);
    free(running);
    return r;
}
