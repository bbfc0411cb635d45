/* SPDX-License-Identifier: Apache-2.0 */
/* What an arm's samples could not show. */
#include "report/result.h"

#include <errno.h>

int result_add_caveats(struct store *store, int64_t arm_id, json_t *verdict, struct error *err)
{
    AUTO_ROWS rows = {0};
    bool failed = false;
    json_t *caveats = json_array();
    int r =
        rows_query(&rows, store, "SELECT kind, text FROM caveat WHERE arm_id = ?1 ORDER BY rowid",
                   arm_id, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        json_t *caveat = json_object();
        result_set(caveat, "kind", row_json_text(&rows, 0), &failed);
        result_set(caveat, "text", row_json_text(&rows, 1), &failed);
        failed |= json_array_append_new(caveats, caveat) < 0;
    }
    result_set(verdict, "caveats", caveats, &failed);
    return r < 0 ? r : failed ? error_errno(err, ENOMEM, "making the result") : 0;
}
