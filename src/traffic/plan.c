/* SPDX-License-Identifier: Apache-2.0 */
/* From a spec and a seed to the exact sequence of requests. Pure: no clock, no network. */
#include "traffic/plan.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 10000000
#define DURATION_MAX (INT64_C(100) * 366 * 86400 * NS_PER_S)

struct slot {
    int64_t offset_ns; /* from the cycle's start */
    uint32_t kind;
};

struct traffic_plan {
    struct traffic_request *kinds; /* deep copies */
    size_t kind_count;
    struct slot *slots; /* one cycle */
    uint32_t per_cycle, cycles;
    int64_t idle_ns, cycle_ns, gap_ns, cooldown_ns, duration_ns;
    struct traffic_phase_span *phases;
    size_t phase_count;
};

const char *traffic_phase_name(enum traffic_phase phase)
{
    static const char *const names[] = {"idle", "cycle", "gap", "cooldown"};
    return names[phase];
}

static int check_times(const struct traffic_spec *spec, struct error *err)
{
    const int64_t times[] = {spec->idle_ns, spec->gap_ns, spec->cooldown_ns};
    double total = 0;
    for (size_t i = 0; i < 3; i++) {
        if (times[i] < 0)
            return error_usage(err, "idle, gap and cool-down times cannot be negative");
        total += (double)times[i] * (i == 1 ? spec->cycles : 1);
    }
    if (spec->cycles > 0)
        total += (double)spec->cycles * spec->per_cycle / spec->rate_per_s * 1e9;
    if (!(total < (double)DURATION_MAX))
        return error_usage(err, "the traffic would last more than 100 years");
    return 0;
}

static int check_spec(const struct traffic_spec *spec, struct error *err)
{
    if (spec->cycles == 0)
        return check_times(spec, err);
    if (spec->request_count == 0)
        return error_usage(err, "the traffic has cycles but no request to send");
    if (spec->per_cycle == 0)
        return error_usage(err, "a cycle must hold at least 1 request");
    if (!isfinite(spec->rate_per_s) || spec->rate_per_s <= 0)
        return error_usage(err, "the request rate must be above 0");
    if ((uint64_t)spec->cycles * spec->per_cycle > REQUESTS_MAX)
        return error_usage(err, "%u cycles of %u requests are more than the %d a plan may hold",
                           spec->cycles, spec->per_cycle, REQUESTS_MAX);
    for (size_t i = 0; i < spec->request_count; i++) {
        const struct traffic_request *kind = &spec->requests[i];
        if (!isfinite(kind->weight) || kind->weight <= 0)
            return error_usage(err, "the weight of '%s %s' must be above 0", kind->method,
                               kind->path);
    }
    return check_times(spec, err);
}

static void free_kind(struct traffic_request *kind)
{
    free((void *)kind->method);
    free((void *)kind->path);
    free((void *)kind->body);
    for (size_t i = 0; kind->headers && kind->headers[i]; i++)
        free((void *)kind->headers[i]);
    free((void *)kind->headers);
}

void traffic_plan_free(struct traffic_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->kind_count; i++)
        free_kind(&plan->kinds[i]);
    free(plan->kinds);
    free(plan->slots);
    free(plan->phases);
    free(plan);
}

static void free_plan_pointer(struct traffic_plan **plan)
{
    traffic_plan_free(*plan);
}

/* A NULL-terminated copy; after a failed allocation it ends early and `*ok` is false. */
static const char **copy_headers(const char *const *headers, bool *ok)
{
    size_t count = 0;
    while (headers[count])
        count++;
    const char **copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(headers[i]);
        *ok = *ok && copy[i];
    }
    *ok = *ok && copy;
    return copy;
}

static bool copy_kind(const struct traffic_request *from, struct traffic_request *to)
{
    bool ok = true;
    to->weight = from->weight;
    to->method = strdup(from->method);
    to->path = strdup(from->path);
    if (from->headers)
        to->headers = copy_headers(from->headers, &ok);
    if (from->body) {
        char *body = malloc(from->body_bytes + 1);
        if (body) {
            memcpy(body, from->body, from->body_bytes);
            body[from->body_bytes] = '\0';
        }
        to->body = body;
        to->body_bytes = from->body_bytes;
        ok = ok && body;
    }
    return ok && to->method && to->path;
}

/* Shares of `per_cycle` by weight: floors first, the rest to the largest remainders (the earlier
 * kind when equal). In 32.32 fixed point, because compilers may fuse floating-point operations. */
