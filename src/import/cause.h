/* SPDX-License-Identifier: Apache-2.0 */
/* What ended a container, from what others recorded: as weak as the records are. Pure. */
#pragma once

#include "import/curve.h"
#include "import/lives.h"

struct judged {
    enum end_cause cause;
    enum evidence_level level;
    char text[LIFE_TEXT_MAX]; /* one sentence: what it rests on */
    bool child;               /* an OOM kill in it did not end it */
};

/* Memory this near to the limit may have reached it between two samples. */
#define CURVE_REACHES 0.9
/* Memory that far below cannot have, unless it rose within one interval. */
#define CURVE_FAR     0.6
#define CURVE_NEAR_NS (INT64_C(150) * 1000000000) /* two samples a minute apart, and some */

/* `limit`: NAN unknown; `curve`: its samples; `runtime`: a language runtime's out-of-memory message
 * on its console ("Java", ...) or NULL. */
void judge_end(const struct life *life, double limit, const struct curve *curve,
               const char *runtime, struct judged *ret);
