/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/fold.h"

#include "base/flamegraph.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 512
#define DEPTH_MAX  ((size_t)HEAP_STACK_DEPTH * 8)

struct names {
    char *names[DEPTH_MAX];
    size_t count;
    bool failed;
};

static void add_name(void *context, const struct heap_frame *frame)
{
    struct names *names = context;
    char name[NAME_BYTES];
    if (names->count >= DEPTH_MAX)
        return;
    heap_frame_label(frame, name, sizeof(name));
    for (char *at = name; *at; at++) {
        if (*at == ';' || *at == '\n')
            *at = '_';
    }
    names->names[names->count] = strdup(name);
    names->failed |= !names->names[names->count];
    names->count++;
}

int heap_fold(const struct heap_view *view, struct buffer *out, struct error *err)
{
    bool failed = false;
    for (size_t i = 0; i < view->row_count; i++) {
        struct names names = {.count = 0};
        if (view->rows[i].bytes < 0.5)
            continue; /* a flame of no width; less than before has none either */
        heap_view_frames(view, view->rows[i].stack, add_name, &names);
        failed |= names.failed;
        for (size_t j = names.count; j-- > 0;) {
            buffer_printf(out, "%s%c", names.names[j] ? names.names[j] : "", j > 0 ? ';' : ' ');
            free(names.names[j]);
        }
        buffer_printf(out, "%.0f\n", view->rows[i].bytes);
    }
    return failed || out->failed ? error_errno(err, ENOMEM, "folding the stacks") : 0;
}

int heap_flamegraph(const struct heap_view *view, struct buffer *out, struct error *err)
{
    AUTO_BUFFER folded = {0};
    char title[256];
    if (view->since_cycle > 0)
        snprintf(title, sizeof(title), "Memory added since cycle %u began: %s, lifetime %u",
                 view->since_cycle, view->arm, view->lifetime);
    else
        snprintf(title, sizeof(title), "Memory held %s: %s, lifetime %u", heap_view_when(view),
                 view->arm, view->lifetime);
    int r = heap_fold(view, &folded, err);
    if (r < 0)
        return r;
    flamegraph_draw(buffer_text(&folded), title, false, out);
    return out->failed ? error_errno(err, ENOMEM, "drawing the flame graph") : 0;
}
