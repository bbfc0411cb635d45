/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/heap_print.h"

#include "base/plural.h"
#include "base/size.h"
#include "base/utf8.h"
#include "heap/json.h"
#include "heap/runtime.h"

#include <math.h>
#include <string.h>

/* Of what the profile saw: less is not worth a word. */
#define ARENAS_NOTABLE 0.05

/* With a sign where there is one: sizes themselves have none. */
static const char *signed_size(double bytes, bool plus, char text[static SIZE_TEXT_MAX + 2])
{
    char size[SIZE_TEXT_MAX];
    size_format((uint64_t)llround(fabs(bytes)), size);
    snprintf(text, SIZE_TEXT_MAX + 2, "%s%s", bytes < -0.5 ? "-" : plus ? "+" : "", size);
    return text;
}

static void print_frame(void *context, const struct heap_frame *frame)
{
    FILE *out = context;
    char name[512], file[512], module[UTF8_ESCAPED_MAX(HEAP_PATH_MAX)];
    heap_frame_name(frame, name, sizeof(name));
    fprintf(out, "      %s%s", name, frame->inlined ? " (inlined)" : "");
    if (heap_frame_file(frame, false, file, sizeof(file))) {
        fprintf(out, "  %s", file);
        if (frame->line > 0)
            fprintf(out, ":%d", frame->line);
    } else if (frame->function && frame->module) {
        utf8_escape(frame->module, true, module, sizeof(module));
        fprintf(out, "  in %s", module);
    }
    fputc('\n', out);
}

static void print_row(const struct heap_view *view, const struct heap_row *row, size_t number,
                      FILE *out)
{
    static const char *const what[] = {
        [HEAP_KIND_MALLOC] = "object", [HEAP_KIND_MMAP] = "mapping", [HEAP_KIND_ARENA] = "arena"};
    char bytes[SIZE_TEXT_MAX + 2], low[SIZE_TEXT_MAX + 2], high[SIZE_TEXT_MAX + 2];
    fprintf(out, "\n%3zu.  %s", number, signed_size(row->bytes, false, bytes));
    if (isfinite(row->low_bytes))
        fprintf(out, " (95 %%: %s to %s)", signed_size(row->low_bytes, false, low),
                signed_size(row->high_bytes, false, high));
    if (isfinite(row->share))
        fprintf(out, "  %.1f %% of the container", 100 * row->share);
    fprintf(out, "  %.0f %s%s\n", row->objects, what[row->kind], plural(round(row->objects)));
    if (isfinite(row->bytes_per_request)) {
        fprintf(out, "      growth %s per request",
                signed_size(row->bytes_per_request, true, bytes));
        if (isfinite(row->bytes_per_cycle))
            fprintf(out, ", %s per cycle", signed_size(row->bytes_per_cycle, true, bytes));
        fputc('\n', out);
    }
    heap_view_frames(view, row->stack, print_frame, out);
}

/* What became of Python's frames and of its small objects. */
static void print_python(const struct heap_view *view, FILE *out)
{
    const struct heap_header *header = &view->profile->map->header;
    char version[HEAP_PYTHON_TEXT_MAX], arenas[SIZE_TEXT_MAX];
    if (header->python_unknown != 0)
        fprintf(out,
                "The frames of Python %s are not known to this version of oomlab: its stacks have "
                "the interpreter's frames of C.\n",
                heap_python_version(header->python_unknown, version));
    if (header->lost_codes > 0)
        fprintf(out, "%u frame%s of Python found no room for %s.\n", header->lost_codes,
                plural(header->lost_codes), header->lost_codes == 1 ? "its name" : "their names");
    if (view->arena_bytes >= 1 && view->arena_bytes > ARENAS_NOTABLE * view->total_bytes)
        fprintf(out,
                "%s are arenas, in which Python keeps objects of 512 bytes and less: the line that "
                "one is shown with happened to need it, others fill it. With --env "
                "PYTHONMALLOC=malloc oomlab run sees each object.\n",
                size_format((uint64_t)view->arena_bytes, arenas));
}

/* Below so many bytes an object, what the allocator adds to each is as much again. */
#define TINY_OBJECT_BYTES 32

