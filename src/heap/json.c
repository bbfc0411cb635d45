/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/json.h"

#include <math.h>

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *text(const char *value)
{
    json_t *json = value ? json_string(value) : json_null();
    return json ? json : json_string("(not UTF-8)");
}

static void add_frame(void *context, const struct heap_frame *frame)
{
    json_t *frames = context;
    char name[512];
    heap_frame_name(frame, name, sizeof(name));
    json_array_append_new(frames,
                          json_pack("{s:o, s:o, s:o, s:o, s:b, s:s}", "function", text(name),
                                    "file", text(frame->file), "line",
                                    frame->line > 0 ? json_integer(frame->line) : json_null(),
                                    "module", text(frame->module), "inlined", frame->inlined,
                                    "language", frame->python ? "python" : "native"));
}

json_t *heap_frames_json(const struct heap_view *view, uint32_t stack)
{
    json_t *frames = json_array();
    heap_view_frames(view, stack, add_frame, frames);
    return frames;
}

static json_t *row_json(const struct heap_view *view, const struct heap_row *row)
{
    return json_pack("{s:o, s:o, s:[o, o], s:o, s:s, s:{s:o, s:o}, s:o}", "bytes",
                     number(row->bytes), "objects", number(row->objects), "ci95_bytes",
                     number(row->low_bytes), number(row->high_bytes), "share", number(row->share),
                     "kind", heap_kind_name(row->kind), "growth", "bytes_per_cycle",
                     number(row->bytes_per_cycle), "bytes_per_request",
                     number(row->bytes_per_request), "frames", heap_frames_json(view, row->stack));
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
    json_t *stacks = json_array();
    for (size_t i = 0; i < view->row_count && (top == 0 || i < top); i++)
        json_array_append_new(stacks, row_json(view, &view->rows[i]));
    uint64_t dropped = header->dropped_table + header->dropped_process;
    return json_pack(
        "{s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:f, s:o, s:o}", "schema",
        "oomlab.heap/1", "arm", view->arm, "lifetime", (json_int_t)view->lifetime, "at", text(at),
        "rate_bytes", (json_int_t)header->rate_bytes, "dropped", (json_int_t)dropped, "lost_stacks",
        (json_int_t)header->lost_stacks, "torn", (json_int_t)view->profile->totals->torn, "samples",
        (json_int_t)view->profile->totals->samples, "coverage",
        number(view->total_bytes / view->memory_bytes), "memory_bytes", number(view->memory_bytes),
        "total_bytes", number(view->total_bytes), "arena_bytes", view->arena_bytes, "python",
        python_json(header), "stacks", stacks);
}
