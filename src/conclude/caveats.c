/* SPDX-License-Identifier: Apache-2.0 */
#include "conclude/caveats.h"

int conclude_caveats(struct store *store, int64_t arm_id, const struct caveats *caveats,
                     struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < caveats->count; i++) {
        const struct store_value values[] = {
            STORE_INT("arm_id", arm_id),
            STORE_STR("kind", caveat_kind_name(caveats->items[i].kind)),
            STORE_STR("text", caveats->items[i].text),
            STORE_END,
        };
        r = store_insert(store, "caveat", values, NULL, err);
    }
    return r;
}
