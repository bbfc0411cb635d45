/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver needs of a plan beyond traffic.h. */
#pragma once

#include "traffic/traffic.h"

/* The kinds of request; owned by the plan. */
const struct traffic_request *traffic_plan_kinds(const struct traffic_plan *plan,
                                                 size_t *ret_count);
