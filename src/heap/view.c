/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/view.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "heap/choose.h"
#include "heap/growth.h"
#include "heap/names.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void heap_view_free(struct heap_view *view)
{
    if (!view)
        return;
    heap_profile_free(view->profile);
    heap_symbols_free(view->symbols);
    heap_names_free(view->names);
    free(view->rows);
    free(view);
}

static void view_cleanup(struct heap_view **view)
{
    heap_view_free(*view);
}

/* --- growth ---------------------------------------------------------------------------------- */

/* The moments of the profile, by the requests answered until then. */
struct moments {
    struct heap_point points[HEAP_STAMPS_MAX + 1];
    size_t count; /* the stamps, then the end */
};

static int load_moments(struct store *store, const struct heap_view *view, struct moments *ret,
                        struct error *err)
{
    const struct heap_profile *profile = view->profile;
    ret->count = 0;
    for (size_t i = 0; i <= profile->stamp_count; i++) {
        int64_t at_ns = i < profile->stamp_count ? profile->stamps[i].head.at_ns
                        : view->at_kill          ? view->at_ns
                                                 : INT64_MAX;
        int64_t requests = heap_requests_until(store, view->lifetime_id, at_ns, err);
        if (requests < 0)
            return (int)requests;
        ret->points[ret->count++] = (struct heap_point){
            .requests = (double)requests,
            .kills = i < profile->stamp_count ? profile->stamps[i].head.kills : profile->kills,
        };
    }
    return 0;
}

static double slope(const struct heap_view *view, struct moments *moments, uint32_t stack)
{
    for (size_t i = 0; i < view->profile->stamp_count; i++)
        moments->points[i].bytes = heap_profile_stamped_bytes(&view->profile->stamps[i], stack);
    moments->points[moments->count - 1].bytes = view->profile->totals->stacks[stack].bytes;
    return heap_growth_slope(moments->points, moments->count);
}

/* --- rows ------------------------------------------------------------------------------------ */