static void print_low_coverage(const struct heap_view *view, FILE *out)
{
    double mean = view->total_bytes / view->total_objects;
    if (view->total_objects > 0 && mean < TINY_OBJECT_BYTES)
        fprintf(out,
                "Its objects have %.0f bytes on average: what the allocator adds to each, in which "
                "most of the container's memory may be, is not counted.\n",
                mean);
    else
        fprintf(out,
                "Less than half of the container's memory is in the profile: the rest came "
                "otherwise than through malloc or mmap of a profiled process (files in memory, a "
                "program that was started without LD_PRELOAD, a runtime with a heap of its own, "
                "which has its own profiler), or was given back before that moment%s.\n",
                view->python_malloc ? "" : "; for Python objects set PYTHONMALLOC=malloc");
}

/* Why the profile does not have all of the memory, where it does not. */
static void print_gaps(const struct heap_view *view, FILE *out)
{
    const struct heap_header *header = &view->profile->map->header;
    const struct heap_runtime *runtime = heap_runtime_find(view->profile);
    char reason[UTF8_ESCAPED_MAX(sizeof(view->unprofiled))];
    utf8_escape(view->unprofiled, true, reason, sizeof(reason));
    if (reason[0] != '\0')
        fprintf(out, "Not all of it was profiled: %s.\n", reason);
    if (runtime)
        fprintf(out, "%s\n", runtime->advice);
    if (header->dropped_process > 0)
        fprintf(out,
                "Of at most %u processes at once, those that have just ended among them, the "
                "profile has what they held; others found no room.\n",
                HEAP_PROCESSES);
    else if (!runtime && reason[0] == '\0' && heap_view_coverage(view) < 0.5)
        print_low_coverage(view, out);
}

/* Places of which nothing stays are sampled less often, and all are once the table has filled up:
 * each sample has the mean that it was taken with. */
static void put_rate(const struct heap_header *header, const struct heap_totals *totals, FILE *out)
{
    uint64_t least = totals->samples > 0 ? totals->rate_least : header->rate_bytes;
    char text[SIZE_TEXT_MAX];
    fprintf(out, "One sample in %s", size_format(least, text));
    if (totals->rate_most > least)
        fprintf(out, " to %s", size_format(totals->rate_most, text));
}

/* "; 2 samples were dropped"; of none: nothing. */
static void put_lost(uint64_t count, const char *what, const char *how, FILE *out)
{
    if (count > 0)
        fprintf(out, "; %llu %s%s %s %s", (unsigned long long)count, what, plural((double)count),
                count == 1 ? "was" : "were", how);
}

/* What the reader has to know before believing the figures. */
static void print_quality(const struct heap_view *view, FILE *out)
{
    const struct heap_header *header = &view->profile->map->header;
    const struct heap_totals *totals = view->profile->totals;
    uint64_t dropped = heap_dropped(header);
    put_rate(header, totals, out);
    fprintf(out, ", %u sample%s live then", totals->samples, plural(totals->samples));
    if (header->rate_raised > 0)
        fprintf(out, "; the table filled up, so the mean was doubled %llu time%s",
                (unsigned long long)header->rate_raised, plural((double)header->rate_raised));
    put_lost(dropped, "sample", "dropped", out);
    if (header->dropped_process > 0)
        fprintf(out, ", %llu of them of processes that found no room",
                (unsigned long long)header->dropped_process);
    put_lost(header->lost_stacks, "stack", "lost", out);
    if (header->lost_mappings > 0)
        fprintf(out,
                "; %llu mapping%s not followed: where a part was unmapped, the whole still counts",
                (unsigned long long)header->lost_mappings,
                header->lost_mappings == 1 ? " was" : "s were");
    if (totals->torn > 0)
        fprintf(out, "; %u torn %s left out", totals->torn,
                totals->torn == 1 ? "entry was" : "entries were");
    fputs(".\n", out);
    print_python(view, out);
    print_gaps(view, out);
}

