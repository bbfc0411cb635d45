/* SPDX-License-Identifier: Apache-2.0 */
/* The workload's life: settings, start-up allocation, serving, ticks, signals. */
#include "workload.h"

#include "app.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/size.h"
#include "http.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define HARD_OOM_STEP (50 * MIB)

/* Memory should grow by what the workload takes, by nothing else. */
static void make_memory_plain(void)
{
    mallopt(M_ARENA_MAX, 1);               /* or each thread starts a heap of its own */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* or one touched page may cost 2 MiB */
}

static int block_signals(struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (r != 0)
        return error_errno(err, r, "blocking signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? error_errno(err, errno, "waiting for signals") : fd;
}

static int start_worker(struct app *app, struct error *err)
{
    int r = workload_worker_start(&app->worker, err);
    if (r == 0)
        printf("[child] worker %d started\n", atomic_load(&app->worker.pid));
    return r;
}

/* Reap whoever ended: our worker, and as PID 1 of a container every orphan. A dead worker gets a
 * successor. */
static void reap(struct app *app)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != atomic_load(&app->worker.pid))
            continue;
        if (WIFSIGNALED(status))
            printf("[child] worker %d was killed by signal %d\n", pid, WTERMSIG(status));
        else
            printf("[child] worker %d exited with %d\n", pid, WEXITSTATUS(status));
        struct error err = {0};
        if (start_worker(app, &err) < 0)
            log_error("workload: %s", err.text);
    }
}

/* Handle the signals that came; true: the workload has to end. */
static bool handle_signals(struct app *app, int signal_fd)
{
    struct signalfd_siginfo info;
    bool stop = false;
    while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(app);
        else
            stop = true;
    }
    return stop;
}

/* MODE=hard-oom: the lines are the original lab's. True: a signal asked to end. */
static bool allocate_at_startup(struct app *app, int signal_fd)
{
    uint64_t total = app->config.hard_oom_bytes;
    printf("[hard-oom] allocating %" PRIu64 " MiB at startup (will exceed cgroup limit)\n",
           total / MIB);
    for (uint64_t done = 0; done < total;) {
        uint64_t step = total - done < HARD_OOM_STEP ? total - done : HARD_OOM_STEP;
        int r = workload_app_fill_startup(app, step);
        if (r < 0) {
            printf("[hard-oom] stopped at %" PRIu64 "/%" PRIu64 " MiB: %s\n", done / MIB,
                   total / MIB, strerrordesc_np(-r));
            return false;
        }
        done += step;
        printf("[hard-oom] allocated %" PRIu64 "/%" PRIu64 " MiB\n", done / MIB, total / MIB);
        if (handle_signals(app, signal_fd))
            return true;
    }
    return false;
}

static void leak_tick(struct app *app)
{
    uint64_t tick = atomic_fetch_add(&app->ticks, 1) + 1;
    int r = workload_app_retain(app, app->config.tick_bytes);
    if (r < 0)
        printf("[leak] tick %" PRIu64 ": nothing retained: %s\n", tick, strerrordesc_np(-r));
    else
        printf("[leak] tick %" PRIu64 ": +%" PRIu64 " MiB, total retained %" PRIu64 " MiB\n", tick,
               app->config.tick_bytes / MIB, workload_app_retained_bytes(app) / MIB);
}

/* A timer that fires every interval; without ticks one that never does. */
static int open_ticker(const struct config *config, struct error *err)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return error_errno(err, errno, "making a timer");
    if (config->mode != MODE_LEAK)
        return fd;
    struct timespec interval = {.tv_sec = (time_t)(config->tick_ns / NS_PER_S),
                                .tv_nsec = (long)(config->tick_ns % NS_PER_S)};
    struct itimerspec when = {.it_interval = interval, .it_value = interval};
    timerfd_settime(fd, 0, &when, NULL);
    return fd;
}

static void serve_until_signal(struct app *app, int signal_fd, int tick_fd)
{
    struct pollfd polled[] = {{.fd = signal_fd, .events = POLLIN},
                              {.fd = tick_fd, .events = POLLIN}};
    if (app->config.mode == MODE_LEAK)
        leak_tick(app);
    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return;
        if (handle_signals(app, signal_fd))
            return;
        uint64_t times;
        if (read(tick_fd, &times, sizeof(times)) == (ssize_t)sizeof(times))
            leak_tick(app);
    }
}

/* From a ready app to its end. */
static int serve(struct app *app, int signal_fd, struct error *err)
{
    int r = 0;
    if (app->config.mode == MODE_HARD_OOM && allocate_at_startup(app, signal_fd))
        return 0;
    if (app->config.mode == MODE_CHILD && (r = start_worker(app, err)) < 0)
        return r;
    AUTO_CLOSE int tick_fd = open_ticker(&app->config, err);
    if (tick_fd < 0)
        return tick_fd;
    struct http *http = NULL;
    uint16_t port = 0;
    r = workload_http_start(app, &http, &port, err);
    if (r < 0)
        return r;
    printf("[app] listening on :%u\n", port);
    serve_until_signal(app, signal_fd, tick_fd);
    eventfd_write(app->stop_fd, 1);
    workload_http_stop(http);
    return 0;
}

static int run(int argc, char **argv, struct error *err)
{
    struct config config;
    int r = workload_config_read(argc, argv, &config, err);
    if (r < 0)
        return r;
    if (config.help) {
        workload_config_print_help(stdout);
        return 0;
    }
    make_memory_plain();
    AUTO_CLOSE int signal_fd = block_signals(err);
    if (signal_fd < 0)
        return signal_fd;
    struct app app;
    r = workload_app_init(&app, &config, err);
    if (r == 0)
        r = serve(&app, signal_fd, err);
    workload_app_done(&app);
    return r;
}

int workload_main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct error err = {0};
    if (run(argc, argv, &err) == 0)
        return 0;
    log_error("workload: %s", err.text);
    return err.kind == ERROR_USAGE ? 2 : 1;
}
