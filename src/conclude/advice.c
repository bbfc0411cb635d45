/* SPDX-License-Identifier: Apache-2.0 */
#include "conclude/advice.h"

#include <math.h>

static struct store_value bytes_or_null(const char *column, double value)
{
    if (!(value > 0) || value > 9e18)
        return (struct store_value){.column = column, .type = STORE_NULL};
    return (struct store_value)STORE_INT(column, (int64_t)llround(value));
}

static int insert_forecast(struct store *store, const struct forecast *forecast, struct error *err)
{
    const struct store_value values[] = {
        bytes_or_null("limit_bytes", forecast->limit_bytes),
        store_real("seconds", forecast->seconds.value),
        store_real("seconds_low", forecast->seconds.low),
        store_real("seconds_high", forecast->seconds.high),
        store_real("requests", forecast->requests.value),
        store_real("requests_low", forecast->requests.low),
        store_real("requests_high", forecast->requests.high),
        store_real("left_s", forecast->seconds_left.value),
        store_real("left_low_s", forecast->seconds_left.low),
        store_real("left_high_s", forecast->seconds_left.high),
        STORE_END,
    };
    return store_insert(store, "forecast", values, NULL, err);
}

int conclude_advice(struct store *store, const struct recommendation *advice, struct error *err)
{
    const struct store_value values[] = {
        STORE_STR("action", recommendation_action_name((int)advice->action)),
        bytes_or_null("memory_bytes", advice->memory_bytes),
        STORE_STR("reason", advice->reason),
        STORE_END,
    };
    int r = store_insert(store, "recommendation", values, NULL, err);
    for (size_t i = 0; i < advice->forecasts.count && r == 0; i++)
        r = insert_forecast(store, &advice->forecasts.items[i], err);
    for (size_t i = 0; i < advice->rule_count && r == 0; i++) {
        const struct size_rule *rule = &advice->rules[i];
        const struct store_value row[] = {
            STORE_STR("name", rule->name),
            bytes_or_null("memory_bytes", rule->memory_bytes),
            STORE_STR("formula", rule->formula),
            STORE_END,
        };
        r = store_insert(store, "size_rule", row, NULL, err);
    }
    return r;
}
