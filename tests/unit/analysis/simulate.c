/* SPDX-License-Identifier: Apache-2.0 */
#include "simulate.h"

#include <math.h>
#include <stdlib.h>

#define MIB           1048576.0
#define STEP_S        0.002
#define LIFETIMES_MAX 12
#define BURSTS_MAX    64

const char *model_name(enum model model)
{
    static const char *const names[MODEL_COUNT] = {
#define MODEL_NAME(id, name) [MODEL_##id] = (name),
        MODEL_LIST(MODEL_NAME)
#undef MODEL_NAME
    };
    return names[model];
}

double sim_normal(struct random *random)
{
    double u = 1 - random_unit(random), v = random_unit(random);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static double uniform(struct random *random, double low, double high)
{
    return low + (high - low) * random_unit(random);
}

/* --- parameters ----------------------------------------------------------------------------------
 */

static double requests_of(const struct sim *sim)
{
    return sim->cycles * (double)sim->per_cycle;
}

static double duration_of(const struct sim *sim)
{
    return sim->idle_s + requests_of(sim) / sim->rate + sim->cycles * sim->gap_s + sim->cooldown_s;
}

static void draw_model(struct sim *sim, struct random *random)
{
    double room = sim->limit - sim->base;
    switch (sim->model) {
    case MODEL_LEAK:
    case MODEL_LEAK_SHMEM:
    case MODEL_LEAK_COLLECTED:
        sim->per_request = room / uniform(random, 60, 200);
        break;
    case MODEL_LEAK_SLOW:
    case MODEL_LEAK_SLOW_COLLECTED:
        sim->per_request = uniform(random, 0.45, 0.85) * room / requests_of(sim);
        break;
    case MODEL_LEAK_TIME:
    case MODEL_LEAK_TICKS:
        sim->per_second = room / uniform(random, 1.5, 4);
        break;
    case MODEL_LEAK_SLOW_TIME:
        sim->per_second = uniform(random, 0.45, 0.85) * room / duration_of(sim);
        break;
    case MODEL_COLLECTOR:
        sim->per_request = uniform(random, 0.1, 1.5) * MIB;
        break;
    case MODEL_YOUNG_HEAP:
        sim->per_request = uniform(random, 10, 50) * MIB / requests_of(sim);
        break;
    case MODEL_CACHE:
        sim->per_request = uniform(random, 0.2, 0.6) * room / sim->per_cycle;
        break;
    case MODEL_LRU:
        sim->per_request = uniform(random, 0.2, 0.6) * room / sim->per_cycle;
        break;
    case MODEL_LARGE_LRU:
        sim->per_request = uniform(random, 1.3, 2) * room / sim->per_cycle;
        break;
    case MODEL_PAGE_CACHE:
        sim->per_request = uniform(random, 0.5, 2) * room / requests_of(sim);
        break;
    case MODEL_SPIKE:
        sim->burst = uniform(random, 0.05, 0.2) * room;
        break;
    case MODEL_PEAK:
        sim->burst = uniform(random, 0.5, 0.9) * room;
        break;
    case MODEL_HEALTHY:
    case MODEL_NOISE:
    case MODEL_WARM_UP:
    case MODEL_EXITS:
    case MODEL_STARTUP:
    case MODEL_COUNT:
        break;
    }
}

struct sim sim_draw(enum model model, uint64_t seed)
{
    struct random random = {seed * 1000 + model};
    struct sim sim = {
        .model = model,
        .seed = seed,
        .limit = uniform(&random, 192, 1024) * MIB,
        .rate = uniform(&random, 40, 120),
        .hertz = uniform(&random, 18, 40),
        .idle_s = uniform(&random, 0.8, 1.5),
        .gap_s = uniform(&random, 0.3, 0.8),
        .cooldown_s = uniform(&random, 0.8, 1.5),
        .cycles = 5 + (unsigned)random_below(&random, 3),
        .per_cycle = 80 + (unsigned)random_below(&random, 120),
        .kill_stop = 3,
        .base = uniform(&random, 6, 45) * MIB,
        .noise = uniform(&random, 0, 0.6),
        .spread = uniform(&random, 0, 0.04),
        .heap_step = uniform(&random, 8, 40) * MIB,
        .burst_s = uniform(&random, 0.05, 0.15),
        .wander_s = 0.5,
    };
    draw_model(&sim, &random);
    return sim;
}

/* --- one process ---------------------------------------------------------------------------------
 */

struct process {
    const struct sim *sim;
    struct random *random;
    double age_s, level, kept, garbage, heap_step, cache, wander, factor;
    double bursts[BURSTS_MAX]; /* ends of the spikes in flight */
    double sizes[BURSTS_MAX];
    unsigned char seen[256];
    double requests;
    double waiting, credit; /* requests not answered yet; of the next one, what is done */
    double die_at_s;
};

static void process_init(struct process *process, const struct sim *sim, struct random *random)
{
    *process = (struct process){.sim = sim, .random = random};
    process->factor = 1 + sim->spread * sim_normal(random);
    process->level = sim->base * (1 + 0.02 * sim_normal(random));
    process->heap_step = sim->heap_step;
    process->die_at_s = sim->model == MODEL_EXITS ? uniform(random, 2, 3) : INFINITY;
}

static double request_size(struct process *process)
{
    const struct sim *sim = process->sim;
    double size = sim->per_request * process->factor;
    return fmax(0, size * (1 + sim->noise * sim_normal(process->random)));
}

static void start_burst(struct process *process)
{
    bool large = process->sim->model == MODEL_PEAK && random_unit(process->random) < 0.02;
    for (size_t i = 0; i < BURSTS_MAX; i++) {
        if (process->bursts[i] > process->age_s)
            continue;
        process->bursts[i] = process->age_s + process->sim->burst_s;
        process->sizes[i] = process->sim->burst * (large                               ? 2.5
                                                   : process->sim->model == MODEL_PEAK ? 0.05
                                                                                       : 0.2);
        return;
    }
}

static void collect(struct process *process)
{
    if (process->garbage < process->heap_step)
        return;
    process->garbage = uniform(process->random, 0, 0.05) * process->heap_step;
    process->heap_step = process->sim->heap_step * uniform(process->random, 0.8, 1.2);
}

static void serve(struct process *process, unsigned key)
{
    const struct sim *sim = process->sim;
    process->requests++;
    switch (sim->model) {
    case MODEL_LEAK_COLLECTED:
    case MODEL_LEAK_SLOW_COLLECTED:
        process->garbage += uniform(process->random, 0.2, 0.6) * MIB;
        collect(process);
        process->kept += request_size(process);
        break;
    case MODEL_LEAK:
    case MODEL_LEAK_SHMEM:
    case MODEL_LEAK_SLOW:
        process->kept += request_size(process);
        break;
    case MODEL_COLLECTOR:
        process->garbage += request_size(process);
        collect(process);
        break;
    case MODEL_YOUNG_HEAP:
        process->garbage += request_size(process);
        break;
    case MODEL_LRU:
    case MODEL_LARGE_LRU:
        key = (unsigned)(pow(random_unit(process->random), 2) * sim->per_cycle);
        /* fall through */
    case MODEL_CACHE:
        if (!process->seen[key % 256])
            process->kept += request_size(process);
        process->seen[key % 256] = 1;
        break;
    case MODEL_PAGE_CACHE:
        process->cache += request_size(process);
        break;
    case MODEL_SPIKE:
    case MODEL_PEAK:
        start_burst(process);
        break;
    case MODEL_WARM_UP: /* a ramp within the first tenth of the work */
        process->kept += 20 * MIB * exp(-process->requests / (0.04 * requests_of(sim))) /
                         (0.04 * requests_of(sim));
        break;
    case MODEL_HEALTHY:
    case MODEL_NOISE:
    case MODEL_EXITS:
    case MODEL_STARTUP:
    case MODEL_LEAK_TIME:
    case MODEL_LEAK_TICKS:
    case MODEL_LEAK_SLOW_TIME:
    case MODEL_COUNT:
        break;
    }
}

static void age(struct process *process, double step)
{
    const struct sim *sim = process->sim;
    process->age_s += step;
    if (sim->model == MODEL_STARTUP)
        process->kept += 1.5 * sim->limit / 0.4 * step;
    else if (sim->model == MODEL_LEAK_TICKS) /* every 150 ms */
        process->kept = floor(process->age_s / 0.15) * 0.15 * sim->per_second * process->factor;
    else
        process->kept += sim->per_second * process->factor * step;
    if (sim->model == MODEL_NOISE) /* some MiB wide */
        process->wander += -process->wander * step / sim->wander_s +
                           3 * MIB * sqrt(2 * step / sim->wander_s) * sim_normal(process->random);
}

static double in_bursts(const struct process *process)
{
    double sum = 0;
    for (size_t i = 0; i < BURSTS_MAX; i++)
        sum += process->bursts[i] > process->age_s ? process->sizes[i] : 0;
    return sum;
}

static double unreclaimable(const struct process *process)
{
    return process->level + process->kept + process->garbage + process->wander + in_bursts(process);
}

/* What the counters show: batched per CPU, so that they lag by some hundred KiB. */
static struct point sample(const struct process *process)
{
    const struct sim *sim = process->sim;
    double all = unreclaimable(process) + uniform(process->random, -0.25, 0.25) * MIB;
    double shmem = sim->model == MODEL_LEAK_SHMEM ? process->kept : 0;
    double cache = fmin(process->cache, fmax(0, 34.0 / 35 * (sim->limit - all)));
    double active = 0.4 * cache, heads = cache / 34; /* buffer heads are the kernel's */
    return (struct point){.t_s = process->age_s,
                          .requests = process->requests,
                          .in_flight = process->waiting,
                          .working_set = all + active + heads,
                          .anon = all - shmem - 2 * MIB,
                          .file = cache + shmem,
                          .inactive_file = cache - active,
                          .shmem = shmem,
                          .kernel = 2 * MIB + heads};
}

/* --- an arm --------------------------------------------------------------------------------------
 */

struct schedule {
    struct span *spans; /* from the plan's start */
    size_t count;
    double end_s;
};

static void *must(void *pointer)
{
    if (!pointer)
        abort();
    return pointer;
}

static void add_span(struct schedule *schedule, int kind, unsigned cycle, double length)
{
    schedule->spans[schedule->count++] =
        (struct span){.kind = (__typeof__(((struct span *)0)->kind))kind,
                      .cycle = cycle,
                      .start_s = schedule->end_s,
                      .end_s = schedule->end_s + length};
    schedule->end_s += length;
}

static struct schedule make_schedule(const struct sim *sim)
{
    struct schedule schedule = {.spans = must(calloc(2 * sim->cycles + 2, sizeof(struct span)))};
    add_span(&schedule, SPAN_IDLE, 0, sim->idle_s);
    for (unsigned cycle = 1; cycle <= sim->cycles; cycle++) {
        add_span(&schedule, SPAN_CYCLE, cycle, sim->per_cycle / sim->rate);
        if (cycle < sim->cycles)
            add_span(&schedule, SPAN_GAP, cycle, sim->gap_s);
    }
    add_span(&schedule, SPAN_COOLDOWN, 0, sim->cooldown_s);
    return schedule;
}

/* The number of requests due by then: 0 to cycles * per_cycle. */
static unsigned due_by(const struct schedule *schedule, const struct sim *sim, double now)
{
    unsigned due = 0;
    for (size_t i = 0; i < schedule->count; i++) {
        const struct span *span = &schedule->spans[i];
        if (span->kind == SPAN_CYCLE && now > span->start_s)
            due += (unsigned)fmin(sim->per_cycle, floor((now - span->start_s) * sim->rate));
    }
    return due;
}

struct life {
    double now; /* in the schedule */
    double next_sample;
    struct lifetime_series *out;
};

static void keep_sample(struct life *life, const struct process *process, double hertz)
{
    struct lifetime_series *out = life->out;
    struct point *points = (struct point *)out->points;
    if (process->age_s < life->next_sample)
        return;
    life->next_sample += 1 / hertz;
    if (out->count % 256 == 0)
        out->points = points = must(realloc(points, (out->count + 256) * sizeof(*points)));
    points[out->count++] = sample(process);
}

/* What the sampler still sees while the dead process gives its memory back. */
static void tear_down(struct life *life, const struct sim *sim, struct random *random)
{
    struct lifetime_series *out = life->out;
    size_t samples = random_below(random, 4);
    for (size_t i = 0; i < samples && out->count > 0 && out->count % 256 != 0; i++) {
        struct point *points = (struct point *)out->points;
        struct point point = points[out->count - 1];
        point.t_s += 1 / sim->hertz;
        point.working_set *= 0.6;
        point.anon *= 0.6;
        points[out->count++] = point;
    }
}

static void end_life(const struct process *process, double ready_s, struct lifetime_series *out,
                     enum end_cause cause)
{
    out->cause = cause;
    out->level = LEVEL_MEASURED;
    out->uptime_s = process->age_s;
    out->requests_completed = process->requests;
    out->ready_s = process->age_s >= ready_s ? ready_s : NAN;
    out->peak_bytes = cause == CAUSE_OOM_CONTAINER_LIMIT ? process->sim->limit : NAN;
}

/* One at a time, in their order. */
static void work_off(struct process *process)
{
    if (process->waiting > 0)
        process->credit += process->sim->capacity * STEP_S;
    while (process->waiting > 0 && process->credit >= 1 &&
           unreclaimable(process) < process->sim->limit) {
        process->credit--;
        process->waiting--;
        serve(process, (unsigned)process->requests % process->sim->per_cycle);
    }
}

static void take_request(struct process *process, unsigned key)
{
    if (process->sim->capacity > 0)
        process->waiting++;
    else
        serve(process, key);
}

static void live(const struct sim *sim, const struct schedule *schedule, struct random *random,
                 struct life *life)
{
    struct process process;
    process_init(&process, sim, random);
    double ready_s = sim->model == MODEL_STARTUP ? 0.5 : 0.15, start = life->now;
    unsigned due = due_by(schedule, sim, start);
    enum end_cause cause = CAUSE_RUNNING;
    while (life->now < schedule->end_s && cause == CAUSE_RUNNING) {
        life->now += STEP_S;
        age(&process, STEP_S);
        for (unsigned now_due = due_by(schedule, sim, life->now); due < now_due; due++)
            if (process.age_s >= ready_s && unreclaimable(&process) < sim->limit)
                take_request(&process, due % sim->per_cycle);
        work_off(&process);
        if (unreclaimable(&process) >= sim->limit)
            cause = CAUSE_OOM_CONTAINER_LIMIT;
        else if (process.age_s >= process.die_at_s)
            cause = CAUSE_EXITED;
        else
            keep_sample(life, &process, sim->hertz);
    }
    end_life(&process, ready_s, life->out, cause);
    tear_down(life, sim, random);
    struct span *spans = must(malloc(schedule->count * sizeof(*spans)));
    for (size_t i = 0; i < schedule->count; i++) {
        spans[i] = schedule->spans[i];
        spans[i].start_s -= start;
        spans[i].end_s -= start;
    }
    life->out->spans = spans;
    life->out->span_count = schedule->count;
}

struct arm_series sim_run(const struct sim *sim)
{
    struct random random = {sim->seed * 7919 + sim->model};
    struct schedule schedule = make_schedule(sim);
    struct lifetime_series *lifetimes = must(calloc(LIFETIMES_MAX, sizeof(*lifetimes)));
    struct arm_series arm = {.limit_bytes = sim->limit, .lifetimes = lifetimes};
    double now = 0, pause = 0.1;
    unsigned deaths = 0;
    while (now < schedule.end_s && deaths < sim->kill_stop && arm.count < LIFETIMES_MAX) {
        struct life life = {.now = now, .out = &lifetimes[arm.count++]};
        life.out->index = (unsigned)arm.count;
        live(sim, &schedule, &random, &life);
        deaths += life.out->cause != CAUSE_RUNNING;
        now = life.now + pause;
        pause *= 2;
    }
    free(schedule.spans);
    return arm;
}

struct arm_series sim_cut(const struct arm_series *arm, unsigned cycle,
                          struct lifetime_series *ret_lifetimes)
{
    struct arm_series cut = {
        .limit_bytes = arm->limit_bytes, .lifetimes = ret_lifetimes, .count = arm->count};
    if (arm->count != 1 || arm->lifetimes[0].cause != CAUSE_RUNNING)
        abort();
    *ret_lifetimes = arm->lifetimes[0];
    for (size_t i = 0; i < ret_lifetimes->span_count; i++) {
        const struct span *pause = &ret_lifetimes->spans[i];
        if (pause->kind == SPAN_GAP && pause->cycle == cycle)
            ret_lifetimes->uptime_s = (pause->start_s + pause->end_s) / 2;
    }
    while (ret_lifetimes->count > 0 &&
           ret_lifetimes->points[ret_lifetimes->count - 1].t_s > ret_lifetimes->uptime_s)
        ret_lifetimes->count--;
    if (ret_lifetimes->count > 0)
        ret_lifetimes->requests_completed =
            ret_lifetimes->points[ret_lifetimes->count - 1].requests;
    return cut;
}

void sim_done(struct arm_series *arm)
{
    for (size_t i = 0; i < arm->count; i++) {
        free((void *)arm->lifetimes[i].points);
        free((void *)arm->lifetimes[i].spans);
    }
    free((void *)arm->lifetimes);
    *arm = (struct arm_series){0};
}
