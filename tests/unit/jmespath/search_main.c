/* SPDX-License-Identifier: Apache-2.0 */
/* For the comparison with other implementations: reads lines of {"expression", "document"} and
 * answers each with one of {"result"} or {"error", "text"}. */
#include "base/cleanup.h"
#include "jmespath/jmespath.h"

#include <stdio.h>
#include <string.h>

static json_t *answer(const json_t *question)
{
    struct error err = {0};
    struct jmespath *expression = NULL;
    json_t *result = NULL;
    int r = jmespath_compile(json_string_value(json_object_get(question, "expression")),
                             &expression, &err);
    if (r == 0)
        r = jmespath_search(expression, json_object_get(question, "document"), &result, &err);
    jmespath_free(expression);
    if (r == 0)
        return json_pack("{s:o}", "result", result);
    return json_pack("{s:s%, s:s}", "error", err.text, strcspn(err.text, ":"), "text", err.text);
}

int main(void)
{
    AUTO_FREE char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        json_t *question = json_loads(line, 0, NULL);
        if (!question)
            return 1;
        json_t *reply = answer(question);
        json_dumpf(reply, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(reply);
        json_decref(question);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