static void print_total(const struct heap_view *view, FILE *out)
{
    char total[SIZE_TEXT_MAX + 2], memory[SIZE_TEXT_MAX];
    double coverage = heap_view_coverage(view);
    fprintf(out, "%s, lifetime %u: ", view->arm, view->lifetime);
    if (view->since_cycle > 0)
        fprintf(out, "%s added since cycle %u began", signed_size(view->total_bytes, true, total),
                view->since_cycle);
    else
        fprintf(out, "%s held %s", signed_size(view->total_bytes, false, total),
                heap_view_when(view));
    if (isfinite(coverage))
        fprintf(out, ", %.0f %% of the container's %s", 100 * coverage,
                size_format((uint64_t)view->memory_bytes, memory));
    if (heap_view_is_beyond(view))
        fprintf(out, ": it was asked for, and not all of it was touched%s%s",
                heap_view_has_processes(view) ? ", or it was of processes that had just ended" : "",
                view->at_kill || view->main_killed
                    ? ""
                    : ", or it came since the container's last sample");
    fputs(".\n", out);
    if (view->other_moment)
        fprintf(out, "%s\n",
                view->at_kill ? "The container went on; --at end shows what was held at its end."
                              : "A child process was killed for memory before; --at kill shows "
                                "what was held then.");
}

void heap_print(const struct heap_view *view, size_t top, FILE *out)
{
    print_total(view, out);
    print_quality(view, out);
    size_t shown = top == 0 || top > view->row_count ? view->row_count : top;
    for (size_t i = 0; i < shown; i++)
        print_row(view, &view->rows[i], i + 1, out);
    if (shown < view->row_count)
        fprintf(out, "\n%zu more stack%s; --top 0 shows all.\n", view->row_count - shown,
                plural((double)(view->row_count - shown)));
}

static double half_width(const struct heap_difference *difference)
{
    return 1.96 * sqrt(difference->variance);
}

void heap_difference_print(const struct heap_view *before, const struct heap_view *after,
                           const struct heap_difference *differences, size_t count, size_t top,
                           FILE *out)
{
    char a[SIZE_TEXT_MAX + 2], b[SIZE_TEXT_MAX + 2], c[SIZE_TEXT_MAX + 2];
    fprintf(out, "%s, lifetime %u: %s  ->  %s, lifetime %u: %s (%s)\n", before->arm,
            before->lifetime, signed_size(before->total_bytes, false, a), after->arm,
            after->lifetime, signed_size(after->total_bytes, false, b),
            signed_size(after->total_bytes - before->total_bytes, true, c));
    if (before->at_kill != after->at_kill)
        fprintf(out,
                "Two sorts of moments: the first was held %s, the second %s; --at takes the same "
                "of both.\n",
                heap_view_when(before), heap_view_when(after));
    for (size_t i = 0; i < count && (top == 0 || i < top); i++) {
        const struct heap_difference *d = &differences[i];
        fprintf(out, "\n%3zu.  %s", i + 1, signed_size(d->after - d->before, true, a));
        if (isfinite(d->variance))
            fprintf(out, " (95 %%: +- %s)", signed_size(half_width(d), false, c));
        fprintf(out, "  %s -> %s\n", signed_size(d->before, false, a),
                signed_size(d->after, false, b));
        heap_view_frames(d->of, d->stack, print_frame, out);
    }
}

static json_t *side_json(const struct heap_view *view)
{
    return json_pack("{s:s, s:I, s:s, s:f}", "arm", view->arm, "lifetime",
                     (json_int_t)view->lifetime, "moment", view->at_kill ? "kill" : "end",
                     "total_bytes", view->total_bytes);
}

json_t *heap_difference_json(const struct heap_view *before, const struct heap_view *after,
                             const struct heap_difference *differences, size_t count, size_t top)
{
    json_t *stacks = json_array();
    for (size_t i = 0; i < count && (top == 0 || i < top); i++) {
        const struct heap_difference *d = &differences[i];
        double change = d->after - d->before;
        json_array_append_new(stacks,
                              json_pack("{s:f, s:f, s:f, s:[o, o], s:o}", "before_bytes", d->before,
                                        "after_bytes", d->after, "change_bytes", change,
                                        "ci95_bytes", heap_number_json(change - half_width(d)),
                                        heap_number_json(change + half_width(d)), "frames",
                                        heap_frames_json(d->of, d->stack)));
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "schema", "oomlab.heap-diff/1", "before",
                     side_json(before), "after", side_json(after), "stacks", stacks);
}