static int compare_growth(const void *a, const void *b)
{
    const struct heap_row *x = a, *y = b;
    double gx = isnan(x->bytes_per_request) ? 0 : x->bytes_per_request;
    double gy = isnan(y->bytes_per_request) ? 0 : y->bytes_per_request;
    if (gx != gy)
        return gx < gy ? 1 : -1;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static int compare_bytes(const void *a, const void *b)
{
    const struct heap_row *x = a, *y = b;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

/* What was live when the cycle began; NULL: that moment is not in the profile. */
static const struct heap_profile_stamp *find_cycle(const struct heap_profile *profile,
                                                   unsigned cycle)
{
    for (size_t i = 0; i < profile->stamp_count; i++) {
        if (profile->stamps[i].head.cycle == cycle)
            return &profile->stamps[i];
    }
    return NULL;
}

/* "2, 3 and 4": which cycles began in the lifetime. */
static void list_cycles(const struct heap_profile *profile, struct buffer *out)
{
    size_t begun = 0, said = 0;
    for (size_t i = 0; i < profile->stamp_count; i++)
        begun += profile->stamps[i].head.cycle > 0;
    for (size_t i = 0; i < profile->stamp_count; i++) {
        if (profile->stamps[i].head.cycle == 0)
            continue;
        said++;
        buffer_printf(out, "%s%u",
                      said == 1       ? ""
                      : said == begun ? " and "
                                      : ", ",
                      profile->stamps[i].head.cycle);
    }
}

static int no_such_cycle(const struct heap_view *view, unsigned cycle, struct error *err)
{
    AUTO_BUFFER begun = {0};
    list_cycles(view->profile, &begun);
    if (begun.length == 0)
        return error_usage(err, "%s, lifetime %u: cycle %u did not begin in it, and no other did",
                           view->arm, view->lifetime, cycle);
    return error_usage(err, "%s, lifetime %u: cycle %u did not begin in it; %s did", view->arm,
                       view->lifetime, cycle, buffer_text(&begun));
}

static void fill_row(const struct heap_view *view, const struct heap_profile_stamp *since,
                     uint32_t stack, struct heap_row *row)
{
    const struct heap_total *total = &view->profile->totals->stacks[stack];
    *row = (struct heap_row){
        .stack = stack,
        .bytes = total->bytes,
        .objects = total->objects,
        .kind = total->kinds == 1U << HEAP_KIND_MMAP    ? HEAP_KIND_MMAP
                : total->kinds == 1U << HEAP_KIND_ARENA ? HEAP_KIND_ARENA
                                                        : HEAP_KIND_MALLOC,
    };
    heap_total_interval(total->bytes, total->variance, &row->low_bytes, &row->high_bytes);
    if (since) {
        double before = heap_profile_stamped_bytes(since, stack);
        row->bytes -= before;
        row->objects -= heap_profile_stamped_objects(since, stack);
        /* The two sums share the samples that lived through, and a stamp keeps no samples: what
         * the difference varies by is not known. */
        row->low_bytes = row->high_bytes = NAN;
    }
    row->share = row->bytes / view->memory_bytes;
}

/* What is the same as it was; sums of samples in another order differ by a hair. */
static bool is_nothing(const struct heap_row *row)
{
    return fabs(row->bytes) < 0.5 && fabs(row->objects) < 0.5;
}

static int make_rows(struct store *store, const struct heap_choice *choice, struct heap_view *view,
                     struct error *err)
{
    const struct heap_profile_stamp *since = NULL;
    struct moments moments;
    if (choice->since_cycle > 0) {
        since = find_cycle(view->profile, choice->since_cycle);
        if (!since)
            return no_such_cycle(view, choice->since_cycle, err);
        view->since_cycle = choice->since_cycle;
    }
    int r = load_moments(store, view, &moments, err);
    if (r < 0)
        return r;
    view->rows = calloc(HEAP_STACKS, sizeof(*view->rows));
    if (!view->rows)
        return error_errno(err, ENOMEM, "reading the profile");
    for (uint32_t stack = 0; stack < HEAP_STACKS; stack++) {
        bool held_before = since && heap_profile_stamped_bytes(since, stack) > 0;
        if (view->profile->totals->stacks[stack].samples == 0 && !held_before)
            continue;
        struct heap_row *row = &view->rows[view->row_count];
        fill_row(view, since, stack, row);
        if (since && is_nothing(row))
            continue;
        view->row_count++;
        row->bytes_per_request = slope(view, &moments, stack);
        row->bytes_per_cycle = row->bytes_per_request * view->requests_per_cycle;
        view->total_bytes += row->bytes;
        view->total_objects += row->objects;
        if (row->kind == HEAP_KIND_ARENA)
            view->arena_bytes += row->bytes;
    }
    qsort(view->rows, view->row_count, sizeof(*view->rows),
          choice->by_size ? compare_bytes : compare_growth);
    return 0;
}

const char *heap_view_when(const struct heap_view *view)
{
    return view->at_kill ? "when a child process was killed for memory" : "at the end";
}

bool heap_moment_parse(const char *text, enum heap_moment_choice *ret)
{
    *ret = strcmp(text, "kill") == 0 ? HEAP_AT_KILL : HEAP_AT_END;
    return *ret == HEAP_AT_KILL || strcmp(text, "end") == 0;
}

bool heap_view_is_beyond(const struct heap_view *view)
{
    double low, high;
    heap_total_interval(view->total_bytes, view->profile->totals->variance, &low, &high);
    return heap_view_coverage(view) > 1 + HEAP_COVERAGE_CLOSE &&
           low > (1 + HEAP_COVERAGE_CLOSE) * view->memory_bytes;
}

bool heap_view_has_processes(const struct heap_view *view)
{
    unsigned count = 0;
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++)
        count += view->profile->map->processes[slot].state != HEAP_PROCESS_FREE;
    return count > 1;
}

double heap_view_coverage(const struct heap_view *view)
{
    return view->since_cycle > 0 ? (double)NAN : view->total_bytes / view->memory_bytes;
}

static int read_profile(const char *directory, const struct heap_view *view, bool at_kill,
                        struct heap_profile **ret, struct error *err)
{
    char path[PATH_MAX];
    heap_profile_path(directory, view->lifetime_id, at_kill, path);
    return heap_profile_read(path, ret, err);
}

/* The profile of the moment that was chosen. */
static int load_profile(const char *directory, enum heap_moment_choice at, struct heap_view *view,
                        struct error *err)
{
    struct heap_profile *killed = NULL;
    bool asks_both = at == HEAP_AT_MOST && view->other_moment && !view->main_killed;
    int r = 0;
    if (at != HEAP_AT_KILL)
        r = read_profile(directory, view, false, &view->profile, err);
    if (r == 0 && (at == HEAP_AT_KILL || asks_both))
        r = read_profile(directory, view, true, &killed, err);
    if (r < 0 || !killed)
        return r;
    if (view->profile && view->profile->totals->bytes > killed->totals->bytes) {
        heap_profile_free(killed);
        return 0;
    }
    heap_profile_free(view->profile);
    view->profile = killed;
    view->at_kill = view->other_moment = true;
    view->at_ns = killed->kill_ns;
    return 0;
}

int heap_view_new(struct store *store, const char *directory, const struct heap_choice *choice,
                  struct heap_view **ret, struct error *err)
{
    CLEANUP(view_cleanup) struct heap_view *view = calloc(1, sizeof(*view));
    if (!view)
        return error_errno(err, ENOMEM, "reading the profile");
    int r = heap_choose(store, directory, choice, view, err);
    if (r < 0)
        return r;
    r = load_profile(directory, choice->at, view, err);
    if (r == 0)
        r = heap_read_memory(store, view, err);
    if (r == 0)
        r = heap_names_load(store, &view->names, &view->names_damaged, err);
    if (r == 0)
        r = heap_symbols_new(view->names, directory, &view->symbols, err);
    if (r == 0)
        r = make_rows(store, choice, view, err);
    if (r == 0)
        *ret = steal_ptr(&view);
    return r;
}

/* --- frames ---------------------------------------------------------------------------------- */

static void visit_native(const struct heap_view *view, uint64_t frame, heap_frame_visitor visit,
                         void *context)
{
    size_t count;
    const struct heap_frame *named =
        heap_symbols_resolve(view->symbols, heap_profile_module(view->profile, frame),
                             HEAP_FRAME_ADDRESS(frame), &count);
    for (size_t i = 0; i < count; i++)
        visit(context, &named[i]);
}

void heap_view_frames(const struct heap_view *view, uint32_t stack, heap_frame_visitor visit,
                      void *context)
{
    static const struct heap_frame lost;
    uint32_t depth;
    const uint64_t *frames = heap_profile_frames(view->profile, stack, &depth);
    if (depth == 0)
        visit(context, &lost);
    for (uint32_t i = 0; i < depth; i++) {
        struct heap_python_frame found;
        if (!heap_profile_python(view->profile, frames[i], &found)) {
            visit_native(view, frames[i], visit, context);
            continue;
        }
        const struct heap_frame frame = {
            .function = found.function,
            .file = found.file,
            .line = found.line,
            .python = true,
            .arena = found.arena,
        };
        visit(context, &frame);
    }
}

double heap_row_variance(const struct heap_row *row)
{
    double deviation = (row->high_bytes - row->low_bytes) / (2 * 1.96);
    return deviation * deviation;
}

const char *heap_kind_name(enum heap_kind kind)
{
    static const char *const names[] = {
        [HEAP_KIND_MALLOC] = "malloc", [HEAP_KIND_MMAP] = "mmap", [HEAP_KIND_ARENA] = "arena"};
    return names[kind];
}

const char *heap_python_version(uint32_t hex, char text[static HEAP_PYTHON_TEXT_MAX])
{
    snprintf(text, HEAP_PYTHON_TEXT_MAX, "%u.%u.%u", hex >> 24, hex >> 16 & 0xff, hex >> 8 & 0xff);
    return text;
}

void heap_frame_name(const struct heap_frame *frame, char *text, size_t size)
{
    const char *slash = frame->module ? strrchr(frame->module, '/') : NULL;
    char module[UTF8_ESCAPED_MAX(HEAP_PATH_MAX)] = "";
    if (frame->module)
        utf8_escape(slash ? slash + 1 : frame->module, true, module, sizeof(module));
    if (frame->function)
        utf8_escape(frame->function, true, text, size);
    else if (frame->python)
        snprintf(text, size, "%s", frame->arena ? "[pymalloc arena]" : "[Python code lost]");
    else if (frame->module)
        snprintf(text, size, "%s+0x%llx", module, (unsigned long long)frame->address);
    else if (frame->address)
        snprintf(text, size, "0x%llx", (unsigned long long)frame->address);
    else
        snprintf(text, size, "[stack lost]");
}

bool heap_frame_file(const struct heap_frame *frame, bool base, char *text, size_t size)
{
    const char *slash = base && frame->file ? strrchr(frame->file, '/') : NULL;
    text[0] = '\0';
    if (frame->file)
        utf8_escape(slash ? slash + 1 : frame->file, true, text, size);
    return frame->file;
}

void heap_frame_label(const struct heap_frame *frame, char *text, size_t size)
{
    char file[512];
    heap_frame_name(frame, text, size);
    size_t used = strlen(text);
    if (frame->python && heap_frame_file(frame, true, file, sizeof(file)))
        snprintf(text + used, size - used, " (%s:%d)", file, frame->line);
}
