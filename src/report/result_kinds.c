/* SPDX-License-Identifier: Apache-2.0 */
/* The growth of an arm's verdict by kind of memory. */
#include "base/cleanup.h"
#include "report/result.h"

#include <errno.h>

int result_add_kinds(struct store *store, int64_t arm_id, json_t *verdict, struct error *err)
{
    AUTO_ROWS rows = {0};
    bool failed = false;
    json_t *kinds = NULL;
    json_t *growth = json_object_get(verdict, "growth");
    int r = rows_query(&rows, store,
                       "SELECT kind, per, bytes FROM growth_kind WHERE arm_id = ?1 ORDER BY rowid",
                       arm_id, err);
    while (r == 0 && growth && (r = rows_next(&rows, err)) == 1) {
        if (!kinds) {
            kinds = json_object();
            result_set(kinds, "per", row_json_text(&rows, 1), &failed);
        }
        AUTO_FREE char *kind = row_text(&rows, 0);
        failed |= !kind;
        if (kind)
            result_set(kinds, kind, row_json_real(&rows, 2), &failed);
        r = 0;
    }
    if (kinds)
        result_set(growth, "by_kind", kinds, &failed);
    return r < 0 ? r : failed ? error_errno(err, ENOMEM, "making the result") : 0;
}
