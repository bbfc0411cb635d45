/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/json.h"

#include "base/cleanup.h"
#include "base/utf8.h"
#include "heap/runtime.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *heap_number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *heap_text_json(const char *value)
{
    if (!value)
        return json_null();
    size_t size = UTF8_ESCAPED_MAX(strlen(value));
    AUTO_FREE char *escaped = malloc(size);
    if (!escaped)
        return json_null();
    utf8_escape(value, false, escaped, size);
    return json_string(escaped);
}

static void add_frame(void *context, const struct heap_frame *frame)
{
    json_t *frames = context;
    char name[512];
    heap_frame_name(frame, name, sizeof(name));
    json_array_append_new(
        frames, json_pack("{s:o, s:o, s:o, s:o, s:b, s:s}", "function",
                          frame->function ? heap_text_json(frame->function) : json_string(name),
                          "file", heap_text_json(frame->file), "line",
                          frame->line > 0 ? json_integer(frame->line) : json_null(), "module",
                          heap_text_json(frame->module), "inlined", frame->inlined, "language",
                          frame->python ? "python" : "native"));
}

json_t *heap_frames_json(const struct heap_view *view, uint32_t stack)
{
    json_t *frames = json_array();
    heap_view_frames(view, stack, add_frame, frames);
    return frames;
}

static json_t *row_json(const struct heap_view *view, const struct heap_row *row)
{
    return json_pack(
        "{s:o, s:o, s:[o, o], s:o, s:s, s:{s:o, s:o}, s:o}", "bytes", heap_number_json(row->bytes),
        "objects", heap_number_json(row->objects), "ci95_bytes", heap_number_json(row->low_bytes),
        heap_number_json(row->high_bytes), "share", heap_number_json(row->share), "kind",
        heap_kind_name(row->kind), "growth", "bytes_per_cycle",
        heap_number_json(row->bytes_per_cycle), "bytes_per_request",
        heap_number_json(row->bytes_per_request), "frames", heap_frames_json(view, row->stack));
}

/* Which interpreter ran, and whether its frames could be read. */
static json_t *python_json(const struct heap_header *header)
{
    char text[HEAP_PYTHON_TEXT_MAX];
    uint32_t hex = header->python_known ? header->python_known : header->python_unknown;
    if (hex == 0)
        return json_null();
    return json_pack("{s:s, s:b}", "version", heap_python_version(hex, text), "frames",
                     header->python_known != 0);
}

json_t *heap_json(const struct heap_view *view, const char *at, size_t top)
{
    const struct heap_header *header = &view->profile->map->header;
    const struct heap_runtime *runtime = heap_runtime_find(view->profile);
    const struct heap_totals *totals = view->profile->totals;
    json_t *stacks = json_array();
    for (size_t i = 0; i < view->row_count && (top == 0 || i < top); i++)
        json_array_append_new(stacks, row_json(view, &view->rows[i]));
    return json_pack(
        "{s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o, "
        "s:o, s:[I, I], s:I, s:s, s:b, s:I, s:I}",
        "schema", "oomlab.heap/1", "arm", view->arm, "lifetime", (json_int_t)view->lifetime, "at",
        heap_text_json(at), "rate_bytes", (json_int_t)header->rate_bytes, "dropped",
        (json_int_t)heap_dropped(header), "lost_stacks", (json_int_t)header->lost_stacks, "torn",
        (json_int_t)totals->torn, "samples", (json_int_t)totals->samples, "coverage",
        heap_number_json(heap_view_coverage(view)), "memory_bytes",
        heap_number_json(view->memory_bytes), "total_bytes", heap_number_json(view->total_bytes),
        "arena_bytes", view->arena_bytes, "python", python_json(header), "since_cycle",
        view->since_cycle ? json_integer(view->since_cycle) : json_null(), "runtime",
        runtime ? json_string(runtime->name) : json_null(), "unprofiled",
        heap_text_json(view->unprofiled[0] != '\0' ? view->unprofiled : NULL), "stacks", stacks,
        "sample_rates_bytes", (json_int_t)totals->rate_least, (json_int_t)totals->rate_most,
        "dropped_process", (json_int_t)header->dropped_process, "moment",
        view->at_kill ? "kill" : "end", "other_moment", view->other_moment, "stacks_total",
        (json_int_t)view->row_count, "lost_mappings", (json_int_t)header->lost_mappings);
}
