/* SPDX-License-Identifier: Apache-2.0 */
/* Which place leads, over all stacks that have it, and how that is said in one sentence. */
#include "heap/keep.h"
#include "heap/runtime.h"

#include "base/cleanup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX     256
#define PLACE_TEXT_MAX (3 * HEAP_NAME_MAX + 64)

/* A profile that saw less of the memory, or fewer samples, does not carry the full level: what it
 * did not see may be distributed otherwise. */
#define COVERAGE_LEAST 0.5
/* Below, the share of a share says nothing. */
#define COVERAGE_NOTHING 0.01

struct frames {
    struct heap_frame frames[FRAMES_MAX];
    size_t count;
};

static void add_frame(void *context, const struct heap_frame *frame)
{
    struct frames *frames = context;
    if (frames->count < FRAMES_MAX)
        frames->frames[frames->count++] = *frame;
}

static bool begins(const char *text, const char *prefix)
{
    return text && strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool contains(const char *text, const char *part)
{
    return text && strstr(text, part);
}

/* Python's own library, wherever it is installed, or one from elsewhere. */
static bool is_python_library(const char *path)
{
    return begins(path, "<frozen ") || contains(path, "/lib/python3") ||
           contains(path, "/site-packages/") || contains(path, "/dist-packages/");
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

/* The languages' runtimes and the allocators, wherever they are installed. */
static bool is_runtime(const char *module)
{
    static const char *const names[] = {
        "ld-linux",    "libasan",     "libc++",    "libc-",       "libc.so",    "libgcc_s.",
        "libjemalloc", "libjvm.so",   "libm.so",   "libmimalloc", "libpthread", "libpython",
        "libstdc++.",  "libtcmalloc", "liboomlab", "python3",
    };
    const char *name = base_name(module);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (begins(name, names[i]))
            return true;
    }
    return false;
}

/* The program and what it brings along; not a shared library of the system. Programs live below
 * /usr/lib, too. */
static bool is_own_module(const char *module)
{
    bool of_system = begins(module, "/usr/lib") || begins(module, "/lib");
    return module && module[0] != '\0' && !(of_system && contains(base_name(module), ".so")) &&
           !is_python_library(module) && !is_runtime(module);
}

/* A header of the compiler's, or Rust's library, compiled into the program. */
static bool is_library_source(const char *file)
{
    return begins(file, "/usr/include/") || begins(file, "/usr/lib") ||
           begins(file, "/usr/local/include/") || begins(file, "/rustc/");
}

/* Where the qualified name begins in a demangled function: templates have their result's type in
 * front of it, "void std::vector<int>::push_back(int const&)". */
static const char *qualified_name(const char *function)
{
    const char *start = function;
    int depth = 0;
    for (const char *at = function; *at; at++) {
        if (begins(at, "operator") || (*at == '(' && depth == 0))
            break;
        depth += (*at == '<') - (*at == '>');
        if (*at == ' ' && depth == 0)
            start = at + 1;
    }
    return start;
}

/* The libraries' templates are compiled into the program: without debug information only their
 * names tell. */
static bool is_library_function(const char *function)
{
    static const char *const prefixes[] = {"std::",   "__gnu_cxx::", "operator new", "core::",
                                           "alloc::", "hashbrown::", "__rust_",      "__rdl_"};
    const char *name = function ? qualified_name(function) : "";
    name += strspn(name, "<&"); /* <alloc::vec::Vec<T> as core::clone::Clone>::clone */
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (begins(name, prefixes[i]))
            return true;
    }
    return false;
}

/* Of the program itself: its module says so, whether or not there is debug information or a name.
 */
static bool is_own(const struct heap_frame *frame)
{
    if (frame->python)
        return frame->file && !is_python_library(frame->file);
    return is_own_module(frame->module) && !is_library_source(frame->file) &&
           !is_library_function(frame->function);
}

static bool has_name(const struct heap_frame *frame)
{
    return frame->function;
}

static size_t find(const struct frames *frames, size_t from,
                   bool (*fits)(const struct heap_frame *frame))
{
    while (from < frames->count && !fits(&frames->frames[from]))
        from++;
    return from;
}

