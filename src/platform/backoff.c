/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/backoff.h"

void backoff_init(struct backoff *backoff, const struct backoff_spec *spec)
{
    backoff->spec = *spec;
    backoff->next_ns = 0;
}

int64_t backoff_next(struct backoff *backoff, int64_t uptime_ns)
{
    const struct backoff_spec *spec = &backoff->spec;
    if (uptime_ns >= spec->reset_ns)
        backoff->next_ns = 0;

    int64_t wait = backoff->next_ns;
    int64_t doubled = wait == 0 ? spec->first_ns : wait * 2;
    backoff->next_ns = doubled < spec->max_ns ? doubled : spec->max_ns;
    return wait;
}