static int share_out(const struct traffic_plan *plan, uint32_t *counts)
{
    AUTO_FREE uint64_t *lacks = calloc(plan->kind_count, sizeof(*lacks));
    if (!lacks)
        return -ENOMEM;
    double total = 0;
    for (size_t i = 0; i < plan->kind_count; i++)
        total += plan->kinds[i].weight;
    uint32_t given = 0;
    for (size_t i = 0; i < plan->kind_count; i++) {
        uint64_t share = (uint64_t)(plan->kinds[i].weight / total * 0x1p32) * plan->per_cycle;
        counts[i] = (uint32_t)(share >> 32);
        lacks[i] = share & UINT32_MAX;
        given += counts[i];
    }
    for (; given < plan->per_cycle; given++) {
        size_t best = 0;
        for (size_t i = 1; i < plan->kind_count; i++)
            if (lacks[i] > lacks[best])
                best = i;
        counts[best]++;
        lacks[best] = 0;
    }
    return 0;
}

static void shuffle_kinds(struct traffic_plan *plan, const uint32_t *counts, struct random *random)
{
    uint32_t at = 0;
    for (size_t kind = 0; kind < plan->kind_count; kind++)
        for (uint32_t i = 0; i < counts[kind] && at < plan->per_cycle; i++)
            plan->slots[at++].kind = (uint32_t)kind;
    for (uint32_t i = plan->per_cycle; i > 1; i--) { /* Fisher and Yates */
        uint32_t j = (uint32_t)random_below(random, i);
        uint32_t kind = plan->slots[i - 1].kind;
        plan->slots[i - 1].kind = plan->slots[j].kind;
        plan->slots[j].kind = kind;
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int place_arrivals(struct traffic_plan *plan, enum traffic_arrival arrival,
                          struct random *random)
{
    AUTO_FREE int64_t *offsets = calloc(plan->per_cycle, sizeof(*offsets));
    if (!offsets)
        return -ENOMEM;
    for (uint32_t i = 0; i < plan->per_cycle; i++)
        offsets[i] = arrival == TRAFFIC_POISSON
                         ? (int64_t)random_below(random, (uint64_t)plan->cycle_ns)
                         : (int64_t)((__int128)plan->cycle_ns * i / plan->per_cycle);
    qsort(offsets, plan->per_cycle, sizeof(*offsets), by_value);
    for (uint32_t i = 0; i < plan->per_cycle; i++)
        plan->slots[i].offset_ns = offsets[i];
    return 0;
}

static int fill_cycle(struct traffic_plan *plan, const struct traffic_spec *spec)
{
    plan->slots = calloc(plan->per_cycle, sizeof(*plan->slots));
    AUTO_FREE uint32_t *counts = calloc(plan->kind_count, sizeof(*counts));
    if (!plan->slots || !counts)
        return -ENOMEM;
    struct random random = {spec->seed};
    if (share_out(plan, counts) < 0)
        return -ENOMEM;
    shuffle_kinds(plan, counts, &random);
    return place_arrivals(plan, spec->arrival, &random);
}

static void add_phase(struct traffic_plan *plan, enum traffic_phase phase, unsigned cycle,
                      int64_t length_ns)
{
    if (length_ns == 0)
        return;
    int64_t start_ns = plan->duration_ns;
    plan->duration_ns += length_ns;
    plan->phases[plan->phase_count++] =
        (struct traffic_phase_span){phase, cycle, start_ns, plan->duration_ns};
}

static int lay_out_phases(struct traffic_plan *plan, const struct traffic_spec *spec)
{
    plan->phases = calloc(2 * (size_t)plan->cycles + 2, sizeof(*plan->phases));
    if (!plan->phases)
        return -ENOMEM;
    add_phase(plan, TRAFFIC_IDLE, 0, spec->idle_ns);
    for (unsigned cycle = 1; cycle <= plan->cycles; cycle++) {
        add_phase(plan, TRAFFIC_CYCLE, cycle, plan->cycle_ns);
        if (cycle < plan->cycles)
            add_phase(plan, TRAFFIC_GAP, cycle, spec->gap_ns);
    }
    add_phase(plan, TRAFFIC_COOLDOWN, 0, spec->cooldown_ns);
    return 0;
}

static int copy_kinds(struct traffic_plan *plan, const struct traffic_spec *spec)
{
    plan->kinds = calloc(spec->request_count, sizeof(*plan->kinds));
    if (!plan->kinds)
        return -ENOMEM;
    for (; plan->kind_count < spec->request_count; plan->kind_count++)
        if (!copy_kind(&spec->requests[plan->kind_count], &plan->kinds[plan->kind_count])) {
            free_kind(&plan->kinds[plan->kind_count]);
            return -ENOMEM;
        }
    return 0;
}

int traffic_plan_new(const struct traffic_spec *spec, struct traffic_plan **ret, struct error *err)
{
    int r = check_spec(spec, err);
    if (r < 0)
        return r;
    struct traffic_plan *plan CLEANUP(free_plan_pointer) = calloc(1, sizeof(*plan));
    if (!plan)
        return error_errno(err, ENOMEM, "planning the traffic");
    plan->idle_ns = spec->idle_ns;
    plan->gap_ns = spec->gap_ns;
    plan->cooldown_ns = spec->cooldown_ns;
    plan->cycles = spec->cycles;
    if (spec->cycles > 0) {
        plan->per_cycle = spec->per_cycle;
        plan->cycle_ns = (int64_t)(spec->per_cycle / spec->rate_per_s * 1e9);
        if (plan->cycle_ns < 1)
            plan->cycle_ns = 1;
        if (copy_kinds(plan, spec) < 0 || fill_cycle(plan, spec) < 0)
            return error_errno(err, ENOMEM, "planning the traffic");
    }
    if (lay_out_phases(plan, spec) < 0)
        return error_errno(err, ENOMEM, "planning the traffic");
    *ret = steal_ptr(&plan);
    return 0;
}

size_t traffic_plan_requests(const struct traffic_plan *plan)
{
    return (size_t)plan->cycles * plan->per_cycle;
}

int64_t traffic_plan_duration_ns(const struct traffic_plan *plan)
{
    return plan->duration_ns;
}

int64_t traffic_plan_prefix_ns(const struct traffic_plan *plan, unsigned cycles)
{
    return plan->idle_ns + cycles * (plan->cycle_ns + plan->gap_ns) - plan->gap_ns +
           plan->cooldown_ns;
}

unsigned traffic_plan_cycles_at(const struct traffic_plan *plan, size_t requests)
{
    return (unsigned)((requests + plan->per_cycle - 1) / plan->per_cycle);
}

const struct traffic_phase_span *traffic_plan_phases(const struct traffic_plan *plan,
                                                     size_t *ret_count)
{
    *ret_count = plan->phase_count;
    return plan->phases;
}

const struct traffic_request *traffic_plan_kinds(const struct traffic_plan *plan, size_t *ret_count)
{
    *ret_count = plan->kind_count;
    return plan->kinds;
}

struct traffic_planned traffic_plan_at(const struct traffic_plan *plan, size_t seq)
{
    uint32_t before = (uint32_t)(seq / plan->per_cycle); /* whole cycles */
    const struct slot *slot = &plan->slots[seq % plan->per_cycle];
    int64_t start_ns = plan->idle_ns + before * (plan->cycle_ns + plan->gap_ns);
    return (struct traffic_planned){start_ns + slot->offset_ns, before + 1, slot->kind};
}

/* " method path body-sha256[ headers-sha256]\n": what does not change from cycle to cycle. */
static char *kind_text(const struct traffic_request *kind)
{
    char digest[SHA256_TEXT_MAX] = "-";
    if (kind->body)
        sha256_hex(kind->body, kind->body_bytes, digest);
    AUTO_BUFFER text = {0};
    buffer_printf(&text, " %s %s %s", kind->method, kind->path, digest);
    if (kind->headers && kind->headers[0]) {
        AUTO_BUFFER headers = {0};
        for (size_t i = 0; kind->headers[i]; i++)
            buffer_printf(&headers, "%s\n", kind->headers[i]);
        if (headers.failed)
            return NULL;
        sha256_hex(headers.data, headers.length, digest);
        buffer_printf(&text, " %s", digest);
    }
    buffer_puts(&text, "\n");
    return buffer_steal(&text);
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

char *traffic_plan_text(const struct traffic_plan *plan)
{
    char **kinds = calloc(plan->kind_count + 1, sizeof(*kinds));
    bool ok = kinds;
    for (size_t i = 0; ok && i < plan->kind_count; i++) {
        kinds[i] = kind_text(&plan->kinds[i]);
        ok = kinds[i];
    }
    AUTO_BUFFER text = {0};
    buffer_puts(&text, "");
    for (size_t seq = 0; ok && seq < traffic_plan_requests(plan); seq++) {
        struct traffic_planned planned = traffic_plan_at(plan, seq);
        buffer_printf(&text, "%" PRId64, planned.due_ns);
        buffer_puts(&text, kinds[planned.kind]);
    }
    free_texts(kinds, plan->kind_count);
    return ok ? buffer_steal(&text) : NULL;
}