/* The reader looks for a line of the program, not for the library function that it calls. */
static void name_place(const struct frames *frames, struct heap_place *ret)
{
    bool (*fits)(const struct heap_frame *frame) = is_own;
    size_t own = find(frames, 0, fits);
    if (own == frames->count) {
        fits = has_name;
        own = find(frames, 0, fits);
    }
    *ret = (struct heap_place){.line = 0};
    const struct heap_frame *frame = &frames->frames[own < frames->count ? own : 0];
    heap_frame_name(frame, ret->function, sizeof(ret->function));
    heap_frame_file(frame, true, ret->file, sizeof(ret->file));
    ret->line = frame->line;
    /* A function that calls itself is not named as its own caller. */
    for (size_t i = find(frames, own + 1, fits); i < frames->count; i = find(frames, i + 1, fits)) {
        heap_frame_name(&frames->frames[i], ret->caller, sizeof(ret->caller));
        if (strcmp(ret->caller, ret->function) != 0)
            return;
    }
    ret->caller[0] = '\0';
}

/* Who asked for an arena is no place where its objects are made. */
static bool is_arena(const struct frames *frames)
{
    return frames->count > 0 && frames->frames[0].arena;
}

void heap_place_find(const struct heap_view *view, uint32_t stack, struct heap_place *ret)
{
    struct frames frames = {.count = 0};
    heap_view_frames(view, stack, add_frame, &frames);
    name_place(&frames, ret);
    if (!is_arena(&frames))
        return;
    memcpy(ret->caller, ret->function, sizeof(ret->caller));
    heap_frame_name(&frames.frames[0], ret->function, sizeof(ret->function));
    ret->file[0] = '\0';
    ret->line = 0;
}

static bool is_recorded(const struct heap_view *view, const struct heap_row *row)
{
    uint32_t depth;
    heap_profile_frames(view->profile, row->stack, &depth);
    return depth > 0;
}

/* Stacks of one function and one caller, on whichever of its lines. Arenas are one group: which
 * line asks for the next one is chance. */
struct group {
    struct heap_place place;
    const struct heap_row *row; /* its largest that was recorded */
    double sum, largest, bytes;
    double variance; /* of the bytes; NAN unknown */
    size_t stacks;
    bool arenas, other_lines; /* not only the place's */
};

static int compare_places(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    int r = strcmp(x->place.function, y->place.function);
    if (r == 0)
        r = strcmp(x->place.file, y->place.file);
    return r ? r : strcmp(x->place.caller, y->place.caller);
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return x->arenas != y->arenas ? x->arenas - y->arenas : x->arenas ? 0 : compare_places(a, b);
}

static size_t make_groups(const struct heap_view *view,
                          double (*measure)(const struct heap_row *row), struct group *groups)
{
    size_t count = 0;
    for (size_t i = 0; i < view->row_count; i++) {
        const struct heap_row *row = &view->rows[i];
        double value = measure(row);
        if (!(value > 0) || !is_recorded(view, row))
            continue;
        struct group *group = &groups[count++];
        *group = (struct group){
            .row = row,
            .sum = value,
            .largest = value,
            .bytes = row->bytes,
            .variance = heap_row_variance(row),
            .stacks = 1,
            .arenas = row->kind == HEAP_KIND_ARENA,
        };
        heap_place_find(view, row->stack, &group->place);
    }
    return count;
}

/* Neighbours of the same place become one. */
static size_t merge_groups(struct group *groups, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct group *last = used > 0 ? &groups[used - 1] : NULL;
        const struct group *next = &groups[i];
        if (!last || compare_groups(last, next) != 0) {
            groups[used++] = *next;
            continue;
        }
        last->other_lines |= next->place.line != last->place.line;
        if (next->largest > last->largest) {
            last->largest = next->largest;
            last->row = next->row;
            last->place = next->place; /* of arenas: each has its own */
        }
        last->sum += next->sum;
        last->bytes += next->bytes;
        last->variance += next->variance;
        last->stacks += next->stacks;
    }
    return used;
}

/* The place that the most goes to. Stacks that were lost count in the share's base. False: none. */
static bool find_group(const struct heap_view *view, double (*measure)(const struct heap_row *row),
                       struct group *ret, double *ret_share)
{
    AUTO_FREE struct group *groups = calloc(view->row_count + 1, sizeof(*groups));
    double sum = 0;
    if (!groups)
        return false;
    for (size_t i = 0; i < view->row_count; i++) {
        double value = measure(&view->rows[i]);
        sum += value > 0 ? value : 0;
    }
    size_t count = make_groups(view, measure, groups);
    qsort(groups, count, sizeof(*groups), compare_groups);
    count = merge_groups(groups, count);
    const struct group *most = NULL;
    for (size_t i = 0; i < count; i++)
        most = !most || groups[i].sum > most->sum ? &groups[i] : most;
    if (!most)
        return false;
    *ret = *most;
    *ret_share = most->sum / sum;
    return true;
}

static double growth_of(const struct heap_row *row)
{
    return row->bytes_per_request;
}

