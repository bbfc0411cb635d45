/* SPDX-License-Identifier: Apache-2.0 */
#include "conclude/kinds.h"

#include <math.h>

int conclude_kinds(struct store *store, int64_t arm_id, const struct growth_kinds *kinds,
                   struct error *err)
{
    int r = 0;
    for (enum memory_kind kind = 0; r == 0 && kind < MEMORY_KINDS; kind++) {
        if (isnan(kinds->bytes[kind]))
            continue;
        const struct store_value values[] = {
            STORE_INT("arm_id", arm_id),
            STORE_STR("kind", memory_kind_name(kind)),
            STORE_STR("per", kinds->by_requests ? "request" : "second"),
            STORE_DBL("bytes", kinds->bytes[kind]),
            STORE_END,
        };
        r = store_insert(store, "growth_kind", values, NULL, err);
    }
    return r;
}
