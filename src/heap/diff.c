/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/diff.h"

#include "base/buffer.h"
#include "base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_name(void *context, const struct heap_frame *frame)
{
    char name[512];
    heap_frame_name(frame, name, sizeof(name));
    buffer_printf(context, "%s\n", name);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct heap_difference *)a)->key,
                  ((const struct heap_difference *)b)->key);
}

static int compare_changes(const void *a, const void *b)
{
    const struct heap_difference *x = a, *y = b;
    double cx = fabs(x->after - x->before), cy = fabs(y->after - y->before);
    return (cx < cy) - (cx > cy);
}

static int add_rows(const struct heap_view *view, bool is_after, struct heap_difference *all,
                    size_t *count)
{
    for (size_t i = 0; i < view->row_count; i++) {
        const struct heap_row *row = &view->rows[i];
        struct buffer key = {0};
        heap_view_frames(view, row->stack, add_name, &key);
        struct heap_difference *difference = &all[(*count)++];
        *difference = (struct heap_difference){
            .key = buffer_steal(&key),
            .before = is_after ? 0 : row->bytes,
            .after = is_after ? row->bytes : 0,
            .variance = heap_row_variance(row),
            .of = view,
            .stack = row->stack,
        };
        if (!difference->key)
            return -ENOMEM;
    }
    return 0;
}

/* Neighbours of the same key become one. */
static size_t merge(struct heap_difference *all, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (used > 0 && strcmp(all[used - 1].key, all[i].key) == 0) {
            all[used - 1].before += all[i].before;
            all[used - 1].after += all[i].after;
            all[used - 1].variance += all[i].variance;
            free(all[i].key);
        } else {
            all[used++] = all[i];
        }
    }
    return used;
}

int heap_diff(const struct heap_view *before, const struct heap_view *after,
              struct heap_difference **ret, size_t *ret_count, struct error *err)
{
    struct heap_difference *all = calloc(before->row_count + after->row_count + 1, sizeof(*all));
    size_t count = 0;
    int r = all ? add_rows(before, false, all, &count) : -ENOMEM;
    if (r == 0)
        r = add_rows(after, true, all, &count);
    if (r < 0) {
        heap_diff_free(all, count);
        return error_errno(err, ENOMEM, "comparing the profiles");
    }
    qsort(all, count, sizeof(*all), compare_keys);
    count = merge(all, count);
    qsort(all, count, sizeof(*all), compare_changes);
    *ret = all;
    *ret_count = count;
    return 0;
}

void heap_diff_free(struct heap_difference *differences, size_t count)
{
    for (size_t i = 0; differences && i < count; i++)
        free(differences[i].key);
    free(differences);
}
