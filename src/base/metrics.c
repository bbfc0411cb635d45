/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

const char *metric_name(enum metric metric)
{
    static const char *const names[] = {
#define METRIC_NAME(id, name, source) name,
        METRIC_LIST(METRIC_NAME)
#undef METRIC_NAME
    };
    return names[metric];
}
