/* SPDX-License-Identifier: Apache-2.0 */
/* A bound on the work of one search: "[@, @] | [@, @] | …" doubles its result with every step, and
 * a short expression can ask for more values than there is memory. */
#include "jmespath/internal.h"

#include <errno.h>

#define LEAST         1000000 /* values that any search may visit */
#define EACH          64      /* and so many for each value of the document */
#define BYTES_A_VALUE 32      /* of a string */

static int exhausted(struct error *err)
{
    return error_usage(err, "too-large: the expression asks for too much work on this document; "
                            "select less of it before you repeat, join or compare it");
}

int budget_charge(struct budget *budget, size_t values, struct error *err)
{
    if (values > budget->left) {
        budget->left = 0;
        return exhausted(err);
    }
    budget->left -= values;
    return 0;
}

/* Values that share parts count these parts each time, as whoever prints or compares them does. */
int budget_charge_whole(struct budget *budget, const json_t *value, struct error *err)
{
    size_t length = json_is_string(value) ? json_string_length(value) : 0;
    int r = budget_charge(budget, 1 + length / BYTES_A_VALUE, err);
    size_t i = 0;
    const char *key = NULL;
    json_t *item = NULL;
    if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            if (r == 0)
                r = budget_charge_whole(budget, item, err);
        }
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, item)
        {
            if (r == 0)
                r = budget_charge_whole(budget, item, err);
        }
    }
    return r;
}

struct budget budget_for(const json_t *document)
{
    struct error ignored = {0};
    struct budget whole = {.left = SIZE_MAX};
    budget_charge_whole(&whole, document, &ignored);
    return (struct budget){.left = LEAST + EACH * (SIZE_MAX - whole.left)};
}
