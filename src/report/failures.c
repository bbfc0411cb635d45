/* SPDX-License-Identifier: Apache-2.0 */
#include "report/failures.h"

#include "report/story.h"

#define REASONS_SHOWN 5

void failures_append(const json_t *arm, struct buffer *out)
{
    const json_t *failures = value_at(arm, "requests.failures");
    json_int_t more = 0;
    size_t index;
    json_t *failure;
    json_array_foreach((json_t *)failures, index, failure)
    {
        json_int_t count = json_integer_value(json_object_get(failure, "count"));
        if (index < REASONS_SHOWN)
            buffer_printf(out, "%s%.120s (%lld)", index ? ", " : "",
                          text_or(failure, "reason", "?"), (long long)count);
        else
            more += count;
    }
    if (more > 0)
        buffer_printf(out, ", other reasons (%lld)", (long long)more);
}