static double bytes_of(const struct heap_row *row)
{
    return row->bytes;
}

/* "keep at app.py:42, called from handle". */
static void say_place(const struct heap_place *place, char *text, size_t size)
{
    char at[HEAP_NAME_MAX + 16] = "";
    if (place->file[0] != '\0')
        snprintf(at, sizeof(at), " at %s:%d", place->file, place->line);
    snprintf(text, size, "%s%s%s%s", place->function, at,
             place->caller[0] != '\0' ? ", called from " : "", place->caller);
}

static void say_where(const struct heap_view *view, const struct group *group, char *text,
                      size_t size)
{
    struct frames frames = {.count = 0};
    struct heap_place asked;
    if (!group->arenas) {
        say_place(&group->place, text, size);
        return;
    }
    heap_view_frames(view, group->row->stack, add_frame, &frames);
    name_place(&frames, &asked);
    char place[PLACE_TEXT_MAX];
    say_place(&asked, place, sizeof(place));
    snprintf(text, size,
             "Python's arenas of small objects, asked for mostly by %s; PYTHONMALLOC=malloc shows "
             "the objects",
             place);
}

/* Whether the profile is about the memory that the container had: most of it, and no more than it.
 */
static bool carries(const struct heap_view *view)
{
    return heap_view_coverage(view) >= COVERAGE_LEAST && !heap_view_is_beyond(view);
}

/* What the share is a share of, where that is not simply the container's memory. */
static void say_base(const struct heap_view *view, const struct heap_leading *leading, char *text,
                     size_t size)
{
    double coverage = heap_view_coverage(view);
    char bound[64] = "";
    double least = floor(100 * coverage * leading->share);
    if (!leading->growth && least >= 1)
        snprintf(bound, sizeof(bound), ", so at least %.0f %% of all of it", least);
    if (!isfinite(coverage))
        snprintf(text, size, " that the heap profile saw");
    else if (coverage < COVERAGE_NOTHING)
        snprintf(text, size,
                 " that the heap profile saw, almost nothing of the container's memory (the rest "
                 "did not come from malloc() and its kind, or not in this process),");
    else if (coverage < 1 - HEAP_COVERAGE_CLOSE)
        snprintf(text, size,
                 " that the heap profile saw, which covers %.0f %% of the container's memory%s,",
                 100 * coverage, bound);
    else if (heap_view_is_beyond(view))
        snprintf(text, size,
                 " that was asked for, %.0f %% of what the container had, so not all of it was "
                 "touched%s,",
                 100 * coverage,
                 heap_view_has_processes(view) ? ", or some was of processes that had just ended"
                                               : "");
}

static void say(const struct heap_view *view, const struct group *group, struct heap_leading *ret)
{
    char what[80] = "growth";
    if (!ret->growth)
        snprintf(what, sizeof(what), "memory held %s", heap_view_when(view));
    char where[PLACE_TEXT_MAX + 128];
    char base[256] = "", stacks[64] = "";
    say_where(view, group, where, sizeof(where));
    if (group->stacks > 1 && !group->arenas)
        snprintf(stacks, sizeof(stacks), ", in %zu stacks%s", group->stacks,
                 group->other_lines ? " and on other lines, too" : "");
    say_base(view, ret, base, sizeof(base));
    const struct heap_runtime *runtime = heap_runtime_find(view->profile);
    snprintf(ret->sentence, sizeof(ret->sentence), "%.0f %% of the %s%s is %s%s (%s).%s%s",
             100 * ret->share, what, base, where, stacks, level_name(ret->level),
             runtime ? " " : "", runtime ? runtime->advice : "");
}

bool heap_lead(const struct heap_view *view, bool by_growth, struct heap_leading *ret)
{
    *ret = (struct heap_leading){.lifetime_id = view->lifetime_id,
                                 .lifetime = view->lifetime,
                                 .children_seen = view->at_kill && carries(view)};
    struct group group;
    ret->growth = by_growth && find_group(view, growth_of, &group, &ret->share);
    if (!ret->growth && !find_group(view, bytes_of, &group, &ret->share))
        return false;
    ret->place = group.place;
    /* What is held was seen by the recorder; that it grows with the requests is a correlation. */
    ret->level = ret->growth ? LEVEL_CORRELATED : LEVEL_OBSERVED;
    if (!carries(view) || 2 * 1.96 * sqrt(group.variance) > group.bytes || group.arenas)
        ret->level = LEVEL_INFERRED;
    ret->stack_id = group.row - view->rows; /* until it is written: its place among the rows */
    say(view, &group, ret);
    return true;
}
