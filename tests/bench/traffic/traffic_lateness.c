/* SPDX-License-Identifier: Apache-2.0 */
/* How late requests leave and how long they take: the driver against the workload's /health, each
 * rate for some seconds, on a machine that is otherwise as busy as it is.
 *
 *     traffic_lateness [SECONDS [RATE...]]    default: 5 s each of 100/s, 1000/s and 5000/s */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "traffic/traffic.h"
#include "workload.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* p99 of sent - due at 1000/s: less than the time from one request to the next. */
#define BAR_RATE 1000
#define BAR_NS   NS_PER_MS

static pid_t start_workload(char url[static 64])
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {"workload", "--mode", "healthy", "--port", "0", NULL};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        _exit(workload_main(5, argv));
    }
    close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    unsigned port = 0;
    if (!out || fscanf(out, "[app] listening on :%u", &port) != 1)
        return -1;
    fclose(out);
    snprintf(url, 64, "http://127.0.0.1:%u", port);
    return pid;
}

static void signal_done(void *context)
{
    eventfd_write(*(int *)context, 1);
}

static void print_line(const char *name, const struct histogram *histogram)
{
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
    static const char *const labels[] = {"p50", "p90", "p99", "p99.9", "max"};
    printf("  %-9s", name);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++)
        printf("  %s %.0f us", labels[i],
               (double)histogram_quantile(histogram, quantiles[i]) / 1e3);
    printf("\n");
}

static void print_run(struct ring *outcomes, double rate)
{
    struct histogram *late = histogram_new(), *took = histogram_new();
    struct traffic_outcome outcome;
    unsigned failed = 0;
    while (late && took && ring_pop(outcomes, &outcome)) {
        failed += outcome.status != 200;
        if (outcome.sent_ns == 0)
            continue;
        histogram_record(late, outcome.sent_ns - outcome.due_ns);
        histogram_record(took, outcome.done_ns - outcome.sent_ns);
    }
    if (late && took) {
        printf("%.0f/s: %llu sent, %u failed\n", rate, (unsigned long long)histogram_count(late),
               failed);
        print_line("late by", late);
        print_line("latency", took);
        int64_t p99_ns = histogram_quantile(late, 0.99);
        if (rate == BAR_RATE)
            printf("bar late by p99 at %d/s: %.0f us < %lld us: %s\n", BAR_RATE,
                   (double)p99_ns / 1e3, (long long)(BAR_NS / NS_PER_US),
                   p99_ns < BAR_NS ? "holds" : "FAILS");
    }
    histogram_free(late);
    histogram_free(took);
}

static int run(const char *url, double rate, double seconds)
{
    const struct traffic_request request = {.method = "GET", .path = "/health", .weight = 1};
    const struct traffic_spec spec = {
        .requests = &request,
        .request_count = 1,
        .cycles = 1,
        .per_cycle = (unsigned)(rate * seconds),
        .rate_per_s = rate,
        .arrival = TRAFFIC_POISSON,
        .idle_ns = 100 * NS_PER_MS,
    };
    struct error err = {0};
    struct traffic_plan *plan = NULL;
    struct traffic *traffic = NULL;
    struct ring outcomes = {0};
    AUTO_CLOSE int done_fd = eventfd(0, EFD_CLOEXEC);
    struct traffic_options options = {
        .base_url = url, .outcomes = &outcomes, .on_done = signal_done, .context = &done_fd};
    int r = traffic_plan_new(&spec, &plan, &err);
    if (r == 0)
        r = ring_init(&outcomes, sizeof(struct traffic_outcome), spec.per_cycle);
    if (r == 0)
        r = traffic_start(plan, &options, clock_monotonic_ns(), &traffic, &err);
    if (r == 0) {
        eventfd_t times;
        eventfd_read(done_fd, &times);
        print_run(&outcomes, rate);
    } else {
        fprintf(stderr, "traffic_lateness: %s\n", err.text);
    }
    traffic_free(traffic);
    traffic_plan_free(plan);
    ring_done(&outcomes);
    return r;
}

int main(int argc, char **argv)
{
    static char *const usual[] = {"100", "1000", "5000", NULL};
    double seconds = argc > 1 ? atof(argv[1]) : 5;
    char *const *rates = argc > 2 ? argv + 2 : usual;
    char url[64];
    setvbuf(stdout, NULL, _IOLBF, 0);
    pid_t pid = start_workload(url);
    int status = pid < 0;
    for (; status == 0 && *rates; rates++)
        status = run(url, atof(*rates), seconds) < 0;
    if (pid > 0) {
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    }
    return status;
}
