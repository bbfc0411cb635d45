/* SPDX-License-Identifier: Apache-2.0 */
/* How long the verdict on a very long series takes, beside one plain pass over the same samples in
 * the same run, and how much memory beyond them. Each case in a process of its own, of several
 * the fastest counts. The bars: so many plain passes at most; a quarter of the samples takes no
 * less than an eighth of the time and no more memory a sample (linear, not square); and so many
 * bytes a sample.
 *
 * Usage: verdict-speed. $OOMLAB_BENCH_SAMPLES is the number of samples (default 10 million). */
#include "analysis/verdict.h"
#include "base/cleanup.h"
#include "base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define RUNS        3
#define RATIO_BAR   25.0
#define GROWTH_BAR  8.0  /* four times the samples; 4 is linear, 16 square */
#define MEMORY_BAR  64.0 /* bytes a sample */
#define MEMORY_MORE 1.1
#define SAMPLES_MIN 1000000
#define MIB         1048576.0
#define SAMPLE_S    0.05
/* What a lifetime keeps in all; garbage of up to GARBAGE comes and goes. */
#define KEPT    (256 * MIB)
#define GARBAGE (32 * MIB)
#define START   (64 * MIB)

static const struct form {
    const char *name;
    size_t lifetimes,
        cycles; /* cycles in each lifetime, with a pause as long as a tenth after each */
} FORMS[] = {
    {"one lifetime", 1, 5},
    {"1000 lifetimes", 1000, 3},
    {"50 000 cycles", 1, 50000},
};

struct figures {
    double verdict_s, pass_s; /* CPU */
    double bytes;             /* beyond the samples */
    enum verdict_class class;
};

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory) {
        perror("verdict-speed");
        _exit(1);
    }
    return memory;
}

/* --- the series ------------------------------------------------------------------------------ */

/* One cycle and its pause after another; only the cycles have requests. */
static void make_spans(const struct form *form, double seconds, struct span *spans)
{
    double cycle_s = seconds / (double)form->cycles;
    for (size_t i = 0; i < form->cycles; i++) {
        double start = (double)i * cycle_s, end = start + cycle_s * 10 / 11;
        unsigned number = (unsigned)i + 1;
        spans[2 * i] = (struct span){SPAN_CYCLE, number, start, end};
        spans[2 * i + 1] = (struct span){SPAN_GAP, number, end, start + cycle_s};
    }
}

/* A leak per request under a collector's sawtooth and noise, without any page cache. */
static void make_points(const struct form *form, double seconds, struct random *random,
                        struct point *points, size_t count)
{
    double kept = START, garbage = 0, requests = 0, cycle_s = seconds / (double)form->cycles;
    for (size_t i = 0; i < count; i++) {
        double t = (double)i * SAMPLE_S;
        if (fmod(t, cycle_s) < cycle_s * 10 / 11) {
            requests++;
            kept += KEPT / (double)count;
            garbage = garbage >= GARBAGE ? 0 : garbage + GARBAGE / 100;
        }
        double anon = kept + garbage + (double)random_below(random, 65536);
        points[i] = (struct point){.t_s = t,
                                   .requests = requests,
                                   .working_set = anon,
                                   .anon = anon,
                                   .file = 0,
                                   .inactive_file = 0,
                                   .shmem = 0,
                                   .kernel = 0};
    }
}

static struct arm_series make_arm(const struct form *form, size_t samples)
{
    struct random random = {1};
    size_t each = samples / form->lifetimes;
    double seconds = (double)each * SAMPLE_S;
    struct point *points = allocate(each * form->lifetimes, sizeof(*points));
    struct span *spans = allocate(2 * form->cycles, sizeof(*spans));
    struct lifetime_series *lifetimes = allocate(form->lifetimes, sizeof(*lifetimes));
    make_spans(form, seconds, spans);
    for (size_t i = 0; i < form->lifetimes; i++) {
        struct point *own = points + i * each;
        make_points(form, seconds, &random, own, each);
        lifetimes[i] = (struct lifetime_series){.index = (unsigned)i + 1,
                                                .points = own,
                                                .count = each,
                                                .spans = spans,
                                                .span_count = 2 * form->cycles,
                                                .uptime_s = seconds,
                                                .requests_completed = own[each - 1].requests,
                                                .cause = CAUSE_OOM_CONTAINER_LIMIT,
                                                .level = LEVEL_MEASURED,
                                                .peak_bytes = NAN};
    }
    double limit = START + KEPT + GARBAGE;
    return (struct arm_series){limit, lifetimes, form->lifetimes};
}

