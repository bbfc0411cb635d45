/* SPDX-License-Identifier: Apache-2.0 */
/* What the heap profile adds to a verdict. */
#include "report/result.h"

#include <errno.h>

#define COLUMNS                                                                                    \
    "SELECT p.sentence, p.level, p.leading_of, p.share, s.function, s.file, s.line, s.caller,"     \
    " a.scenario || '/' || a.name, l.idx, p.lifetime_id, p.moment FROM heap_profile p"             \
    " JOIN heap_stack s ON s.id = p.leading_stack"                                                 \
    " JOIN lifetime l ON l.id = p.lifetime_id JOIN arm a ON a.id = l.arm_id"

/* The run's verdict rests on one arm: on the profile among its evidence. */
static const char OF_RUN[] =
    COLUMNS " JOIN evidence e ON e.source_table = 'heap_stack'"
            " AND CAST(e.source_row AS INTEGER) = p.leading_stack"
            " WHERE e.id IN (SELECT value FROM json_each((SELECT because FROM verdict"
            " WHERE arm_id IS NULL ORDER BY rowid DESC LIMIT 1)))";
static const char OF_ARM[] = COLUMNS " WHERE l.arm_id = ?1";

int result_add_leading_stack(struct store *store, int64_t arm_id, json_t *verdict,
                             struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, store, arm_id ? OF_ARM : OF_RUN, arm_id, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    bool failed = false;
    json_t *stack = json_object();
    result_set(stack, "sentence", row_json_text(&rows, 0), &failed);
    result_set(stack, "level", row_json_text(&rows, 1), &failed);
    result_set(stack, "of", row_json_text(&rows, 2), &failed);
    result_set(stack, "share", row_json_real(&rows, 3), &failed);
    result_set(stack, "function", row_json_text(&rows, 4), &failed);
    result_set(stack, "file", row_json_text(&rows, 5), &failed);
    result_set(stack, "line", row_json_integer(&rows, 6), &failed);
    result_set(stack, "called_from", row_json_text(&rows, 7), &failed);
    result_set(stack, "arm", row_json_text(&rows, 8), &failed);
    result_set(stack, "lifetime", row_json_integer(&rows, 9), &failed);
    result_set(stack, "row", row_json_integer(&rows, 10), &failed);
    result_set(stack, "moment", row_json_text(&rows, 11), &failed);
    result_set(verdict, "leading_stack", stack, &failed);
    return failed ? error_errno(err, ENOMEM, "making the result") : 0;
}
