/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/by_kind.h"

#include "analysis/profile.h"
#include "analysis/view.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>

const char *memory_kind_name(enum memory_kind kind)
{
    static const char *const NAMES[] = {
        [MEMORY_ANON] = "anon",
        [MEMORY_SHMEM] = "shmem",
        [MEMORY_KERNEL] = "kernel",
        [MEMORY_FILE_ACTIVE] = "file_active",
        [MEMORY_FILE_INACTIVE] = "file_inactive",
    };
    return NAMES[kind];
}

/* file holds shmem, which lies on the anonymous lists. */
static double active_file(const struct point *point)
{
    double active = point->file - (isnan(point->shmem) ? 0 : point->shmem) - point->inactive_file;
    return active < 0 ? 0 : active;
}

static double kind_of(const struct point *point, enum memory_kind kind)
{
    switch (kind) {
    case MEMORY_ANON:
        return point->anon;
    case MEMORY_SHMEM:
        return point->shmem;
    case MEMORY_KERNEL:
        return point->kernel;
    case MEMORY_FILE_ACTIVE:
        return active_file(point);
    case MEMORY_FILE_INACTIVE:
        return point->inactive_file;
    case MEMORY_KINDS:
        break;
    }
    return NAN;
}

/* One floor of each kind for each lifetime; of the lifetime at hand, its samples. */
struct floors {
    struct trend_series *series[MEMORY_KINDS]; /* owned, and the values in them */
    size_t count;                              /* lifetimes done */
    double *x, *y;
};

static void floors_done(struct floors *floors)
{
    for (size_t kind = 0; kind < MEMORY_KINDS; kind++) {
        for (size_t i = 0; floors->series[kind] && i < floors->count; i++)
            free((void *)floors->series[kind][i].x);
        free(floors->series[kind]);
    }
    free(floors->x);
    free(floors->y);
}

static int floors_init(struct floors *floors, const struct arm_series *arm)
{
    size_t most = 0;
    for (size_t i = 0; i < arm->count; i++)
        most = arm->lifetimes[i].count > most ? arm->lifetimes[i].count : most;
    floors->x = calloc(most + 1, sizeof(double));
    floors->y = calloc(most + 1, sizeof(double));
    bool failed = !floors->x || !floors->y;
    for (size_t kind = 0; kind < MEMORY_KINDS; kind++) {
        floors->series[kind] = calloc(arm->count + 1, sizeof(**floors->series));
        failed |= !floors->series[kind];
    }
    return failed ? -ENOMEM : 0;
}

/* The samples of a kind that the retained floor was made of. */
static size_t samples_of(const struct profile *profile, enum memory_kind kind, bool by_requests,
                         double *x, double *y)
{
    const struct lifetime_series *lifetime = profile->lifetime;
    double from = profile->cycle_count >= 3 ? profile->settled_s : profile->t[0];
    double to = profile->t[profile->count - 1];
    size_t count = 0;
    for (size_t i = 0; i < lifetime->count; i++) {
        const struct point *point = &lifetime->points[i];
        double bytes = kind_of(point, kind);
        if (isnan(bytes) || point->t_s < from || point->t_s > to ||
            (by_requests && !busy_at(&profile->cycles, point->t_s)))
            continue;
        x[count] = !by_requests ? point->t_s : isnan(point->requests) ? 0 : point->requests;
        y[count++] = bytes;
    }
    return count;
}

static int add_lifetime(struct floors *floors, const struct lifetime_series *lifetime,
                        bool by_requests)
{
    CLEANUP(profile_done) struct profile profile;
    int r = profile_init(&profile, lifetime);
    size_t index = floors->count++;
    for (enum memory_kind kind = 0; r == 0 && profile.count > 0 && kind < MEMORY_KINDS; kind++) {
        size_t count = samples_of(&profile, kind, by_requests, floors->x, floors->y);
        double *x = calloc(2UL * PROFILE_FLOOR_MAX, sizeof(double));
        if (!x)
            return -ENOMEM;
        double *y = x + PROFILE_FLOOR_MAX;
        size_t bins = profile_floor_bins(count, profile.releases);
        floors->series[kind][index] =
            (struct trend_series){x, y, trend_floor(floors->x, floors->y, count, bins, x, y)};
    }
    return r;
}

int growth_by_kind(const struct arm_series *arm, const struct verdict *verdict,
                   struct growth_kinds *ret)
{
    CLEANUP(floors_done) struct floors floors = {.count = 0};
    ret->by_requests = verdict_by_requests(verdict);
    int r = floors_init(&floors, arm);
    for (size_t i = 0; r == 0 && i < arm->count; i++) {
        if (!killed_at_start(&arm->lifetimes[i]))
            r = add_lifetime(&floors, &arm->lifetimes[i], ret->by_requests);
    }
    for (enum memory_kind kind = 0; r == 0 && kind < MEMORY_KINDS; kind++) {
        struct trend trend;
        r = trend_common(floors.series[kind], floors.count, &trend);
        ret->bytes[kind] = trend.slope.value;
    }
    return r;
}
