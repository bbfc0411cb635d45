/* SPDX-License-Identifier: Apache-2.0 */
/* Against a known-good arm of the same work. Both have the same warm-up, caches and collector, so
 * what one keeps more than the other is the factor between them: no threshold on size need keep
 * these apart. */
#include "analysis/compare.h"
#include "analysis/verdict_parts.h"
#include "analysis/words.h"

#include <math.h>

/* The lower end of the difference, as a share of the rate: less may be chance between two runs. */
#define DIFFERENCE_SHARE (1.0 / 3)

/* Per request where both have that rate, else per second. */
static const struct estimate *rate_of(const struct verdict *verdict, bool per_request)
{
    return per_request ? &verdict->per_request : &verdict->per_second;
}

static bool thresholds_left_it(const struct verdict *verdict)
{
    return verdict->kills == 0 && verdict->drift_bytes.low > 0 &&
           (verdict->class == VERDICT_INCONCLUSIVE || verdict->class == VERDICT_STABLE);
}

static bool is_known_good(const struct verdict *good)
{
    return good && good->kills == 0 && verdict_levels_off(good);
}

void verdict_against_good(const struct verdict *good, struct verdict *verdict)
{
    if (!is_known_good(good) || !thresholds_left_it(verdict))
        return;
    bool per_request = verdict->driver != DRIVER_TIME && !isnan(verdict->per_request.value) &&
                       !isnan(good->per_request.value);
    const struct estimate *own = rate_of(verdict, per_request);
    const struct estimate *its = rate_of(good, per_request);
    const char *unit = per_request ? "request" : "second";
    struct estimate more;
    compare_estimates(its, own, &more);
    if (comparison_of(&more) != COMPARISON_MORE || !(more.low >= DIFFERENCE_SHARE * own->value))
        return;
    verdict_decide(verdict, VERDICT_LEAK, per_request ? DRIVER_REQUESTS : verdict->driver,
                   LEVEL_CORRELATED, verdict_succession(2, 2));
    verdict->summary[0] = '\0';
    verdict->would_settle[0] = '\0';
    verdict_say(
        verdict->summary,
        "It keeps %s per %s (95 %% %s to %s), and the patched arm %s (95 %% %s to %s) of the "
        "same work. Warm-up, caches and collections are alike in both: the difference, %s per "
        "%s (95 %% %s to %s), is kept for good, though too little to be told by itself.",
        bytes_words(own->value).text, unit, bytes_words(own->low).text, bytes_words(own->high).text,
        bytes_words(its->value).text, bytes_words(its->low).text, bytes_words(its->high).text,
        bytes_words(more.value).text, unit, bytes_words(more.low).text,
        bytes_words(more.high).text);
}