/* --- what is measured ------------------------------------------------------------------------ */

/* Least and most of each figure of each sample. */
static double pass_over(const struct arm_series *arm)
{
    struct point least = arm->lifetimes[0].points[0], most = least;
    for (size_t i = 0; i < arm->count; i++) {
        for (size_t k = 0; k < arm->lifetimes[i].count; k++) {
            const struct point *point = &arm->lifetimes[i].points[k];
            least.requests = fmin(least.requests, point->requests);
            least.working_set = fmin(least.working_set, point->working_set);
            least.anon = fmin(least.anon, point->anon);
            most.requests = fmax(most.requests, point->requests);
            most.working_set = fmax(most.working_set, point->working_set);
            most.anon = fmax(most.anon, point->anon);
        }
    }
    return most.requests - least.requests + most.working_set - least.working_set + most.anon -
           least.anon;
}

static _Noreturn void measure_here(const struct form *form, size_t samples, struct figures *ret)
{
    struct arm_series arm = make_arm(form, samples);
    struct verdict verdict;
    double begun = cpu_s();
    volatile double sum = pass_over(&arm);
    ret->pass_s = cpu_s() - begun;
    double before = peak_bytes();
    begun = cpu_s();
    int r = verdict_of_arm(&arm, &verdict);
    ret->verdict_s = cpu_s() - begun;
    ret->bytes = peak_bytes() - before;
    ret->class = verdict.class;
    _exit(r < 0 || !(sum > 0));
}

/* The best of some processes. */
static int measure(const struct form *form, size_t samples, struct figures *shared,
                   struct figures *ret)
{
    *ret = (struct figures){.verdict_s = INFINITY, .pass_s = INFINITY};
    for (int i = 0; i < RUNS; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            measure_here(form, samples, shared);
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 0)
            return -EIO;
        ret->verdict_s = fmin(ret->verdict_s, shared->verdict_s);
        ret->pass_s = fmin(ret->pass_s, shared->pass_s);
        ret->bytes = fmax(ret->bytes, shared->bytes);
        ret->class = shared->class;
    }
    return 0;
}

static int judge(const struct form *form, size_t samples, struct figures *shared)
{
    struct figures quarter, all;
    if (measure(form, samples / 4, shared, &quarter) < 0 ||
        measure(form, samples, shared, &all) < 0) {
        fprintf(stderr, "verdict-speed: %s: a process failed\n", form->name);
        return 1;
    }
    double ratio = all.verdict_s / all.pass_s, growth = all.verdict_s / quarter.verdict_s;
    double bytes = all.bytes / (double)samples, before = quarter.bytes / ((double)samples / 4);
    printf("%-15s %zu samples: %s in %.2f s of CPU, a plain pass %.3f s, ratio %.1f; %.0f MiB "
           "beyond the samples, %.1f bytes each\n",
           form->name, samples, verdict_class_name(all.class), all.verdict_s, all.pass_s, ratio,
           all.bytes / MIB, bytes);
    printf("%-15s a quarter of them: %.2f s, %.1f bytes each; all take %.1f times as long\n", "",
           quarter.verdict_s, before, growth);
    bool right = all.class == VERDICT_LEAK, fast = ratio <= RATIO_BAR,
         linear = growth <= GROWTH_BAR && bytes <= MEMORY_MORE * before, lean = bytes <= MEMORY_BAR;
    printf("bar %s: a leak: %s; at most %.0f plain passes: %s; linear: %s; at most %.0f bytes a "
           "sample: %s\n",
           form->name, right ? "holds" : "FAILS", RATIO_BAR, fast ? "holds" : "FAILS",
           linear ? "holds" : "FAILS", MEMORY_BAR, lean ? "holds" : "FAILS");
    return right && fast && linear && lean ? 0 : 1;
}

int main(void)
{
    const char *text = getenv("OOMLAB_BENCH_SAMPLES");
    char *end = NULL;
    unsigned long long samples = text ? strtoull(text, &end, 10) : 10000000;
    int status = 0;
    if (samples < SAMPLES_MIN || (end && *end)) {
        fprintf(stderr,
                "verdict-speed: $OOMLAB_BENCH_SAMPLES: '%s' is not a number of at least "
                "%d\n",
                text, SAMPLES_MIN);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct figures *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("verdict-speed");
        return 1;
    }
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(*FORMS); i++)
        status |= judge(&FORMS[i], samples, shared);
    return status;
}
